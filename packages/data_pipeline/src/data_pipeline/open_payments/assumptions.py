"""What runs expect of the source: the checks of ``doctor``. Pure.

No run relies on them: where an answer contradicts one, the slice is not proved. Checked by a run itself:

==========================================  =========================================================
catalogue, script, dataset_resolves         ``Catalogue.resolve`` and ``runs.must_be_provable``
summary_agrees                              ``reference_count.require_full_import``, before anything is planned
rows_500_answered, grouped_counts(_sum)     ``TotalsBuilder``: the sum must be the table's own count
date_ranges_as_text, window_counts_tile     ``Slices._cut`` and ``close``: the windows sum to the slice; ``foreign``
conditions_honoured                         ``foreign`` and ``rows_extra``: every record is of payer and window
download_header, header_is_schema           ``header``, on every answer and every page
dialect                                     ``width``, ``malformed``, ``header``: one strict reading or none
long_answers, zero_rows_header_only         ``error_row``, ``truncated``, ``no_header``; the count before and after
unsorted_answer_complete, sorted_pages      ``repeated_key`` and the count: all ids differ, none is missing
fresh_parameter_ignored                     counts always bypass caches, rows from the second try on
==========================================  =========================================================
"""

from __future__ import annotations

from data_pipeline.doctor.checks import Check

# In the order in which they run: cheap ones first, and before those that need their results.
# fmt: off
SOURCE_CHECKS: tuple[Check, ...] = (
    Check("catalogue", "Does the catalogue list years of the dataset?",
          "Runs use the site's script instead; if that fails as well, report it.", required=False),
    Check("script", "Does the site's script name the table of each year?",
          "Without it no run can begin while the catalogue is down: report it.", required=False),
    Check("dataset_resolves", "Does the year's dataset answer its distribution id, count and columns?",
          "No run can begin. Is the year published? Check OPEN_PAYMENTS_URL, then report it."),
    Check("summary_agrees", "Does the table hold the rows that the summary by reporting entity says?",
          "The table is still being imported: run later. --trust-count fetches what there is."),
    Check("rows_500_answered", "Are 500 rows answered to a query for 500?",
          "Counts of companies come in pages of 500: set query.ROWS_PER_QUERY to what is answered."),
    Check("grouped_counts", "Can rows be counted by payer, for all payers at once?",
          "Runs count company by company, some 3,000 requests, and may miss unlisted payers.", required=False),
    Check("grouped_counts_sum", "Do the counts by payer sum to the table's count?",
          "No year can be planned from them: the table is being changed, run later; if it stays, report it."),
    Check("date_ranges_as_text", "Are payment dates compared as text, as ranges of days need it?",
          "Large companies cannot be cut into windows: do not fetch those above 60,000 rows, report it."),
    Check("window_counts_tile", "Do the counts of a company's windows sum to its own?",
          "No company above 60,000 rows can be proved: run later; if it stays, report it."),
    Check("conditions_honoured", "Are the rows of one company all of it, and as many as counted?",
          "No slice can be proved while this lasts: run later; if it stays, report it."),
    Check("header_is_schema", "Is a download's header the table's own schema, ending in a line feed alone?",
          "Every window will fail as drifted: nothing of it is kept, a person decides."),
    Check("fresh_parameter_ignored", "Does the cache-busting parameter bypass caches and change nothing else?",
          "A bad answer in a cache cannot be bypassed, and a count may be stale: report it."),
    Check("zero_rows_header_only", "Is an answer without rows a header alone?",
          "Companies without rows cannot be proved empty: report it."),
    Check("sorted_pages_disjoint", "Are two sorted pages disjoint and together whole?",
          "--strategy pages proves nothing; keep --strategy window.", required=False),
    Check("download_header", "Does every download begin with the same header, without rows and at an offset, too?",
          "Answers are refused as header: report it."),
    Check("long_answers", "Are more than 5,000 rows answered in one piece?",
          "Windows fail twice, then come as sorted pages; --strategy pages spares the failures.", required=False),
    Check("unsorted_answer_complete", "Does an answer without a sort hold every row once?",
          "Windows fail as repeated_key or rows_missing: use --strategy pages, report it."),
    Check("dialect", "Is the CSV what PHP writes, in one of its two dialects?",
          "Answers are refused as malformed or of another width: report it."),
)
# fmt: on

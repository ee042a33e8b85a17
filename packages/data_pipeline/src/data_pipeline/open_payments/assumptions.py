"""What we take for granted of the source: a list of questions, for ``doctor``. Pure.

Behind each stands a fact of ``facts/open_payments_api.md``. A run does not rest on them: where an answer it needs
contradicts one, the slice is not proved. What of a run covers which (``download``, ``slices``, ``totals``, ``runs``):

=============================================  =========================================================
catalogue, script, dataset_resolves            ``Catalogue.resolve`` and ``runs.must_be_provable``
summary_agrees                                 ``witness.must_not_contradict``, before anything is planned
rows_500_answered, grouped_counts(_sum)        ``TotalsBuilder``: the sum must be the table's own count
date_ranges_as_text, window_counts_tile        ``Slices._cut`` and ``close``: the windows sum to the slice; ``foreign``
conditions_honoured, unknown_parameters        ``foreign`` and ``rows_extra``: every record is of payer and window
download_header, header_is_schema              ``header``, on every answer and every page
dialect, line_end                              ``width``, ``malformed``, ``header``: one strict reading or none
long_answers, zero_rows_header_only            ``error_row``, ``truncated``, ``no_header``; the count before and after
unsorted_answer_complete, sorted_pages         ``repeated_key`` and the count: all ids differ, none is missing
answers_not_kept, fresh_parameter_ignored      counts are always asked past caches, rows from the second try on
encoding_utf8                                  nothing: bytes are kept, hashed and counted as they came
header_titles, row_cap_500, retry_after_form,  nothing needs to: no row depends on them
count_false_spares, caching_headers
=============================================  =========================================================
"""

from __future__ import annotations

from data_pipeline.doctor.checks import Assumption

# In the order in which they are asked: what is cheap first, what others need before them.
# fmt: off
OF_SOURCE: tuple[Assumption, ...] = (
    Assumption("catalogue", "Does the catalogue list years of General Payments?",
               "Runs ask the site's script in its place; if that fails as well, report it.", required=False),
    Assumption("script", "Does the site's script name the dataset of each year?",
               "There is no second route to a year; nothing to do while the catalogue answers.", required=False),
    Assumption("dataset_resolves", "Does the year's dataset answer its distribution id, count and columns?",
               "No run can begin. Is the year published? Check OPEN_PAYMENTS_URL, then report it."),
    Assumption("summary_agrees", "Does the table hold the rows that the summary by reporting entity says?",
               "The table is still being imported: run later. --trust-count fetches what there is."),
    Assumption("rows_500_answered", "Are 500 rows answered to a query for 500?",
               "Counts of companies come in pages of 500: set query.ROWS_PER_QUERY to what is answered."),
    Assumption("row_cap_500", "Are 501 rows refused?",
               "Nothing breaks; larger pages would spare the source requests.", required=False),
    Assumption("count_false_spares", "Does count=false leave the count out?",
               "Each page and download costs the source a COUNT: use fewer streams.", required=False),
    Assumption("unknown_parameters_ignored", "Is a parameter that nobody knows ignored?",
               "If refused, so may be ours that leads past caches: see fresh_parameter_ignored.", required=False),
    Assumption("grouped_counts", "Can rows be counted by payer, for all payers at once?",
               "Runs count company by company, some 3,000 requests, and may miss unlisted payers.", required=False),
    Assumption("grouped_counts_sum", "Do the counts by payer sum to the table's count?",
               "No year can be planned from them: the table is being changed, run later; if it stays, report it."),
    Assumption("date_ranges_as_text", "Are payment dates compared as text, as ranges of days need it?",
               "Large companies cannot be cut into windows: do not fetch those above 60,000 rows, report it."),
    Assumption("window_counts_tile", "Do the counts of a company's windows sum to its own?",
               "No company above 60,000 rows can be proved: run later; if it stays, report it."),
    Assumption("conditions_honoured", "Are the rows of one company all of it, and as many as counted?",
               "No slice can be proved while this lasts: run later; if it stays, report it."),
    Assumption("header_is_schema", "Is a download's header the table's own schema?",
               "Every window will fail as drifted: nothing of it is kept, a person decides."),
    Assumption("header_titles", "Are columns headed by their titles (Change_Type), not machine names?",
               "Runs take both; what reads the raw files by title must take both as well.", required=False),
    Assumption("line_end", "Does every line end in a line feed alone?",
               "Answers are refused as header or malformed: report it."),
    Assumption("caching_headers", "Do downloads say that they may be kept for an hour at most?",
               "A bad answer may be repeated for longer; runs ask past caches from the second try on.", required=False),
    Assumption("answers_not_kept", "Is the same question asked twice answered by the source both times?",
               "A cache may repeat a bad answer; runs ask past it from the second try on.", required=False),
    Assumption("fresh_parameter_ignored", "Does our parameter lead past caches and change nothing else?",
               "A bad answer that a cache keeps cannot be cured, and a count may be an old one: report it."),
    Assumption("zero_rows_header_only", "Is the answer without rows a header alone?",
               "Companies without rows cannot be proved empty: report it."),
    Assumption("sorted_pages_disjoint", "Are two sorted pages disjoint and together whole?",
               "--strategy pages proves nothing; leave it at window.", required=False),
    Assumption("download_header", "Does every download begin with the same header, without rows and at an offset, too?",
               "Answers are refused as header: report it."),
    Assumption("long_answers", "Are more than 5,000 rows answered in one piece?",
               "Windows fail twice, then come as sorted pages; --strategy pages spares the failures.", required=False),
    Assumption("unsorted_answer_complete", "Does an answer without a sort hold every row once?",
               "Windows fail as repeated_key or rows_missing: use --strategy pages, report it."),
    Assumption("dialect", "Is the CSV what PHP writes, in one of its two dialects?",
               "Answers are refused as malformed or of another width: report it."),
    Assumption("encoding_utf8", "Are rows UTF-8, without a byte order mark?",
               "Proofs do not look at it; readers of the raw files will stumble.", required=False),
    Assumption("retry_after_form", "Does an overloaded source say when to come back, in seconds or as a date?",
               "", required=False),
)
# fmt: on

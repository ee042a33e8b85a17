"""Count the rows of every company in a program year, or reuse counts of at most ten days.

Reads the source: one grouped count, or the company list and each company's summary. Writes
metadata/totals/dataset=…/openpayments_companies_totals_by_year_DD-MM-YYYY.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_pipeline.jobs import _options as options

if TYPE_CHECKING:
    from data_pipeline.open_payments.pipeline import TotalsChoice
    from data_pipeline.open_payments.totals import Route
    from data_pipeline.wiring import Context


@options.job_command(help=__doc__)
@options.together(
    options.year,
    options.totals_from,
    options.rescrape_totals,
    options.add_year,
    options.run_id,
    options.lake,
    options.streams,
)
def command(
    year: int,
    totals_from: Route | None,
    rescrape_totals: bool,
    add_year: bool,
    run_id: str | None,
    lake_url: str | None,
    source_max_streams: int | None,
) -> int:
    from data_pipeline.wiring import job_context

    with job_context(
        "build_totals", run_id=run_id, lake_url=lake_url, source_max_streams=source_max_streams
    ) as context:
        choice = options.totals_choice(rescrape=rescrape_totals, add_year=add_year, totals_from=totals_from)
        context.emit(**build(context, year, choice))
    return 0


def build(context: Context, year: int, choice: TotalsChoice) -> dict[str, Any]:
    """Make sure of the totals of a year; gives the fact of the job."""
    resolved = context.pipeline.catalogue.resolve(year)
    found = context.pipeline.totals.ensure(
        resolved, rescrape=choice.rescrape, add_year=choice.add_year, route=choice.route
    )
    if found.how != "cached":
        context.begin(context.run_id or context.default_run_id())
    counted = [rows for rows in found.rows.values() if rows is not None]
    return {
        "status": found.how,
        "year": year,
        "release": resolved.release.name,
        "counted_by": found.route,
        "companies": len(found.rows),
        "companies_in_error": len(found.rows) - len(counted),
        "rows": sum(counted),
        "source_rows": resolved.table.rows,
    }


JOB = (
    options.entrypoint_of(command, "build_totals"),
    "Count the rows of every company in a program year (cached 10 days)",
)

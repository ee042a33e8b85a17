"""Count the rows of every company in a program year, or reuse counts of at most ten days.

Reads the source: one grouped count, or the company list and each company's summary. Writes
metadata/totals/dataset=…/openpayments_companies_totals_by_year_DD-MM-YYYY.json.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.open_payments.source.totals import TotalsChoice


@frame.job(options.dataset, options.year, options.totals, frame.run_id, frame.lake, frame.streams)
def command(context: Context, dataset: str, year: int, totals: TotalsChoice) -> int:
    context.print_fact(**build(context, dataset, year, totals))
    return 0


def build(context: Context, dataset: str, year: int, choice: TotalsChoice) -> dict[str, Any]:
    """Make sure of the totals of a year; gives the fact of the job."""
    from data_pipeline.open_payments.datasets import dataset_named

    resolved = context.pipeline.catalogue.resolve(dataset_named(dataset), year)
    found = context.pipeline.totals.ensure(resolved, choice)
    if found.how != "cached":
        context.begin()
    counted = [rows for rows in found.rows.values() if rows is not None]
    return {
        "status": found.how,
        "dataset": dataset,
        "year": year,
        "release": resolved.release.name,
        "counted_by": found.route,
        "companies": len(found.rows),
        "companies_in_error": len(found.rows) - len(counted),
        "rows": sum(counted),
        "source_rows": resolved.table.rows,
    }


JOB = (
    frame.entrypoint_of(command, "build_totals"),
    "Count the rows of every company in a program year (cached 10 days)",
)
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR]}

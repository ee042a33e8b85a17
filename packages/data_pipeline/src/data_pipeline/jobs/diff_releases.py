"""Compare two proved releases of a year: records added, removed and changed per company, by record id.

A record is changed if anything but its Change_Type and Payment_Publication_Date is; CMS's own
Change_Type is compared with that. Slices of equal content hash are not read again.

Reads the manifests, audits and parts of both releases in the lake, and asks the source nothing.
Writes metadata/diffs/dataset=…/year=…/FROM_to_TO.csv, create-only. Differences are a result:
the status is 0 with or without them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    options.dataset,
    options.year,
    click.option("--from", "older", metavar="RELEASE", help="The older release. Default: the one before --to."),
    click.option("--to", "newer", metavar="RELEASE", help="The newer release. Default: the newest of a committed run."),
    options.company_id,
    click.option(
        "--check-change-type", is_flag=True, help="Check Change_Type in slices of equal content, too: reads them."
    ),
    frame.lake,
)
def command(
    context: Context,
    dataset: str,
    year: int,
    older: str | None,
    newer: str | None,
    company_id: str | None,
    check_change_type: bool,
) -> int:
    from data_pipeline.open_payments.ledger.committed import proved_releases
    from data_pipeline.open_payments.operations import diff

    pair = diff.pair_of(proved_releases(context.store, dataset, year), older, newer)
    comparison = diff.Comparison(context.store, pair, progress=context.progress, check_stop=context.stop.check)
    found = comparison.run(company_id, check_change_type=check_change_type)
    fact = diff.fact_of(found, pair)
    fact["report"] = diff.publish_report(context.store, pair, found, company_id)
    context.explain(*diff.table_of(fact).split("\n"))
    context.print_fact(status="compared", **fact)
    return 0


JOB = (
    frame.entrypoint_of(command, "diff_releases"),
    "Compare two proved releases of a year, record by record",
)
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR]}

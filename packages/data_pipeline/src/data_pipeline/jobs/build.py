"""From the source to answers in one job: fetch and prove a program year, stage it, make tables, marts and a page.

A step with nothing to do is skipped, so the same command again continues after any end, and once all is done it only
asks the source whether anything changed. Several years are made one after the other, then the marts and the pages of
all. A year that fails does not hold up the next one, unless the source does not answer. A part of a year (--max-files,
--slice, --company-id) takes the place of another part, but never of a complete year.

Reads the source, unless --from raw starts with what committed runs hold. Writes what run_pipeline, stage,
build_curated, build_marts and report write. Needs the extras lakehouse, dbt and report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.open_payments.ledger.documents import Selection


@frame.job(
    options.selections,
    options.company_names,
    click.option(
        "--from", "start", type=click.Choice(("source", "raw")), default="source", show_default=True,
        help="raw: the newest committed run of this selection; nothing is fetched, no network is needed.",
    ),
    options.totals,
    options.trust_count,
    frame.dry_run,
    frame.lake,
    frame.streams,
)  # fmt: skip
def command(
    context: Context,
    selections: list[Selection],
    company_names: tuple[str, ...],
    start: Literal["source", "raw"],
    dry_run: bool,
    **ingest: Any,  # noqa: ANN401 - totals and trust_count, as ``run`` takes them
) -> int:
    from data_pipeline.jobs import _steps as steps
    from data_pipeline.jobs._build import Build

    steps.require_everything(context)
    selections = options.with_companies(context, selections, company_names)
    work = Build(context, start, ingest)
    fact = work.plan(selections) if dry_run else work.of(selections)
    context.print_document(fact)
    return fact.exit_code


JOB = (frame.entrypoint_of(command, "build"), "Fetch program years, and make tables, marts and pages of them")
# On a cluster the steps are jobs of their own: each has only the rights and the memory that it needs.
KUBERNETES = None

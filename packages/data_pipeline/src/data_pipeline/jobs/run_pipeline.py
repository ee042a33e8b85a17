"""Resolve, count, plan, fetch, prove and commit a program year, or a part of it, in one process.

Reads the source. Writes everything a run has: totals, plan, raw parts, audits, manifest,
report; and before the manifest of a whole year CMS's own summaries of it. With --upload-to the committed run is then
copied to another lake. The same command again finishes what is open and fetches nothing twice.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import TotalsChoice


@frame.job(
    options.selection,
    options.company_names,
    options.strategy,
    options.totals,
    click.option("--upload-to", metavar="URL", help="Copy the committed run to this lake, its manifest last."),
    options.running,
)
def command(
    context: Context,
    selection: Selection,
    company_names: tuple[str, ...],
    totals: TotalsChoice,
    upload_to: str | None,
    **how: Any,  # noqa: ANN401 - strategy, trust_count, dry_run
) -> int:
    from data_pipeline.open_payments.run import run

    (selection,) = options.with_companies(context, [selection], company_names)
    with contextlib.ExitStack() as opened:
        other = None
        if upload_to is not None:
            other = opened.enter_context(contextlib.closing(context.open_store(upload_to, named="--upload-to")))
        fact = run(
            context, selection, run_id=context.run_id, totals=totals, upload_to=other, on_start=context.begin, **how
        )
    return options.show(context, fact)


JOB = (
    frame.entrypoint_of(command, "run_pipeline"),
    "Fetch, prove and commit a program year, or a part of it",
)
KUBERNETES = {
    "args": ["--year", options.NEWEST_YEAR, "--max-files", "20"],
    "service_account": "data-pipeline-runner",
}

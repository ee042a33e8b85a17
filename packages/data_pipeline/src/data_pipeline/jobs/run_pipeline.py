"""Resolve, count, plan, fetch, prove and commit a program year, or a part of it, in one process.

Reads the source. Writes everything a run has: totals, plan, raw parts, audits, manifest,
report. With --upload-to the committed run is then copied to another lake. The same command
again finishes what is open and fetches nothing twice.
"""

from __future__ import annotations

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
    options.strategy,
    options.totals,
    click.option("--upload-to", metavar="URL", help="Copy the committed run to this lake, its manifest last."),
    options.running,
)
def command(context: Context, selection: Selection, totals: TotalsChoice, **how: Any) -> int:  # noqa: ANN401 - options
    from data_pipeline.jobs import _running

    return _running.run_selection(context, selection, totals, with_manifest=True, **how)


JOB = (
    frame.entrypoint_of(command, "run_pipeline"),
    "Fetch, prove and commit a program year, or a part of it",
)

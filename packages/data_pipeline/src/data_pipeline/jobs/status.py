"""Show how far a run is: proved, empty, failed by reason and open slices, rows, bytes, the age of the last proof.

Reads the run's plan, manifest and failed attempts, and lists its audits and parts; never asks the
source. Writes nothing. The table goes to stderr, its fact to stdout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(click.option("--run-id", help="The run to show. Default: the newest one."), frame.lake)
def command(context: Context) -> int:
    from data_pipeline.open_payments.ledger.documents import Plan
    from data_pipeline.open_payments.operations.status import progress_of_run, table_of
    from data_pipeline.runs.plans import newest_run

    context.run_id = context.run_id or newest_run(Plan, context.store)
    fact = progress_of_run(context.store, context.run_id, context.now())
    context.explain(*table_of(context.run_id, fact, context.store.url).split("\n"))
    context.print_fact(**fact)
    return 0


JOB = (frame.entrypoint_of(command, "status"), "Show the progress of a run, from the lake alone")

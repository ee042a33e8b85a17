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


# A slice is proved every few seconds.
WATCH_SECONDS = 5.0


@frame.job(
    frame.existing_run("The run to show. Default: the newest one."),
    click.option("--watch", is_flag=True, help="Show it again every few seconds, until the run is committed."),
    frame.lake,
)
def command(context: Context, watch: bool) -> int:
    from data_pipeline.jobs._runs import DOMAINS
    from data_pipeline.open_payments.operations.status import progress_of_run, table_of
    from data_pipeline.runs.listing import newest
    from data_pipeline.runs.plans import domain_of

    context.run_id = context.run_id or newest(context.store, DOMAINS)
    if domain_of(context.store, context.run_id):
        return _show_outline(context)
    fact = progress_of_run(context.store, context.run_id, context.now())
    context.explain(*table_of(context.run_id, fact, context.store.url).split("\n"))
    while watch and not fact["committed"]:
        context.stop.sleep(WATCH_SECONDS)
        fact = progress_of_run(context.store, context.run_id, context.now())
        context.explain("", *table_of(context.run_id, fact, context.store.url).split("\n"))
    if fact["failed"] or fact["open"]:
        context.suggest("rerun", "--run-id", context.run_id, "--missing")
    context.print_fact(**fact)
    return 0


def _show_outline(context: Context) -> int:
    """A run of another domain, as ``runs`` lists it: its own job says more."""
    from dataclasses import asdict

    from data_pipeline.jobs._runs import lines_of
    from data_pipeline.runs.listing import listed_run

    run = listed_run(context.store, context.run_id)
    context.explain(*lines_of([run]))
    context.print_fact(**asdict(run))
    return 0


JOB = (frame.entrypoint_of(command, "status"), "Show the progress of a run, from the lake alone")

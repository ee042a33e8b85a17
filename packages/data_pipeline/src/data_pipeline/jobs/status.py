"""Show how far a run is: proved, empty, failed by reason and open slices, rows, bytes, the age of the last proof.

Reads the run's plan, manifest and failed attempts, and lists its audits and parts; never asks the
source. Writes nothing. The table goes to stderr, its fact to stdout.
"""

from __future__ import annotations

import click

from data_pipeline.jobs import _options as options


@options.job_command(help=__doc__)
@click.option("--run-id", help="The run to show. Default: the newest one.")
@options.together(options.as_json, options.lake)
def command(run_id: str | None, as_json: bool, lake_url: str | None) -> int:
    from data_pipeline.open_payments.status import newest_run, status_of, table_of
    from data_pipeline.wiring import job_context

    with job_context("status", run_id=run_id, lake_url=lake_url) as context:
        context.run_id = context.run_id or newest_run(context.store)
        fact = status_of(context.store, context.run_id, context.now())
        if not as_json:
            click.echo(table_of(context.run_id, fact, context.store.url), err=True)
        context.emit(**fact)
    return 0


JOB = (options.entrypoint_of(command, "status"), "Show how far a run is, from the lake alone")

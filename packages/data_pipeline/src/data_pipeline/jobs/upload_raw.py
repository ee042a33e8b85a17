"""Copy a committed run to another lake: parts and audits first, its manifest last.

Reads the lake of the run and lists the other. Writes there what is missing, create-only; what
is there with the same content is left, other content under the same key is a conflict.
"""

from __future__ import annotations

import click

from data_pipeline.jobs import _options as options


@options.job_command(help=__doc__)
@click.option("--run-id", required=True, help="The committed run to copy.")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="URL",
    help="The other lake: a folder, file:///… or s3://bucket/prefix.",
)
@options.together(options.overwrite, options.dry_run, options.lake)
def command(run_id: str, target: str, overwrite: bool, dry_run: bool, lake_url: str | None) -> int:
    from data_pipeline.jobs import _running
    from data_pipeline.wiring import job_context

    with job_context("upload_raw", run_id=run_id, lake_url=lake_url) as context:
        context.emit(**_running.upload(context, run_id, target, overwrite=overwrite, dry_run=dry_run))
    return 0


JOB = (
    options.entrypoint_of(command, "upload_raw"),
    "Copy a committed run to another lake, create-only, its manifest last",
)

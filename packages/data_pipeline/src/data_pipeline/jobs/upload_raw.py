"""Copy a committed run to another lake: parts and audits first, its manifest last.

Reads the lake of the run and lists the other. Writes there what is missing, create-only; what
is there with the same content is left, other content under the same key is a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--run-id", required=True, help="The committed run to copy."),
    click.option("--to", "target", required=True, metavar="URL", help="The other lake, as --lake names one."),
    frame.overwrite,
    frame.dry_run,
    frame.lake,
)
def command(context: Context, target: str, overwrite: bool, dry_run: bool) -> int:
    from data_pipeline.jobs import _running

    context.print_fact(**_running.upload(context, context.run_id, target, overwrite=overwrite, dry_run=dry_run))
    return 0


JOB = (
    frame.entrypoint_of(command, "upload_raw"),
    "Copy a committed run to another lake, create-only, its manifest last",
)

"""Copy a committed run to another lake: parts and audits first, its manifest last.

Reads the lake of the run and lists the other. Writes what is missing there, create-only: an object
with the same content stays, one with other content under the same key is a conflict.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from etl_core.stdio import say

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
    from data_pipeline.open_payments.run import upload

    with contextlib.closing(context.open_store(target, named="--to")) as other:
        fact = upload(
            context.store,
            other,
            context.run_id,
            overwrite=overwrite,
            dry_run=dry_run,
            on_file=say,
        )
    context.print_fact(**fact.model_dump())
    return 0


JOB = (frame.entrypoint_of(command, "upload_raw"), "Copy a committed run to another lake")
KUBERNETES = {"args": ["--run-id", "2026-11-21T03-50-27", "--to", "s3://another-lake/prefix"]}

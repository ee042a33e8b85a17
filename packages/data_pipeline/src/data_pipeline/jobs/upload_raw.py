"""Copy a committed run to another lake: parts and audits first, its manifest last.

--with-build then copies its staged parts and the build that readers see of them, its manifest last, so
that the copy gives the same answers. A build keeps its number: a lake that has a later one refuses it.

Reads the lake of the run and lists the other. Writes what is missing there, create-only: an object
with the same content stays, one with other content under the same key is a conflict.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _tables as tables
from etl_core.stdio import say

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.runs.copying import Copying


@frame.job(
    frame.existing_run("The committed run to copy."),
    click.option("--to", "target", required=True, metavar="URL", help="The other lake, as --lake names one."),
    click.option("--with-build", is_flag=True, help="Copy the staged parts and the build made of the run, too."),
    frame.overwrite,
    frame.dry_run,
    frame.lake,
)
def command(context: Context, target: str, with_build: bool, overwrite: bool, dry_run: bool) -> int:
    from data_pipeline.open_payments.ledger.committed import open_run
    from data_pipeline.open_payments.run import upload
    from data_pipeline.runs.copying import Copying

    def on_file(line: str) -> None:
        context.stop.check()
        say(line)

    run = open_run(context.store, frame.require_run(context))
    build = tables.build_of(context, run) if with_build else None
    with contextlib.closing(context.open_store(target, named="--to")) as other:
        fact = upload(context.store, other, context.run_id, overwrite=overwrite, dry_run=dry_run, on_file=on_file)
        copying = Copying(context.store, other, overwrite, dry_run, on_file)
        copied = copy_of(copying, run, build) if build is not None else {}
    if not dry_run:
        context.suggest("verify", "--run-id", context.run_id, lake=target)
    context.print_fact(**fact.model_dump(), **copied)
    return 0


def copy_of(copying: Copying, run: Run, build: BuildManifest) -> dict[str, Any]:
    """Copy a build; what the fact says of it."""
    from dataclasses import asdict

    from data_pipeline.lakehouse.copying import copy_build

    copied = copy_build(copying, build, (part.key for part in run.parts()))
    return {"build": {"build": build.build, "number": build.number, **asdict(copied)}}


JOB = (frame.entrypoint_of(command, "upload_raw"), "Copy a committed run, and its build, to another lake")
KUBERNETES = {"args": ["--run-id", "2026-11-21T03-50-27", "--to", "s3://another-lake/prefix"]}

"""List orphaned files of the lake; with --delete, delete them.

Orphans are parts that a killed run published and never proved, and audits of other windows of a
slice that is closed (their parts are orphans afterwards). Whatever an audit, a slice.jsonl or a
manifest names is kept, and so is every slice of an unfinished run: commit it with write_manifest.

Reads the lake. Writes nothing; deletes only with --delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from etl_core.stdio import say

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--delete", is_flag=True, help="Delete what is listed."),
    click.option(
        "--older-than-hours", type=frame.FiniteFloat(0, 1_000_000), default=24, show_default=True,
        help="Only files written longer ago: a running run publishes a part shortly before its proof.",
    ),
    frame.lake,
)  # fmt: skip
def command(context: Context, delete: bool, older_than_hours: float) -> int:
    from datetime import timedelta

    from data_pipeline.open_payments.operations.gc import remove, unnamed

    found = unnamed(context.store, context.now() - timedelta(hours=older_than_hours))
    removed = []
    for entry in found:
        context.stop.check()
        if delete and remove(context.store, entry):
            removed.append(entry)
        word = "orphan" if not delete else "removed" if entry in removed[-1:] else "kept, it is proved now"
        say(f"{word}  {entry.key}  {entry.size:,} bytes  {entry.modified:%Y-%m-%d %H:%M}")
    chosen = removed if delete else found
    context.print_fact(
        status="removed" if removed else "listed" if found and not delete else "nothing to remove",
        objects=len(chosen),
        bytes=sum(entry.size for entry in chosen),
    )
    return 0


JOB = (frame.entrypoint_of(command, "gc"), "List or delete orphaned files")

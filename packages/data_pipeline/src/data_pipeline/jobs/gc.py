"""List, and with --delete remove, what nothing in the lake names: parts without a proof, superfluous proofs.

Parts that a killed run published and never proved, and audits of another cut of a slice that is
closed (their parts go with the next gc). Never what an audit, a slice.jsonl or a manifest names,
nor anything in the slices of an unfinished plan: commit such a run with write_manifest first.

Reads the lake. Writes nothing; removes only with --delete.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--delete", is_flag=True, help="Remove what is listed."),
    click.option(
        "--older-than-hours", type=frame.FiniteFloat(0, 1_000_000), default=24, show_default=True,
        help="Only objects older than this: a running job publishes a part shortly before its proof.",
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
        word = "unnamed" if not delete else "removed" if entry in removed[-1:] else "kept, it is proved now"
        click.echo(f"{word}  {entry.key}  {entry.size:,} bytes  {entry.modified:%Y-%m-%d %H:%M}", err=True)
    chosen = removed if delete else found
    context.print_fact(
        status="removed" if removed else "listed" if found and not delete else "nothing to remove",
        objects=len(chosen),
        bytes=sum(entry.size for entry in chosen),
    )
    return 0


JOB = (frame.entrypoint_of(command, "gc"), "List, or remove, what nothing in the lake names")

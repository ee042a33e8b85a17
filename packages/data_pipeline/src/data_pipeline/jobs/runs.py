"""List the runs of a lake, the newest first: when each was begun, of what, and how it ended.

Reads pointers, plans and manifests. Writes nothing. The table goes to stderr, its fact to stdout.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many."),
    frame.lake,
)
def command(context: Context, limit: int) -> int:
    from dataclasses import asdict

    from data_pipeline.jobs._runs import DOMAINS, lines_of
    from data_pipeline.runs.listing import listed

    found = list(islice(listed(context.store, DOMAINS), limit))
    context.explain(*lines_of(found) if found else ["no run yet"])
    if found:
        context.suggest("status", "--run-id", found[0].run_id)
    context.print_fact(status="listed", runs=[asdict(one) for one in found])
    return 0


JOB = (frame.entrypoint_of(command, "runs"), "List the runs of a lake, the newest first")

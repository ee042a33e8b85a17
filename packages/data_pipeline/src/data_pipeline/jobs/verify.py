"""Read a committed run again, check every byte and count of it, and name what does not match.

From the lake alone: a flipped bit, a missing or extra file, slices swapped with their audits, an
audit edited alone or with its file. Only with --against-source, by the source's counts: audits
edited with their file and every sum above them, an older manifest restored with its files. An
edit of all of these that keeps every count can only be found by a signed digest.

Reads the run's plan, manifest, audits and parts; with --against-source the source's counts: one of
the year, one by company. Writes nothing. Ends with 3 if there is a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    frame.existing_run("The committed run to verify."),
    click.option("--against-source", is_flag=True, help="Compare its counts with the source's, too."),
    frame.lake,
)
def command(context: Context, against_source: bool) -> int:
    from dataclasses import asdict

    from data_pipeline.open_payments.operations.verify import verify_run
    from etl_core.errors import DONE, PERMANENT

    verified = verify_run(
        context.store,
        frame.require_run(context),
        source=context.source if against_source else None,
        progress=context.progress,
        check_stop=context.stop.check,
    )
    for one in verified.findings:
        context.explain(f"{one.finding}  {one.key}: {one.detail}")
    status = "faulty" if verified.findings else "verified"
    context.print_fact(status=status, against_source=against_source, **asdict(verified))
    return PERMANENT.code if verified.findings else DONE.code


JOB = (frame.entrypoint_of(command, "verify"), "Read a committed run again and check every byte and count")
KUBERNETES = {"args": ["--run-id", "2026-11-21T03-50-27"]}

"""Commit a run: write its manifest from its plan, its audits and the source's counts now.

Reads the lake, and asks the source twice. Writes manifest.json (once), file_audits.jsonl and
download_report_YEAR.csv. A run that is committed already is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(click.option("--run-id", required=True, help="The run to commit."), frame.lake)
def command(context: Context) -> int:
    from data_pipeline.jobs import _running
    from data_pipeline.open_payments.ledger import plans

    plan = plans.require_plan(context.store, context.run_id)
    manifest = plans.read_manifest(context.store, context.run_id)
    if manifest is None:
        context.begin(context.run_id)
        manifest = context.pipeline.commit(plan, [])
    context.print_fact(**_running.show_manifest(context, manifest), release=manifest.release.name)
    return _running.status_of_attempts(context, manifest)


JOB = (
    frame.entrypoint_of(command, "write_manifest"),
    "Commit a run: write its manifest, audits file and report",
)

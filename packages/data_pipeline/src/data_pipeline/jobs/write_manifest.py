"""Commit a run: write its manifest from its plan, its audits and the source's counts now.

Reads the lake, and asks the source twice. Writes manifest.json (once), file_audits.jsonl and
download_report_YEAR.csv. A committed run stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(frame.existing_run("The run to commit."), frame.lake)
def command(context: Context) -> int:
    from data_pipeline.open_payments.run import commit

    return options.show(context, commit(context, frame.require_run(context), on_start=context.begin))


JOB = (
    frame.entrypoint_of(command, "write_manifest"),
    "Commit a run: write its manifest, audits file and report",
)
KUBERNETES = {"args": ["--run-id", "2026-11-21T03-50-27"]}

"""Fetch and prove the slice of one company; a slice proved before is not fetched again.

Reads the source. Writes the raw parts, their audits and slice.jsonl, and under the run its
plan and failed attempts. The run's manifest is write_manifest's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.open_payments.ledger.documents import Selection


@frame.job(
    options.one_company,
    options.strategy,
    options.running,
)
def command(context: Context, selection: Selection, **how: Any) -> int:  # noqa: ANN401 - strategy, trust_count, dry_run
    from data_pipeline.open_payments.run import run

    fact = run(
        context,
        selection,
        run_id=context.run_id,
        with_manifest=False,
        job=context.job,
        on_start=context.begin,
        **how,
    )
    return options.show(context, fact)


JOB = (frame.entrypoint_of(command, "download_company"), "Fetch and prove the slice of one company")
KUBERNETES = {
    "args": ["--year", options.NEWEST_YEAR, "--company-id", "100000000053"],
    "service_account": "data-pipeline-worker",
}

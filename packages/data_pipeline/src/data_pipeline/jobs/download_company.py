"""Fetch and prove the slice of one company; a slice proved before is not fetched again.

Reads the source. Writes the raw parts, their audits and slice.json, and under the run its
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
def command(context: Context, selection: Selection, **how: Any) -> int:  # noqa: ANN401 - options
    from data_pipeline.jobs import _running
    from data_pipeline.open_payments.source.totals import TotalsChoice

    return _running.run_selection(context, selection, TotalsChoice(), with_manifest=False, **how)


JOB = (frame.entrypoint_of(command, "download_company"), "Fetch and prove the slice of one company")

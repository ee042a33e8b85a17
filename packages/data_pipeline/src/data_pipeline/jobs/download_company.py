"""Fetch and prove the slice of one company; a slice proved before is not fetched again.

Reads the source. Writes the raw parts, their audits and slice.json, and under the run its
plan and failed attempts. The run's manifest is write_manifest's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _options as options

if TYPE_CHECKING:
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.wiring import Context


@options.job(
    options.dataset,
    options.year,
    click.option("--company-id", required=True, callback=options.company_id_callback, help="The company, by its id."),
    options.strategy,
    options.running,
)
def command(context: Context, selection: Selection, **how: Any) -> int:  # noqa: ANN401 - options
    from data_pipeline.jobs import _running
    from data_pipeline.open_payments.source.totals import TotalsChoice

    return _running.run_selection(context, selection, TotalsChoice(), with_manifest=False, **how)


JOB = (options.entrypoint_of(command, "download_company"), "Fetch and prove the slice of one company")

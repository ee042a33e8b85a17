"""Work on what a run left open, as a run of its own: fetch, prove and commit it.

--failed takes the companies of its plan whose last attempt in that run failed, --missing all
without a proved slice; what has been proved since, by whatever run, is left out. The same command
again goes on with a rerun that was broken off. The rows must still be there: if the source has
published anew, run the pipeline anew.

Reads the run's plan, attempts and audits, and the source. Writes what run_pipeline writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--run-id", "rerun_of", required=True, help="The run whose open slices to work on."),
    click.option("--failed", is_flag=True, help="Those whose last attempt failed."),
    click.option("--missing", is_flag=True, help="All that are not proved."),
    options.strategy,
    frame.dry_run,
    frame.lake,
    frame.streams,
)
def command(context: Context, rerun_of: str, failed: bool, missing: bool, **how: Any) -> int:  # noqa: ANN401 - options
    from data_pipeline.jobs import _running
    from data_pipeline.open_payments.ledger import open_work, plans
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import TotalsChoice
    from etl_core.errors import DONE, UsageError

    if failed == missing:
        raise UsageError("say either --failed or --missing.")
    what: Literal["failed", "missing"] = "failed" if failed else "missing"
    before, companies = open_work.open_companies(context.store, rerun_of, what)
    asked = before.selection
    selection = Selection(dataset=asked.dataset, year=asked.year, rerun_of=rerun_of, rerun_what=what)
    if not companies and plans.find_run(context.store, selection, before.release) is None:
        click.echo(f"nothing of run {rerun_of} is left {what}; nothing was fetched", err=True)
        context.print_fact(status="already done", rerun_of=rerun_of, planned=0, release=before.release.name)
        return DONE.code
    return _running.run_selection(context, selection, TotalsChoice(), with_manifest=True, **how)


JOB = (frame.entrypoint_of(command, "rerun"), "Work on what a run left open, as a run of its own")

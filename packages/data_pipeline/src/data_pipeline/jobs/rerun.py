"""Retry the failed or missing companies of a run, as a run of its own: fetch, prove and commit them.
Of a run of customers: the pages that it could not fetch.

--failed takes the companies whose last attempt in that run failed, --missing all without a proved
slice. What any run has proved since is left out. The same command again continues an interrupted
rerun. The release must still be the source's newest; otherwise start a new run of the pipeline.

Reads the run's plan, attempts and audits, and the source. Writes what run_pipeline writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    frame.existing_run("The run to retry."),
    click.option("--failed", is_flag=True, help="Companies whose last attempt failed."),
    click.option("--missing", is_flag=True, help="All companies that are not proved."),
    options.strategy,
    frame.dry_run,
    frame.lake,
    frame.streams,
)
def command(context: Context, failed: bool, missing: bool, **how: Any) -> int:  # noqa: ANN401 - options
    from data_pipeline.customers.documents import DATASET as CUSTOMERS
    from data_pipeline.customers.run import rerun as rerun_customers
    from data_pipeline.jobs import _customers as customers
    from data_pipeline.open_payments.run import rerun
    from data_pipeline.runs.plans import domain_of
    from etl_core.errors import UsageError

    rerun_of, context.run_id = frame.require_run(context), ""  # the rerun has a name of its own
    if failed == missing:
        raise UsageError("name either --failed or --missing.")
    if domain_of(context.store, rerun_of) == CUSTOMERS:
        if how["dry_run"]:
            raise UsageError("--dry-run is not for runs of customers: their manifest names the pages.")
        return customers.show(context, rerun_customers(context.crm, rerun_of, on_start=context.begin))
    fact = rerun(context, rerun_of, "failed" if failed else "missing", on_start=context.begin, **how)
    return options.show(context, fact)


JOB = (frame.entrypoint_of(command, "rerun"), "Retry the failed or missing companies of a run, or its failed pages")
KUBERNETES = {
    "args": ["--run-id", "2026-11-21T03-50-27", "--missing"],
    "service_account": "data-pipeline-runner",
}

"""Fetch all customers of a CRM whose API fails, prove that none is missing, and write one CSV of them.

Pages are stored as they come, so a run that was stopped or killed continues with the next page. The list is
proved if there are as many different customers as the API states, before and after; else all pages are
fetched again, and what still does not add up is reported in numbers, with exit code 4. Without options the
newest unfinished run is continued; if today's is completed there is nothing to do.

Reads API_BASE_URL with API_TOKEN. Writes raw/customers/…: pages and the CSV; the run's plan, failed
attempts, manifest and execution report.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(
    click.option("--new", is_flag=True, help="Begin a run, whatever there is already."),
    click.option(
        "--retry-failed", is_flag=True, help="Only the pages that the newest run could not fetch: its dead letters."
    ),
    click.option(
        "--local",
        type=click.Path(path_type=Path),
        metavar="PATH",
        help="Keep a copy of the CSV in this file or folder.",
    ),
    frame.run_id,
    frame.lake,
)
def command(context: Context, new: bool, retry_failed: bool, local: Path | None) -> int:
    from data_pipeline.customers.run import ingest
    from data_pipeline.jobs import _customers as customers
    from etl_core.errors import UsageError

    if retry_failed and (new or context.run_id):
        raise UsageError("--retry-failed is about the newest run: leave out --new and --run-id.")
    if retry_failed:
        ended = customers.retry_newest(context)
    else:
        ended = ingest(context.crm, context.run_id, new=new, on_start=context.begin)
    return customers.show(context, ended, local)


JOB = (frame.entrypoint_of(command, "ingest_customers"), "Fetch all customers of a CRM, prove that none is missing")
# The Secret has API_BASE_URL and API_TOKEN.
KUBERNETES = {"service_account": "data-pipeline-customers", "secret": "data-pipeline-crm"}

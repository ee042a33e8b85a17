"""Work on what a run left open, as a run of its own: fetch, prove and commit it.

--failed takes the companies of its plan whose last attempt in that run failed, --missing all
without a proved slice; what has been proved since, by whatever run, is left out. The same command
again goes on with a rerun that was broken off. The rows must still be there: if the source has
published anew, run the pipeline anew.

Reads the run's plan, attempts and audits, and the source. Writes what run_pipeline writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from data_pipeline.jobs import _options as options

if TYPE_CHECKING:
    from data_pipeline.open_payments.download import Strategy


@options.job_command(help=__doc__)
@click.option("--run-id", required=True, help="The run whose open slices to work on.")
@click.option("--failed", is_flag=True, help="Those whose last attempt failed.")
@click.option("--missing", is_flag=True, help="All that are not proved.")
@options.together(options.strategy, options.dry_run, options.lake, options.streams)
def command(
    run_id: str,
    failed: bool,
    missing: bool,
    strategy: Strategy,
    dry_run: bool,
    lake_url: str | None,
    source_max_streams: int | None,
) -> int:
    from data_pipeline.jobs import _running
    from data_pipeline.open_payments import runs
    from data_pipeline.open_payments.facts import Selection
    from data_pipeline.wiring import job_context
    from etl_core.errors import DONE, UsageError

    if failed == missing:
        raise UsageError("say either --failed or --missing.")
    with job_context("rerun", lake_url=lake_url, source_max_streams=source_max_streams) as context:
        what: Literal["failed", "missing"] = "failed" if failed else "missing"
        before, companies = runs.left_of(context.store, run_id, what)
        asked = before.selection
        selection = Selection(dataset=asked.dataset, year=asked.year, rerun_of=run_id, rerun_what=what)
        if not companies and runs.find_run(context.store, selection, before.release) is None:
            click.echo(f"nothing of run {run_id} is left {what}; nothing was fetched", err=True)
            context.emit(status="already done", rerun_of=run_id, planned=0, release=before.release.name)
            return DONE.code
        return _running.run_selection(
            context,
            selection,
            options.totals_choice(rescrape=False, add_year=False, totals_from=None),
            strategy=strategy,
            trust_count=True,  # it is the release that was held against a witness when the run was planned
            dry_run=dry_run,
            with_manifest=True,
        )


JOB = (options.entrypoint_of(command, "rerun"), "Work on what a run left open, as a run of its own")

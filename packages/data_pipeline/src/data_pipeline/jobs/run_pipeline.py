"""Resolve, count, plan, fetch, prove and commit a program year, or a part of it, in one process.

Reads the source. Writes everything a run has: totals, plan, raw parts, audits, manifest,
report. With --upload-to the committed run is then copied to another lake. The same command
again finishes what is open and fetches nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _options as options

if TYPE_CHECKING:
    from data_pipeline.open_payments.download import Strategy
    from data_pipeline.open_payments.totals import Route


@options.job_command(help=__doc__)
@options.together(
    options.dataset,
    options.year,
    options.company_id,
    options.max_files,
    options.slice_of,
    options.strategy,
    options.totals_from,
    options.rescrape_totals,
    options.add_year,
)
@click.option("--upload-to", metavar="URL", help="Copy the committed run to this lake, its manifest last.")
@options.together(options.trust_count, options.dry_run, options.run_id, options.lake, options.streams)
def command(
    dataset: str,
    year: int,
    company_id: str | None,
    max_files: int | None,
    slice_of: str | None,
    strategy: Strategy,
    totals_from: Route | None,
    rescrape_totals: bool,
    add_year: bool,
    upload_to: str | None,
    trust_count: bool,
    dry_run: bool,
    run_id: str | None,
    lake_url: str | None,
    source_max_streams: int | None,
) -> int:
    from data_pipeline.jobs import _running
    from data_pipeline.wiring import job_context

    selection = options.selection_of(dataset, year, company_id, max_files, slice_of)
    with job_context(
        "run_pipeline", run_id=run_id, lake_url=lake_url, source_max_streams=source_max_streams
    ) as context:
        return _running.run_selection(
            context,
            selection,
            options.totals_choice(rescrape=rescrape_totals, add_year=add_year, totals_from=totals_from),
            strategy=strategy,
            trust_count=trust_count,
            dry_run=dry_run,
            with_manifest=True,
            upload_to=upload_to,
        )


JOB = (
    options.entrypoint_of(command, "run_pipeline"),
    "Fetch, prove and commit a program year, or a part of it",
)

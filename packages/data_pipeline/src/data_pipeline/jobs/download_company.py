"""Fetch and prove the slice of one company; a slice proved before is not fetched again.

Reads the source. Writes the raw parts, their audits and slice.json, and under the run its
plan and failed attempts. The run's manifest is write_manifest's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _options as options

if TYPE_CHECKING:
    from data_pipeline.open_payments.download import Strategy


@options.job_command(help=__doc__)
@options.together(options.dataset, options.year)
@click.option(
    "--company-id",
    required=True,
    callback=options.company_id_callback,
    help="The company, by its id (digits).",
)
@options.together(options.strategy, options.trust_count, options.dry_run, options.run_id, options.lake, options.streams)
def command(
    dataset: str,
    year: int,
    company_id: str,
    strategy: Strategy,
    trust_count: bool,
    dry_run: bool,
    run_id: str | None,
    lake_url: str | None,
    source_max_streams: int | None,
) -> int:
    from data_pipeline.jobs import _running
    from data_pipeline.wiring import job_context

    selection = options.selection_of(dataset, year, company_id, None, None)
    with job_context(
        "download_company", run_id=run_id, lake_url=lake_url, source_max_streams=source_max_streams
    ) as context:
        return _running.run_selection(
            context,
            selection,
            options.totals_choice(rescrape=False, add_year=True, totals_from=None),
            strategy=strategy,
            trust_count=trust_count,
            dry_run=dry_run,
            with_manifest=False,
        )


JOB = (options.entrypoint_of(command, "download_company"), "Fetch and prove the slice of one company")

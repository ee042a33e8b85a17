"""Make one build of a dataset's year from its staged parts: its records sorted, products, companies, recipients.

The numbered manifest is the commit: readers see the old build or the new one. The same inputs give the same build, and
then nothing is done. A build of a partial run says so, and never takes the place of one of a closed run.

Reads the run's manifest and audits, and its staged parts. Writes curated/…, and last
metadata/curated/…, create-only. Needs the extra lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(tables.committed)
def command(context: Context, dataset: str | None, year: int | None) -> int:
    from data_pipeline.lake_layout import lakehouse as keys
    from data_pipeline.lakehouse.facts import BuildFact

    run = tables.chosen_run(context, dataset, year)
    curation = tables.curation_of(context, run)
    before = curation.current()
    if before is None:
        context.begin(run.manifest.run_id)
    build = before or curation.run()
    context.print_document(
        BuildFact(
            run_id=build.run_id,
            dataset=build.dataset,
            year=build.year,
            release=build.release,
            status="built" if before is None else "already built",
            closed=build.closed,
            contract=build.contract,
            build=build.build,
            manifest=keys.build_manifest(build.scope, build.number),
            rows=build.rows,
            quarantined=build.quarantined,
            tables={name: sum(one.rows for one in files) for name, files in build.tables.items()},
            bytes=sum(one.bytes for one in build.files),
            **context.said_by_all,
        )
    )
    return 0


JOB = (frame.entrypoint_of(command, "build_curated"), "Make the tables of a dataset's year from its staged parts")
# LAKEHOUSE_MEMORY_MB, and the process itself; a year's files twice, and what DuckDB spills.
KUBERNETES = {"args": ["--year", "2025"], "pod": {"memory": "2Gi", "scratch": "10Gi"}}

"""Load the build of a dataset's year into PostgreSQL or Redshift, beside the lake.

The build is loaded beside what is there, its rows and sums are compared with its manifest, and then readers see it, all
tables at once; on a difference they see what they saw before. A build that is there is not loaded again. CMS's own
summaries of the year go there with it. Redshift reads the build's files itself. Nothing runs this job unless you do:
WAREHOUSE_URL says where to.

Reads a build's manifest and files, and CMS's summaries of its year. Writes tables and views of the schema
WAREHOUSE_SCHEMA there, and nothing into the lake. Needs the extras lakehouse and, for PostgreSQL, db.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _steps as steps
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(tables.committed)
def command(context: Context, dataset: str | None, year: int | None) -> int:
    from data_pipeline.lakehouse.facts import WarehouseFact
    from data_pipeline.lakehouse.warehouse import Load, read_summary
    from etl_core.lake import scratch_folder

    build = tables.chosen_build(context, dataset, year)
    source, columns = tables.columns_for(context, build)
    with scratch_folder(context.store) as folder:
        summaries = [read_summary(context.store, one, folder) for one in steps.summaries_of(context, {build.year})]
    with context.warehouse() as warehouse:
        schema = context.settings.warehouse_schema
        load = Load(build, warehouse, schema, columns, source.amount, summaries, context.progress)
        is_loaded = load.is_loaded()
        if not is_loaded:
            context.begin(build.run_id)
            load.run()
    context.print_document(
        WarehouseFact(
            status="already loaded" if is_loaded else "loaded",
            warehouse=warehouse.kind,
            warehouse_schema=load.schema,
            **tables.said_of(build),
            **context.said_by_all,
        )
    )
    return 0


JOB = (frame.entrypoint_of(command, "load_warehouse"), "Load a build into PostgreSQL or Redshift, checked")
# The Secret has WAREHOUSE_URL. LAKEHOUSE_MEMORY_MB, and the process itself; one file of a build if the lake is in S3.
KUBERNETES = {
    "args": ["--year", "2025"],
    "pod": {"memory": "2Gi", "scratch": "5Gi"},
    "secret": "data-pipeline-warehouse",
}

"""Make one build of a dataset's year from its staged parts: its records sorted, products, companies, recipients.

The numbered manifest is the commit: readers see the old build or the new one. The same inputs give the same build, and
then nothing is done. A build of a partial run says so, and never takes the place of one of a closed run.

Reads the run's manifest and audits, and its staged parts. Writes curated/…, and last
metadata/curated/…, create-only. Needs the extra lakehouse, or spark: with it the records are sorted by Spark, and
what follows from them is made by DuckDB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _steps as steps
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context


@frame.job(tables.committed_of_any_domain, tables.engine)
def command(context: Context, dataset: str | None, year: int | None, engine: tables.EngineName) -> int:
    fact = steps.curate(context, tables.chosen_origin(context, dataset, year), engine=engine)
    context.suggest("query", f"FROM {next(iter(fact.tables))} LIMIT 5")
    context.print_document(fact)
    return 0


JOB = (frame.entrypoint_of(command, "build_curated"), "Make the tables of a dataset's year from its staged parts")
# LAKEHOUSE_MEMORY_MB, and the process itself; a year's files twice, and what DuckDB spills.
KUBERNETES = {"args": ["--year", "2025"], "pod": {"memory": "2Gi", "scratch": "10Gi"}}

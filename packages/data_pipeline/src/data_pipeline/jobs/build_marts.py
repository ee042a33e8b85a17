"""Make the marts of a lake: one DuckDB file with the payments, companies, recipients and products of the newest build
of every dataset and year, and a table for each question that is often asked of them.

The file may be copied and opened with DuckDB anywhere. Amounts and rows in it equal those of the manifests; each rule
is tested before anything is published. How they compare with CMS's own summaries is a table, and fails nothing. The
same builds and summaries give the same marts, and then nothing is done.

Reads the manifests and files of builds, and CMS's summaries of their years. Writes marts/…, and last
metadata/marts/…, create-only. Needs the extra dbt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _steps as steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.facts import MartsFact


@frame.job(frame.lake)
def command(context: Context) -> int:
    fact = steps.build_marts(context)
    context.explain(*lines_of(context, fact))
    newest = max(fact.inputs, key=lambda one: one.year)
    context.suggest("report", "--dataset", newest.dataset, "--year", str(newest.year))
    context.print_document(fact)
    return 0


def lines_of(context: Context, fact: MartsFact) -> Iterator[str]:
    """What was made, and where it is."""
    yield f"{len(fact.tables)} tables of {len(fact.inputs)} builds, {fact.rows:,} payments; {fact.tests} tests passed"
    yield from (f"warned  {one}" for one in fact.warnings)
    yield str(context.store.local_path(fact.file) or context.store.uri(fact.file))


JOB = (frame.entrypoint_of(command, "build_marts"), "Make the marts: one DuckDB file that answers the usual questions")
# LAKEHOUSE_MEMORY_MB, dbt and the process itself; the lake's tables if it is in S3, the file, and what DuckDB spills.
KUBERNETES = {"args": [], "pod": {"memory": "3Gi", "scratch": "20Gi"}}

"""Turn the parts of a committed run into typed Parquet, and quarantine what violates the contract.

For every part, the records of its audit are staged or quarantined, none is lost: the text, the reasons
and the place of a quarantined record are kept. Odd values that can be read, such as the year 0002, are
staged and flagged, so that totals equal the source's. Only parts that are not staged under this
contract are read; a changed contract stages them again beside the old ones.

Reads the run's manifest, audits, schema and parts. Writes staging/…, the contract, and for each part
metadata/staging/….json, create-only. Needs the extra lakehouse, or spark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _steps as steps
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.facts import StageFact


@frame.job(
    tables.committed_of_any_domain,
    click.option(
        "--accept-drift", is_flag=True,
        help="Stage the known columns of parts that have further ones, or another order; reported.",
    ),
    tables.engine,
)  # fmt: skip
def command(
    context: Context, dataset: str | None, year: int | None, accept_drift: bool, engine: tables.EngineName
) -> int:
    origin = tables.chosen_origin(context, dataset, year)
    fact = steps.stage(context, origin, accept_drift=accept_drift, engine=engine)
    context.explain(*_summary(fact))
    context.suggest("build_curated", "--run-id", fact.run_id)
    context.print_document(fact)
    return 0


def _summary(fact: StageFact) -> list[str]:
    lines = [f"staged       {fact.rows:,} records; {fact.new_parts:,} of {fact.parts:,} parts now"]
    lines += [f"quarantined  {count:,} {reason}" for reason, count in fact.reasons.items()]
    lines += [f"new values   {one.records:,} of {one.column}, such as {one.least!r:.100}" for one in fact.new_values]
    return lines


JOB = (frame.entrypoint_of(command, "stage"), "Turn the parts of a committed run into typed Parquet and quarantine")
# LAKEHOUSE_MEMORY_MB, and the process itself.
KUBERNETES = {"args": ["--year", "2025"], "pod": {"memory": "2Gi"}}

"""Make the marts of a lake: one DuckDB file with the payments, companies, recipients and products of the newest build
of every dataset and year, and a table for each question that is often asked of them.

The file may be copied and opened with DuckDB anywhere. Amounts and rows in it equal those of the manifests; each rule
is tested before anything is published. The same builds give the same marts, and then nothing is done.

Reads the manifests and files of builds. Writes marts/…, and last metadata/marts/…, create-only. Needs the
extra dbt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.marts import Marts


@frame.job(frame.lake)
def command(context: Context) -> int:
    from data_pipeline.lake_layout import lakehouse as keys
    from data_pipeline.lakehouse.facts import MartsFact

    marts = marts_of(context)
    before = marts.current()
    if before is None:
        context.begin()
    made = before or marts.run()
    context.print_document(
        MartsFact(
            run_id=context.run_id,
            status="built" if before is None else "already built",
            build=made.build,
            manifest=keys.numbered(keys.MARTS_BUILDS, made.number),
            file=made.file.key,
            closed=made.closed,
            inputs=made.inputs,
            rows=sum(one.rows for one in made.inputs),
            quarantined=sum(one.quarantined for one in made.inputs),
            tables=made.tables,
            tests=made.tests,
            warnings=made.warnings,
            bytes=made.file.bytes,
            **context.said_by_all,
        )
    )
    return 0


def marts_of(context: Context) -> Marts:
    """The marts that follow from what readers see of a lake; raises ``NotFoundError`` if nothing was built."""
    from data_pipeline.lakehouse.builds import current_builds
    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.dbt import Dbt, Project, interpreter
    from data_pipeline.lakehouse.marts import Marts, Source
    from data_pipeline.open_payments.datasets import DATASETS
    from data_pipeline.open_payments.tables import derived_tables
    from data_pipeline.settings import extras
    from etl_core.errors import NotFoundError

    for library in ("duckdb", "analytics"):
        extras.require(library, "dbt")
    from analytics import PROFILE, PROJECT

    pinned = [one for one in current_builds(context.store) if one.dataset in DATASETS]
    if not pinned:
        raise NotFoundError(f"{context.store.url} has no tables.", advice="Run stage and build_curated first.")
    limits = Limits(context.settings.lakehouse_memory_mb, context.settings.lakehouse_workers)
    return Marts(
        context.store,
        [
            Source(one.name, Contract.from_toml(one.contract), derived_tables(one), one.amount_column.lower())
            for one in DATASETS.values()
        ],
        pinned,
        Dbt(Project(PROJECT, PROFILE), interpreter(context.settings.dbt_python), limits, context.stop.check),
        limits,
        now=context.now,
        check_stop=context.stop.check,
    )


JOB = (frame.entrypoint_of(command, "build_marts"), "Make the marts: one DuckDB file that answers the usual questions")
# LAKEHOUSE_MEMORY_MB, dbt and the process itself; the lake's tables if it is in S3, the file, and what DuckDB spills.
KUBERNETES = {"args": [], "pod": {"memory": "3Gi", "scratch": "20Gi"}}

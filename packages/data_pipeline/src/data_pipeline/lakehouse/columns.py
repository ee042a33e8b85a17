"""The columns of a dataset's tables, as DuckDB names and types them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.lakehouse.database import Limits, open_database
from etl_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.lakehouse.marts import Source

Columns = dict[str, str]


def columns_of(sources: Mapping[str, Source], folder: Path) -> dict[str, dict[str, Columns]]:
    """By dataset and table: the type of each column, in the order of the files."""
    with open_database(Limits(64, 1), folder) as database:
        return {
            dataset: {
                name: {row[0]: row[1] for row in database.execute(f"DESCRIBE SELECT * FROM {nothing}").fetchall()}
                for name, nothing in source.empty_tables()
            }
            for dataset, source in sources.items()
        }


def require_same_contract(build: BuildManifest, sources: Mapping[str, Source]) -> None:
    """Raise ``DataError`` if the build has other columns than this version knows."""
    if build.dataset not in sources or build.contract != sources[build.dataset].contract.hash:
        raise DataError(
            f"build {build.number} of {build.scope} has contract {build.contract}, which is not this version's.",
            advice=f"Make it again: stage and build_curated of run {build.run_id}.",
        )

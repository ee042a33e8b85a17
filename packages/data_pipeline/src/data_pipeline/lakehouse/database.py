"""DuckDB in memory, in a folder of its own for what does not fit, on one thread.

Several databases work side by side instead of one on several threads: each then writes the same bytes for the same
records, and numbers records in their order.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipeline.settings import extras
from etl_core.errors import AccessError, DataError, UnavailableError
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from duckdb import DuckDBPyConnection, Error

    from etl_core.errors import PipelineError


@dataclass(frozen=True)
class Limits:
    """What all databases of a job may use together."""

    memory_mb: int
    workers: int

    @property
    def memory_mb_each(self) -> int:
        """What one database may use."""
        return max(self.memory_mb // self.workers, 1)


@contextlib.contextmanager
def open_database(limits: Limits, folder: Path) -> Iterator[DuckDBPyConnection]:
    """An empty database.

    Raises:
        ConfigError: DuckDB is not installed. AccessError: out of memory, the disk of ``folder`` is full, or S3 refuses.
        UnavailableError: S3 does not answer. DataError: an object is missing.

    """
    extras.require("duckdb", "lakehouse")
    import duckdb

    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": f"{limits.memory_mb_each}MB",
        "temp_directory": str(folder),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(config=settings) as database:
            # Where it takes a process for a notebook, it would print to stdout, which carries the fact alone.
            database.execute("SET enable_progress_bar = false")
            yield database
    except duckdb.OutOfMemoryException as error:
        raise AccessError(
            f"DuckDB needs more than its {limits.memory_mb_each} MB of memory, or than {folder} can hold.",
            advice="Raise LAKEHOUSE_MEMORY_MB, lower LAKEHOUSE_WORKERS, or free some space.",
        ) from error
    except duckdb.IOException as error:
        if is_of_s3(error):
            raise _of_s3(error) from error
        raise AccessError(f"DuckDB cannot work in {folder}: {error}.", advice="Free some space.") from error


def is_of_s3(error: Error) -> bool:
    """Whether S3 refused or did not answer. Where nobody listens, only DuckDB's words say so."""
    import duckdb

    return isinstance(error, duckdb.HTTPException) or " for HTTP " in str(error)


def _of_s3(error: Error) -> PipelineError:
    """What an answer of S3 means that DuckDB gave up on; without a status there was no answer."""
    said = f"S3 did not give DuckDB a file of the lake: {printable(str(error).partition(chr(10))[0])}."
    status = getattr(error, "status_code", 0)
    if status in (401, 403):
        return AccessError(said, advice="Check the credentials, and that they may read the lake.")
    return DataError(said) if status == 404 else UnavailableError(said)


def duckdb_version() -> str:
    """The version that is installed."""
    import duckdb

    return duckdb.__version__

"""What jobs that answer questions share: an open database over files of the lake, and answers on stdout."""

from __future__ import annotations

import contextlib
from itertools import chain, islice
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from data_pipeline.job import Context
    from data_pipeline.jobs._origins import Origin
    from data_pipeline.lakehouse.documents import StoredFile
    from data_pipeline.lakehouse.query import OutputFormat, PinnedTable, Tables

output_format = click.option(
    "--format", "output_format", type=click.Choice(("table", "csv", "json", "parquet")), default="table",
    show_default=True, help="Of the answer: json is an object per line.",
)  # fmt: skip


@contextlib.contextmanager
def opened(context: Context, tables: Sequence[PinnedTable]) -> Iterator[Tables]:
    """The tables, in a database of the job's limits."""
    import tempfile
    from pathlib import Path

    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.query import open_tables

    limits = Limits(context.settings.lakehouse_memory_mb, context.settings.lakehouse_workers)
    with (
        tempfile.TemporaryDirectory(prefix="data-pipeline-query-") as folder,
        open_tables(tables, limits, Path(folder), context.stop, context.s3_access) as database,
    ):
        yield database


def pinned_tables(context: Context) -> list[PinnedTable]:
    """The tables of the newest build of each dataset and year."""
    from data_pipeline.lakehouse.builds import current_builds
    from data_pipeline.lakehouse.query import tables_of

    found = (tables_of(build, lambda key: location(context, key)) for build in current_builds(context.store))
    return [table for tables in found for table in tables]


def table_of_run(context: Context, name: str, origin: Origin, files: Iterable[StoredFile | None]) -> PinnedTable:
    """Staged or quarantined files of a run as a table; how many rows they have is not looked up."""
    from data_pipeline.lakehouse.query import PinnedTable

    of_run = origin.dataset, origin.year, origin.release, "", origin.run_id, origin.closed
    keys = [one.key for one in files if one is not None]
    return PinnedTable(name, *of_run, 0, tuple(location(context, key) for key in keys))


def location(context: Context, key: str) -> str:
    """Where DuckDB opens an object of the lake; raises ``DataError`` for a link or a pipe, which it would follow."""
    path = context.store.local_path(key)
    return context.store.uri(key) if path is None else str(path)


def show(context: Context, tables: Tables, question: str, output_format: OutputFormat) -> None:
    """Write the answer to stdout, until it ends or nobody reads it."""
    if output_format == "parquet":
        with context.progress.showing("looking for the answer"):
            path = tables.ask_for_file(question)
        _hand_out(path)
        return
    with context.progress.showing("looking for the answer"):
        if output_format == "json":
            lines: Iterator[str] = (f"{line}\n" for line in tables.ask_for_json(question))
        else:
            lines = tables.ask(question).lines(output_format)
        first = list(islice(lines, 1))
    say(chain(first, lines))


def say(lines: Iterable[str]) -> None:
    """Write lines to stdout, until they end or nobody reads them."""
    import sys

    from etl_core.stdio import write_bytes

    write_bytes(sys.stdout, (line.encode("utf-8", "replace") for line in lines))


def _hand_out(path: Path) -> None:
    """Write a file to stdout, unless that is a terminal."""
    import sys

    from etl_core.errors import UsageError
    from etl_core.files import chunks_of
    from etl_core.stdio import write_bytes

    if sys.stdout.isatty():
        raise UsageError("Parquet is not for a terminal: redirect stdout to a file.")
    write_bytes(sys.stdout, chunks_of(path))

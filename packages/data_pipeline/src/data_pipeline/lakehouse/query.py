"""Questions in SQL to tables that are pinned when they are opened, and nothing else.

A setting alone does not make DuckDB read-only: with outside access off, ``COPY`` and ``EXPLAIN ANALYZE COPY`` still
write over a file that may be read. So only one SELECT is run, or an EXPLAIN of one; only the files of the tables may
be opened, so no other file and no other host; and no setting can be changed.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, islice
from typing import TYPE_CHECKING, Any, Literal

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import Limits, is_of_s3, open_database
from etl_core.errors import DataError, UsageError
from etl_core.printable import escaped, printable

if TYPE_CHECKING:
    from pathlib import Path

    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from data_pipeline.lakehouse.documents import BuildManifest
    from etl_core.lake.s3 import S3Access
    from etl_core.stop import Stop

OutputFormat = Literal["table", "csv", "json", "parquet"]
# Rows in memory at a time, and those that decide how wide the columns of a table are.
BATCH = 1000
WIDEST_CELL = 60
NO_OUTSIDE_ACCESS = "SET enable_external_access = false"
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(?:ANALYZE\s+|\([^()]*\)\s*)?", re.IGNORECASE)
Cells = Sequence[str | None]


@dataclass(frozen=True)
class PinnedTable:
    """A table of one build: its files, and the dataset, year and release that its rows are of."""

    name: str
    dataset: str
    year: int
    release: str
    build: str
    run_id: str
    closed: bool
    rows: int
    files: tuple[str, ...]

    @property
    def cells(self) -> Cells:
        """As a row of ``COLUMNS``."""
        state = "closed" if self.closed else "partial"
        return self.name, self.dataset, str(self.year), str(self.rows), self.release, self.build, state, self.run_id


def tables_of(build: BuildManifest, location: Callable[[str], str]) -> list[PinnedTable]:
    """The tables of a build; ``location`` says where DuckDB opens an object."""
    pinned = build.dataset, build.year, build.release, build.build, build.run_id, build.closed
    return [
        PinnedTable(name, *pinned, sum(one.rows for one in files), tuple(location(one.key) for one in files))
        for name, files in build.tables.items()
    ]


COLUMNS = ("table", "dataset", "year", "rows", "release", "build", "state", "run_id")


@dataclass(frozen=True)
class Answer:
    """The columns of a result, and its rows as they come."""

    columns: Sequence[str]
    rows: Iterator[Cells]
    is_plan: bool = False

    def lines(self, output_format: OutputFormat) -> Iterator[str]:
        """As text: what EXPLAIN says, a table, or CSV."""
        if self.is_plan:
            return plan_lines(self)
        return csv_lines(self) if output_format == "csv" else table_lines(self)


class Tables:
    """An open database with a view per table. Only ``ask`` reads it."""

    def __init__(self, database: DuckDBPyConnection, scratch: Path, stop: Stop) -> None:
        self._database = database
        self._scratch = scratch
        self._stop = stop

    def ask(self, question: str) -> Answer:
        """The result of one SELECT or EXPLAIN, every value as text, NULL as None.

        Raises:
            UsageError: it is something else, or DuckDB cannot run it.

        """
        with self._explained():
            result = self._select(question)
            texts = result.query("answer", "SELECT COLUMNS(*)::VARCHAR FROM answer")
            return Answer(result.columns, self._batches(texts), is_plan=_EXPLAIN.match(question) is not None)

    def ask_for_json(self, question: str) -> Iterator[str]:
        """The rows of the result, each a JSON object."""
        with self._explained():
            objects = self._select(question).query("answer", "SELECT to_json(answer)::VARCHAR FROM answer")
            for (text,) in self._batches(objects):
                yield printable_json(str(text))

    def ask_for_file(self, question: str, file_format: Literal["csv", "parquet"] = "parquet") -> Path:
        """The result as a file in the scratch folder, which the next one replaces; CSV has plain line feeds."""
        with self._explained():
            path, answer = self._scratch / f"answer.{file_format}", self._select(question)
            if file_format == "csv":
                answer.to_csv(str(path))
            else:
                rows = sql.rows_in_group(len(answer.columns))
                answer.to_parquet(str(path), compression="zstd", row_group_size=rows)
            return path

    def _select(self, question: str) -> DuckDBPyRelation:
        statements = self._database.extract_statements(question)
        if len(statements) != 1 or not self._only_reads(question):
            raise UsageError("A question is one SELECT, or EXPLAIN of one; nothing else is run.")
        return self._database.sql(question)

    def _only_reads(self, statement: str) -> bool:
        kinds = [one.type.name for one in self._database.extract_statements(statement)]
        explain = _EXPLAIN.match(statement)
        if kinds == ["EXPLAIN"] and explain:
            return self._only_reads(statement[explain.end() :])
        return kinds == ["SELECT"]

    def _batches(self, relation: DuckDBPyRelation) -> Iterator[Cells]:
        with self._explained():
            while rows := relation.fetchmany(BATCH):
                yield from rows

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except (duckdb.OutOfMemoryException, duckdb.IOException):
            raise
        except duckdb.Error as error:
            self._stop.check()
            raise UsageError(f"DuckDB says: {_without_excerpt(error)}") from error


@contextlib.contextmanager
def open_tables(
    tables: Sequence[PinnedTable], limits: Limits, scratch: Path, stop: Stop, access: S3Access | None = None
) -> Iterator[Tables]:
    """The tables as views; what can be read is decided here, once.

    Raises:
        DataError: a file of a table is missing or damaged. Others as ``open_database``.

    """
    with open_database(Limits(limits.memory_mb, 1), scratch) as database:
        database.execute(f"SET threads = {limits.workers}")
        database.execute("SET python_enable_replacements = false")
        if access:
            _reach_s3(database, access)
        for name, own in groupby(sorted(tables, key=lambda one: one.name), lambda one: one.name):
            _create_view(database, name, list(own))
        _confine(database, [path for one in tables for path in one.files], scratch)
        threading.Thread(target=_interrupt_on_stop, args=(database, stop), daemon=True).start()
        yield Tables(database, scratch, stop)


def _confine(database: DuckDBPyConnection, files: Sequence[str], scratch: Path) -> None:
    """From now on only the files can be opened, and no setting changes."""
    # A file is opened by a pattern that matches nothing else; both forms are compared with the list.
    allowed = {form for path in files for form in (path, sql.pattern_of(path))}
    # Files are written to the scratch folder; DuckDB writes beside and renames.
    allowed |= {str(scratch / f"{beside}answer.{ending}") for beside in ("", "tmp_") for ending in ("csv", "parquet")}
    database.execute(f"SET allowed_paths = [{', '.join(map(sql.literal, sorted(allowed)))}]")
    database.execute(NO_OUTSIDE_ACCESS)
    database.execute("SET lock_configuration = true")


def _interrupt_on_stop(database: DuckDBPyConnection, stop: Stop) -> None:
    stop.wait()
    database.interrupt()


def record_with(table: PinnedTable, key: str, value: str) -> str:
    """The question for the records of a table with a key."""
    return f"SELECT * FROM {sql.name(table.name)} WHERE {sql.name(key)} = {sql.literal(value)}"


def quarantined_records(table: PinnedTable, reason: str | None) -> str:
    """The question for the records in quarantine, of all reasons or of one; why and where come first."""
    first = f"{sql.REASONS}, {sql.PART}, {sql.RECORD}"
    where = f" WHERE list_contains(string_split({sql.REASONS}, ','), {sql.literal(reason)})" if reason else ""
    table_and_order = f"{sql.name(table.name)}{where} ORDER BY {sql.PART}, {sql.RECORD}"
    return f"SELECT {first}, * EXCLUDE ({first}) FROM {table_and_order}"


def _create_view(database: DuckDBPyConnection, name: str, tables: Sequence[PinnedTable]) -> None:
    import duckdb

    try:
        database.execute(f"CREATE VIEW {sql.name(name)} AS {view(tables)}")
    except duckdb.Error as error:
        if is_of_s3(error):
            raise
        raise DataError(f"the table {name} cannot be opened: {_first_line(error)}") from error


def view(tables: Sequence[PinnedTable]) -> str:
    """The rows of a table's builds, with the dataset, year and release of each."""
    return " UNION ALL BY NAME ".join(
        f"SELECT *, {sql.literal(one.dataset)} AS dataset, {one.year} AS year, {sql.literal(one.release)} AS release"
        f" FROM {sql.read_parquet(one.files)}"
        for one in tables
    )


def _reach_s3(database: DuckDBPyConnection, access: S3Access) -> None:
    """Load the extension from its wheel: nothing is downloaded."""
    from importlib import resources

    import duckdb
    import duckdb_extension_httpfs

    folder = resources.files(duckdb_extension_httpfs) / "extensions" / f"v{duckdb.__version__}"
    database.execute(f"LOAD {sql.literal(str(folder / 'httpfs.duckdb_extension'))}")
    scheme, _, host = access.endpoint.partition("://")
    options = {
        "KEY_ID": access.key_id, "SECRET": access.secret, "SESSION_TOKEN": access.token, "REGION": access.region,
        "ENDPOINT": host, "URL_STYLE": "path", "SCOPE": f"s3://{access.bucket}",
    }  # fmt: skip
    said = ", ".join(f"{name} {sql.literal(value)}" for name, value in options.items() if value)
    use_ssl = "false" if scheme == "http" else "true"
    database.execute(f"CREATE SECRET lake (TYPE s3, PROVIDER config, USE_SSL {use_ssl}, {said})")


def _first_line(error: Exception) -> str:
    return printable(str(error).partition("\n")[0])


def _without_excerpt(error: Exception) -> str:
    """What DuckDB says, with the names that it suggests, without the lines that point into the question."""
    said = str(error).partition("\nLINE ")[0].split("\n")
    return printable(" ".join(line.strip() for line in said if line.strip()))


def printable_json(text: str) -> str:
    """The same JSON; DuckDB leaves some characters as they are that a terminal obeys, such as U+009B."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def csv_lines(answer: Answer) -> Iterator[str]:
    """CSV in RFC 4180: NULL is nothing, a text is as it is."""
    writer: Any = csv.writer(_Echo())
    yield writer.writerow(answer.columns)
    yield from map(writer.writerow, answer.rows)


class _Echo:
    """Gives back what ``csv`` writes."""

    @staticmethod
    def write(text: str) -> str:
        return text


def table_lines(answer: Answer) -> Iterator[str]:
    """Columns for a terminal: printable characters only, long cells cut."""
    head = [_cell(one) for one in answer.columns]
    first = [[_cell(one) for one in row] for row in islice(answer.rows, BATCH)]
    widths = [max(map(len, column)) for column in zip(head, *first, strict=True)]
    rest = ([_cell(one) for one in row] for row in answer.rows)
    for cells in chain([head, ["-" * width for width in widths]], first, rest):
        yield "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip() + "\n"


def plan_lines(answer: Answer) -> Iterator[str]:
    """What EXPLAIN says."""
    for row in answer.rows:
        yield from (escaped(line) + "\n" for line in (row[-1] or "").splitlines())


def _cell(text: str | None) -> str:
    shown = "NULL" if text is None else escaped(text)
    return shown if len(shown) <= WIDEST_CELL else shown[: WIDEST_CELL - 1] + "…"

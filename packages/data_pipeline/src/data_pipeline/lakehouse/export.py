"""A committed run, or a table of a build, as files that other programs take: CSV in RFC 4180, or Parquet.

Cells are data: nothing is trimmed, changed for spreadsheets or left out. Records come in the order of the parts or of
the table, so the same run or build gives the same bytes. Memory: a chunk of a part, and what the limits allow DuckDB.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import open_database
from data_pipeline.lakehouse.facts import ExportedFile
from etl_core.csv_stream.dialect import write_fields
from etl_core.errors import ConflictError, DataError
from etl_core.files import chunks_of, sha256_of, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.query import PinnedTable, Tables
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

FileFormat = Literal["csv", "parquet"]


T_contra = TypeVar("T_contra", contravariant=True)


class Exporter(Protocol[T_contra]):
    """How what belongs in a file is written."""

    def rows(self, what: T_contra) -> int:
        """How many there are, without the header."""
        ...

    def csv(self, what: T_contra) -> Iterator[bytes]:
        """As CSV, in pieces."""
        ...

    def write(self, what: T_contra, path: Path, file_format: FileFormat, limits: Limits) -> None:
        """To a file that nobody else reads yet."""
        ...


class Run(Protocol):
    """What is needed of a committed run; ``runs.committed`` has it."""

    def chunks(self, part: Any) -> Iterator[bytes]:  # noqa: ANN401 - the audit of a domain
        """The bytes of a part; raises ``DataError`` if they are not the audited ones."""
        ...

    def records(self, part: Any) -> Iterator[list[bytes]]:  # noqa: ANN401 - likewise
        """The records of a part; raises ``DataError`` as ``chunks``."""
        ...


@dataclass(frozen=True)
class Export:
    """Parts of a run as tables under one header."""

    run: Run
    header: Sequence[str]
    progress: Progress
    check_stop: Callable[[], None]

    def rows(self, parts: Iterable[CsvPartAudit]) -> int:
        """As audited."""
        return sum(part.records for part in parts)

    def csv(self, parts: Iterable[CsvPartAudit], line_end: bytes = b"\r\n") -> Iterator[bytes]:
        """The records of the parts as one CSV file, in pieces; raises ``DataError`` for a part that is damaged."""
        yield write_fields([title.encode() for title in self.header]) + line_end
        for part in parts:
            pieces = self._backslash(part, line_end) if part.dialect == "backslash" else self._rfc4180(part, line_end)
            for piece in pieces:
                self.check_stop()
                yield piece
            self.progress.advance(units=1, rows=part.records, bytes_read=part.bytes)

    def _rfc4180(self, part: CsvPartAudit, line_end: bytes) -> Iterator[bytes]:
        return with_line_end(without_header(self.run.chunks(part)), line_end)

    def _backslash(self, part: CsvPartAudit, line_end: bytes) -> Iterator[bytes]:
        return (write_fields(fields) + line_end for fields in self.run.records(part))

    def write(self, parts: Sequence[CsvPartAudit], path: Path, file_format: FileFormat, limits: Limits) -> None:
        """Write the records of the parts to ``path``, which nobody else reads yet."""
        with translate_os_errors(f"write {path}"):
            if file_format == "csv":
                with path.open("wb") as stream:
                    stream.writelines(self.csv(parts))
                return
            plain = path.with_name(f"{path.name}.csv")
            try:
                with plain.open("wb") as stream:
                    stream.writelines(self.csv(parts, b"\n"))
                self._convert(plain, path, limits)
            finally:
                plain.unlink(missing_ok=True)

    def _convert(self, plain: Path, path: Path, limits: Limits) -> None:
        with open_database(limits, path.parent) as database:
            import duckdb

            columns = ", ".join(map(sql.name, self.header))
            table = f"SELECT {columns} FROM {sql.read_csv({str(plain): ''}, self.header)}"
            try:
                database.execute(sql.copy(table, str(path), columns=len(self.header)))
            except duckdb.InvalidInputException as error:
                reason = str(error).splitlines()[0]
                raise DataError(f"DuckDB cannot take the records: {reason}.", advice="Use --format csv.") from error


@dataclass(frozen=True)
class Question:
    """What belongs in a file, in SQL, and how many rows that are."""

    select: str
    rows: int


@dataclass(frozen=True)
class TableExport:
    """Rows of an open table of a build, typed."""

    tables: Tables
    progress: Progress

    def rows(self, question: Question) -> int:
        """As counted before."""
        return question.rows

    def csv(self, question: Question) -> Iterator[bytes]:
        """The rows as one CSV file, in pieces."""
        return self._pieces(question, "csv")

    def write(self, question: Question, path: Path, file_format: FileFormat, _limits: Limits) -> None:
        """Write the rows to ``path``, which nobody else reads yet."""
        with translate_os_errors(f"write {path}"), path.open("wb") as stream:
            stream.writelines(self._pieces(question, file_format))

    def _pieces(self, question: Question, file_format: FileFormat) -> Iterator[bytes]:
        pieces = chunks_of(self.tables.ask_for_file(question.select, file_format))
        yield from with_line_end(pieces, b"\r\n") if file_format == "csv" else pieces
        self.progress.advance(units=1, rows=question.rows)


def questions(tables: Tables, table: PinnedTable, key: str | None, only: Sequence[str]) -> dict[str | None, Question]:
    """What belongs in the files of a table: all of it, or the rows of each value of ``key``, or ``only`` of these."""
    whole = f"SELECT * FROM {sql.name(table.name)}"
    if key is None:
        return {None: Question(whole, table.rows)}
    column = sql.name(key)
    chosen = f" WHERE {column} IN ({', '.join(map(sql.literal, only))})" if only else ""
    counted = tables.ask(f"SELECT {column}, count(*) FROM {sql.name(table.name)}{chosen} GROUP BY ALL ORDER BY ALL")
    return {
        value: Question(f"{whole} WHERE {column} = {sql.literal(value or '')}", int(rows or 0))
        for value, rows in list(counted.rows)
    }


def publish(folder: ObjectStore, name: str, path: Path, rows: int, *, overwrite: bool) -> ExportedFile:
    """Give a written file its name: whole, and only if the name is free, or ``overwrite`` is set.

    Raises:
        ConflictError: a file of that name holds something else.

    """
    digest, size = sha256_of(path), path.stat().st_size
    if overwrite:
        folder.put(name, path)
        return ExportedFile(name=name, rows=rows, bytes=size, sha256=digest, status="written")
    put = folder.put_new(name, path, sha256=digest)
    if put.sha256 != digest:
        raise ConflictError(
            f"{folder.url}/{name} holds something else.",
            advice="It was left alone. Name another folder, or add --overwrite.",
        )
    status: Literal["written", "already there"] = "written" if put.created else "already there"
    return ExportedFile(name=name, rows=rows, bytes=size, sha256=digest, status=status)


def write_files(
    export: Exporter[T_contra],
    files: Mapping[str, T_contra],
    folder: ObjectStore,
    file_format: FileFormat,
    limits: Limits,
    *,
    overwrite: bool,
) -> list[ExportedFile]:
    """Write each file of a name and what belongs in it, one after the other; a file that is there is whole."""
    written = []
    for name, what in files.items():
        path = folder.scratch_file()
        export.write(what, path, file_format, limits)
        written.append(publish(folder, name, path, export.rows(what), overwrite=overwrite))
    return written


def without_header(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The bytes after the first line."""
    for chunk in chunks:
        _, line_end, rest = chunk.partition(b"\n")
        if line_end:
            yield rest
            yield from chunks


def with_line_end(chunks: Iterable[bytes], line_end: bytes) -> Iterator[bytes]:
    """CSV in RFC 4180 with another line end after each record; line breaks inside quoted fields are data and stay."""
    inside = 0  # 1 if the chunk begins inside a quoted field
    for chunk in chunks:
        pieces = chunk.split(b'"')
        pieces[inside::2] = [piece.replace(b"\n", line_end) for piece in pieces[inside::2]]
        inside ^= (len(pieces) - 1) & 1
        yield b'"'.join(pieces)

"""What the source says of its own years, beside what we have of them: read as texts, compared by the marts."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import Limits, open_database
from data_pipeline.lakehouse.documents import Reconciled
from etl_core.csv_stream.reader import RecordError
from etl_core.csv_stream.records import fields_of
from etl_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from duckdb import DuckDBPyConnection

    from data_pipeline.lakehouse.documents import MartsSummary

# The table of the marts that says how they compare.
RECONCILED = "mart_reconciliation_years"
CHUNK = 1 << 20
# Of an object that is damaged.
ADVICE = "Delete it with its audit: marts are made without it, too."


@dataclass(frozen=True)
class Summary:
    """A summary of the source: a table of texts that is always there, with a row per entity and year.

    ``columns`` are machine names; ``pinned`` are the objects with the rows, at most one a year.
    """

    table: str
    columns: Sequence[str]
    pinned: Sequence[MartsSummary]


def insert(database: DuckDBPyConnection, summary: Summary, paths: Sequence[str], plain: Path) -> None:
    """Make the table of a summary; ``paths`` are its objects on this machine, ``plain`` is a file for this function.

    Raises:
        DataError: an object is no CSV file.

    """
    texts = ", ".join(f"{sql.name(one)} VARCHAR" for one in summary.columns)
    table = sql.name(summary.table)
    database.execute(f"CREATE TABLE {table} ({texts}, year INTEGER, release VARCHAR)")
    for one, path in zip(summary.pinned, paths, strict=True):
        # Whatever the dialect of an object is: its records are read as those of parts are, and written in one.
        with plain.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(summary.columns)
            writer.writerows(texts_of(Path(path), one.key, summary.columns))
        columns = ", ".join(map(sql.name, summary.columns))
        database.execute(
            f"INSERT INTO {table} SELECT {columns}, {one.year}, {sql.literal(one.release)}"
            f" FROM {sql.read_csv({str(plain): one.key}, summary.columns)}"
        )


def texts_of(path: Path, key: str, columns: Sequence[str]) -> Iterator[list[str]]:
    """Some columns of each record of a summary; one that the file lacks is empty. Raises ``DataError``."""
    with path.open("rb") as stream:
        first = stream.readline().decode("utf-8", "replace")
        header = [one.lower() for one in next(csv.reader([first]), [])]
        places = [header.index(one) if one in header else None for one in columns]
        stream.seek(0)
        try:
            for fields in fields_of(iter(lambda: stream.read(CHUNK), b"")):
                texts = (b"" if place is None else fields[place] for place in places)
                yield [one.decode("utf-8", "replace") for one in texts]
        except RecordError as error:
            raise DataError(f"{key} cannot be read: {error.detail}") from error


def reconciled_in(path: Path, limits: Limits, folder: Path) -> tuple[Reconciled, ...]:
    """How the marts in a database compare with the source; nothing if they do not say it."""
    with open_database(Limits(limits.memory_mb, 1), folder / "spill") as database:
        database.execute(f"ATTACH {sql.literal(str(path))} AS made (READ_ONLY)")
        there = "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'made' AND table_name = ?"
        if database.execute(there, [RECONCILED]).fetchall() == [(0,)]:
            return ()
        names = ", ".join(map(sql.name, Reconciled.model_fields))
        question = f"SELECT {names} FROM made.{RECONCILED} ORDER BY dataset, year, entity_kind"
        rows = database.execute(question).fetchall()
    return tuple(Reconciled(**dict(zip(Reconciled.model_fields, row, strict=True))) for row in rows)

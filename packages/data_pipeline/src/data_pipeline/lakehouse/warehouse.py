"""A build as tables of a warehouse: filled beside those that readers see, compared with the manifest, then switched to.

Each table of a build is a table of its own there. Readers see views: of every table all loaded years, one build each.
The table ``builds`` says which, as the manifests do; dbt reads it. Redefining views and ``builds`` is one transaction.
What the source itself says of a year is a few thousand rows, written as statements.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, Any, Literal, Protocol

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.marts import INPUTS, fetched
from data_pipeline.lakehouse.reconciliation import ADVICE, texts_of
from etl_core.errors import DataError
from etl_core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from data_pipeline.lakehouse.columns import Columns
    from data_pipeline.lakehouse.documents import BuildFile, BuildManifest
    from data_pipeline.lakehouse.reconciliation import Summary
    from etl_core.lake import ObjectStore

Kind = Literal["postgresql", "redshift"]
# PostgreSQL cuts longer names without a word.
LONGEST_NAME = 63
# What a view has besides.
STAMPS = {"dataset": "VARCHAR", "year": "INTEGER", "release": "VARCHAR"}
# What the lake's own names hold. All that is written into statements is of these, or a number.
PLAIN = re.compile(r"[A-Za-z0-9=_./:+ -]*")
# What a warehouse may take for more than itself within quotes.
SPECIAL = re.compile(r"([\x01-\x1f\x7f'\\:])")
# Statements of Redshift have at most 100 KB.
VALUES_BYTES = 50_000


class Warehouse(Protocol):
    """Where tables are loaded."""

    kind: Kind
    text: str
    """Its type of a text."""

    def run(self, statements: Sequence[str]) -> None:
        """All of them, or none."""
        ...

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """All rows of a query."""
        ...

    def fill(self, tables: Mapping[str, Filled]) -> Iterator[int]:
        """Make new tables, each of a name that readers do not know; leftovers of that name go first.

        Gives the rows that each step has loaded.
        """
        ...


@dataclass(frozen=True)
class Filled:
    """A table to be filled: its columns with DuckDB's types, and the files with its rows."""

    columns: Columns
    files: Sequence[BuildFile]


@dataclass(frozen=True)
class Loaded:
    """A build in the warehouse, as ``builds`` has it."""

    dataset: str
    year: int
    release: str
    build: str

    def name(self, table: str) -> str:
        """Of a table of the build."""
        return f"{self._stem(table)}{self.build}"

    def is_former(self, table: str, name: str) -> bool:
        """Whether ``name`` is that table of another build of the same year."""
        return name.startswith(self._stem(table)) and name != self.name(table)

    def _stem(self, table: str) -> str:
        return f"{table}_{self.dataset.replace('-', '_')}_{self.year}_"


@dataclass(frozen=True)
class SummaryRows:
    """A table of texts with what the source itself says of a year; no rows where the lake has none."""

    table: str
    columns: Sequence[str]
    release: str = ""
    rows: Sequence[Sequence[str]] = ()


def read_summary(store: ObjectStore, summary: Summary, folder: Path) -> SummaryRows:
    """The rows of a summary of one year; raises ``DataError`` if its object is damaged or no CSV file."""
    for one in summary.pinned:
        path = fetched(store, one, folder, advice=ADVICE)
        rows = list(texts_of(path, one.key, summary.columns))
        return SummaryRows(summary.table, summary.columns, one.release, rows)
    return SummaryRows(summary.table, summary.columns)


@dataclass
class Load:
    """One build being loaded. ``columns`` are those of every table by dataset; ``amount`` is the column of the build's
    table that totals sum; ``summaries`` are of the build's year.
    """

    build: BuildManifest
    warehouse: Warehouse
    schema: str
    columns: Mapping[str, Mapping[str, Columns]]
    amount: str
    summaries: Sequence[SummaryRows]
    progress: Progress = field(default_factory=Progress)

    def is_loaded(self) -> bool:
        """Whether readers see this build, and what the source itself says of its year."""
        # Who may not create schemas may not say IF NOT EXISTS either.
        schemas = f"SELECT count(*) FROM pg_namespace WHERE nspname = {sql.literal(self.schema)}"
        is_there = int(self.warehouse.rows(schemas)[0][0]) > 0
        new = [] if is_there else [f"CREATE SCHEMA {sql.name(self.schema)}"]
        texts = [
            self._create(one.table, {**dict.fromkeys(one.columns, "VARCHAR"), "year": "INTEGER", "release": "VARCHAR"})
            for one in self.summaries
        ]
        self.warehouse.run([*new, self._create("builds", INPUTS), *texts])
        return self._own in self._loaded() and all(map(self._has_rows, self.summaries))

    def run(self) -> None:
        """Load what is not loaded of these; what other loads left of the year is removed.

        Raises:
            DataError: rows or sums are not the manifest's; readers see what they saw before. Others as the warehouse.

        """
        if self._own not in self._loaded():
            self._load_build()
        for one in self.summaries:
            if not self._has_rows(one):
                self.warehouse.run(list(self._replace_rows(one)))

    def _load_build(self) -> None:
        own, tables = self._own, self.columns[self.build.dataset]
        files = {name: files for name, files in self.build.tables.items() if name in tables}
        filled = {self._at(own.name(name)): Filled(tables[name], files[name]) for name in files}
        in_all = sum(one.rows for those in files.values() for one in those)
        with self.progress.showing(f"load {self.build.dataset} {self.build.year}", rows=in_all):
            for rows in self.warehouse.fill(filled):
                self.progress.advance(rows=rows)
        for name, those in files.items():
            self._compare(name, sum(one.rows for one in those))
        there = self._there()
        self.warehouse.run(list(self._switch(there)))
        former = [one for one in there if any(own.is_former(name, one) for name in tables)]
        if former:
            self.warehouse.run([f"DROP TABLE {self._at(one)}" for one in former])

    @cached_property
    def _own(self) -> Loaded:
        said = self.build
        return Loaded(plain(said.dataset), said.year, plain(said.release), plain(said.build))

    def _loaded(self) -> list[Loaded]:
        rows = self.warehouse.rows(f"SELECT dataset, year, release, build FROM {self._at('builds')} ORDER BY 1, 2")
        return [Loaded(plain(row[0]), int(row[1]), plain(row[2]), plain(row[3])) for row in rows]

    def _compare(self, table: str, rows: int) -> None:
        amounts = self.build.amounts if table == self.build.table else {}
        sums = [f"coalesce(sum({sql.name(short(one))}), 0)" for one in amounts]
        asked = f"SELECT {', '.join(['count(*)', *sums])} FROM {self._at(self._own.name(table))}"
        found = [Decimal(str(one)) for one in self.warehouse.rows(asked)[0]]
        expected = [Decimal(rows), *amounts.values()]
        if found != expected:
            raise DataError(
                f"of build {self.build.build} the warehouse got {table} with {_said(found)}; the manifest has "
                f"{_said(expected)} (rows, then the sums of {', '.join(amounts) or 'nothing'}).",
                advice="Readers see what they saw before. Load it again; if that does not help, compare with query.",
            )

    def _there(self) -> dict[str, list[str]]:
        """The tables of the schema, and their columns in order."""
        asked = (
            "SELECT table_name, column_name FROM information_schema.columns"
            f" WHERE table_schema = {sql.literal(self.schema)} ORDER BY table_name, ordinal_position"
        )
        found: defaultdict[str, list[str]] = defaultdict(list)
        for table, column in self.warehouse.rows(asked):
            found[str(table)].append(str(column))
        return dict(found)

    def _switch(self, there: Mapping[str, Sequence[str]]) -> Iterator[str]:
        own, said = self._own, self.build
        loaded = [one for one in self._loaded() if (one.dataset, one.year) != (own.dataset, own.year)] + [own]
        values = [getattr(said, one) if one != "amount_usd" else said.amounts.get(self.amount, 0) for one in INPUTS]
        builds = self._at("builds")
        yield f"DELETE FROM {builds} WHERE dataset = {sql.literal(own.dataset)} AND year = {own.year}"
        yield f"INSERT INTO {builds} VALUES ({', '.join(sql.literal(plain(one)) for one in values)})"
        wanted: dict[str, Columns] = {}
        for tables in self.columns.values():
            for name, columns in tables.items():
                wanted[name] = wanted.get(name, {}) | columns
        for name, columns in wanted.items():
            yield self._view(name, columns, loaded, there)

    def _has_rows(self, one: SummaryRows) -> bool:
        of_year = f"FROM {self._at(one.table)} WHERE year = {self._own.year}"
        rows = self.warehouse.rows(f"SELECT release, count(*) {of_year} GROUP BY release")
        found = [(str(release), int(count)) for release, count in rows]
        return found == ([(one.release, len(one.rows))] if one.rows else [])

    def _replace_rows(self, one: SummaryRows) -> Iterator[str]:
        stamps = [str(self._own.year), sql.literal(plain(one.release))]
        rows = [f"({', '.join([*map(quoted, row), *stamps])})" for row in one.rows]
        sizes = accumulate(len(row.encode()) for row in rows)
        yield f"DELETE FROM {self._at(one.table)} WHERE year = {self._own.year}"
        for _, group in groupby(zip(sizes, rows, strict=True), key=lambda sized: sized[0] // VALUES_BYTES):
            yield f"INSERT INTO {self._at(one.table)} VALUES {', '.join(row for _, row in group)}"

    def _view(self, table: str, columns: Columns, loaded: Sequence[Loaded], there: Mapping[str, Sequence[str]]) -> str:
        """All loaded years of a table; a column that an older build does not have is NULL there."""
        selects = [
            self._select(
                own,
                columns,
                {"dataset": sql.literal(one.dataset), "year": f"{one.year}", "release": sql.literal(one.release)},
                self._at(one.name(table)),
            )
            for one in loaded
            if (own := there.get(one.name(table)))
        ]
        nothing = self._select((), columns, dict.fromkeys(STAMPS, "NULL"), "(SELECT 1 AS one) AS nothing WHERE false")
        return f"CREATE OR REPLACE VIEW {self._at(table)} AS {' UNION ALL '.join(selects or [nothing])}"

    def _select(self, own: Sequence[str], columns: Columns, stamps: Mapping[str, str], source: str) -> str:
        listed = [self._cell(name, kind, own) for name, kind in columns.items()]
        # Statements are short so.
        shown = ["*"] if own == [short(name) for name in columns] else listed
        more = [self._cast(stamps[name], kind, name) for name, kind in STAMPS.items()]
        return f"SELECT {', '.join([*shown, *more])} FROM {source}"

    def _cell(self, name: str, kind: str, there: Sequence[str]) -> str:
        return sql.name(short(name)) if short(name) in there else self._cast("NULL", kind, name)

    def _cast(self, value: str, kind: str, name: str) -> str:
        return f"CAST({value} AS {type_of(kind, self.warehouse)}) AS {sql.name(short(name))}"

    def _create(self, table: str, columns: Mapping[str, str]) -> str:
        return f"CREATE TABLE IF NOT EXISTS {self._at(table)} ({defined(columns, self.warehouse)})"

    def _at(self, table: str) -> str:
        return f"{sql.name(self.schema)}.{sql.name(table)}"


def short(name: str) -> str:
    """The name of a column in a warehouse."""
    return name[:LONGEST_NAME]


def type_of(kind: str, warehouse: Warehouse) -> str:
    """A type of DuckDB in a warehouse."""
    return {"VARCHAR": warehouse.text, "DOUBLE": "DOUBLE PRECISION"}.get(kind, kind)


def defined(columns: Mapping[str, str], warehouse: Warehouse) -> str:
    """The columns of a new table."""
    return ", ".join(f"{sql.name(short(name))} {type_of(kind, warehouse)}" for name, kind in columns.items())


def plain(value: object) -> str:
    """The text of a value, which needs no escape in any warehouse; raises ``DataError`` for another one."""
    text = str(value)
    if not PLAIN.fullmatch(text):
        raise DataError(f"{text!a} cannot stand in a statement for a warehouse.")
    return text


def quoted(text: str) -> str:
    """Any text as an expression that no warehouse reads otherwise; NULL for an empty one. None holds NUL: it goes."""
    pieces = SPECIAL.split(text.replace("\0", ""))
    if pieces == [""]:
        return "NULL"
    return " || ".join(f"chr({ord(one)})" if number % 2 else f"'{one}'" for number, one in enumerate(pieces))


def _said(numbers: Sequence[Decimal]) -> str:
    return ", ".join(f"{one:,}" for one in numbers)

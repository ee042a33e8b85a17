"""A build as tables of a warehouse: filled beside those that readers see, compared with the manifest, then switched to.

Each table of a build is a table of its own there. Readers see views: of every table all loaded years, one build each.
The table ``builds`` says which, as the manifests do; dbt reads it. Redefining views and ``builds`` is one transaction.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.marts import INPUTS
from etl_core.errors import DataError
from etl_core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from data_pipeline.lakehouse.columns import Columns
    from data_pipeline.lakehouse.documents import BuildFile, BuildManifest

Kind = Literal["postgresql", "redshift"]
# PostgreSQL cuts longer names without a word.
LONGEST_NAME = 63
# What a view has besides.
STAMPS = {"dataset": "VARCHAR", "year": "INTEGER", "release": "VARCHAR"}
# What the lake's own names hold. All that is written into statements is of these, or a number.
PLAIN = re.compile(r"[A-Za-z0-9=_./:+ -]*")


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


@dataclass
class Load:
    """One build being loaded. ``columns`` are those of every table by dataset; ``texts`` are tables of texts that the
    models read besides; ``amount`` is the column of the build's table that totals sum.
    """

    build: BuildManifest
    warehouse: Warehouse
    schema: str
    columns: Mapping[str, Mapping[str, Columns]]
    amount: str
    texts: Mapping[str, Sequence[str]]
    progress: Progress = field(default_factory=Progress)

    def is_loaded(self) -> bool:
        """Whether readers see this build."""
        # Who may not create schemas may not say IF NOT EXISTS either.
        schemas = f"SELECT count(*) FROM pg_namespace WHERE nspname = {sql.literal(self.schema)}"
        is_there = int(self.warehouse.rows(schemas)[0][0]) > 0
        new = [] if is_there else [f"CREATE SCHEMA {sql.name(self.schema)}"]
        self.warehouse.run([*new, self._create("builds", INPUTS)])
        return self._own in self._loaded()

    def run(self) -> None:
        """Load the build; what other loads left of its year is removed.

        Raises:
            DataError: rows or sums are not the manifest's; readers see what they saw before. Others as the warehouse.

        """
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
        for name, texts in self.texts.items():
            yield self._create(name, {**dict.fromkeys(texts, "VARCHAR"), "year": "INTEGER", "release": "VARCHAR"})

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
        # Statements of Redshift have at most 100 KB.
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


def _said(numbers: Sequence[Decimal]) -> str:
    return ", ".join(f"{one:,}" for one in numbers)

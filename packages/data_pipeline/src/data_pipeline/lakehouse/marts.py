"""The marts of a lake: the newest build of every dataset and year becomes one DuckDB file.

dbt does the work, on a database ``lake`` with a view of each table over the very files that the pinned manifests name.
The file is made on this machine, put into the lake create-only, and its numbered manifest last.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from data_pipeline import __version__
from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.chain import Chain
from data_pipeline.lakehouse.database import Limits, duckdb_version, open_database
from data_pipeline.lakehouse.dbt import LAKE
from data_pipeline.lakehouse.documents import BuildManifest, MartsInput, MartsManifest, StoredFile
from data_pipeline.lakehouse.query import PinnedTable, tables_of, view
from data_pipeline.lakehouse.reconciliation import ADVICE, Summary, insert, reconciled_in
from etl_core.errors import DataError, NotFoundError, UnavailableError
from etl_core.files import sha256_of
from etl_core.lake import scratch_folder
from etl_core.progress import Progress

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.curate import DerivedTable
    from data_pipeline.lakehouse.dbt import Built
    from data_pipeline.lakehouse.documents import MartsSummary
    from etl_core.lake import ObjectStore

# How the database `lake` is made: raise it when the same builds would give other tables.
BUILDER = 2
INPUTS = {
    "dataset": "VARCHAR", "year": "INTEGER", "release": "VARCHAR", "build": "VARCHAR", "number": "INTEGER",
    "run_id": "VARCHAR", "closed": "BOOLEAN", "rows": "BIGINT", "quarantined": "BIGINT", "amount_usd": "DECIMAL(18,2)",
    "created_at": "TIMESTAMPTZ",
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A dataset as the marts know it, whether or not anything was built of it; ``amount`` is what totals sum."""

    dataset: str
    contract: Contract
    derived: Sequence[DerivedTable]
    amount: str

    def empty_tables(self) -> Iterator[tuple[str, str]]:
        """Its tables without any record, so that each is there with all columns."""
        nothing = sql.no_records(self.contract)
        yield self.contract.name, nothing
        for one in self.derived:
            yield one.name, f"({one.select.format(source=nothing)})"


class Transformation(Protocol):
    """What makes the marts of the database ``lake``: dbt."""

    def digest(self) -> str:
        """Of its rules."""
        ...

    def versions(self) -> dict[str, str]:
        """Of its programs."""
        ...

    def build(self, folder: Path) -> Built:
        """Make the database from the one of the name ``LAKE`` in ``folder``, and test it."""
        ...


@dataclass
class Marts:
    """One build of the marts being made, of the ``pinned`` builds."""

    store: ObjectStore
    sources: Sequence[Source]
    pinned: Sequence[BuildManifest]
    transformation: Transformation
    limits: Limits
    now: Callable[[], datetime]
    check_stop: Callable[[], None]
    summaries: Sequence[Summary] = ()
    progress: Progress = field(default_factory=Progress)

    @property
    def build(self) -> str:
        """Its name: the same inputs, the same build."""
        said = {
            "builder": [BUILDER, duckdb_version(), self.transformation.versions(), self.transformation.digest()],
            "sources": [[one.dataset, one.amount, list(one.empty_tables())] for one in self.sources],
            "builds": sorted([one.scope, one.build] for one in self.pinned),
            "summaries": [
                [one.table, list(one.columns), sorted([own.key, own.sha256] for own in one.pinned)]
                for one in self.summaries
            ],
        }
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def inputs(self) -> tuple[MartsInput, ...]:
        """What the manifests say of the pinned builds."""
        amounts = {one.dataset: one.amount for one in self.sources}
        return tuple(
            MartsInput(
                amount_usd=one.amounts.get(amounts[one.dataset], Decimal(0)),
                **{name: getattr(one, name) for name in INPUTS if name != "amount_usd"},
            )
            for one in self.pinned
        )

    def current(self) -> MartsManifest | None:
        """The manifest of this build if readers see it, and its file is there: ``run`` writes it if it is not."""
        current = chain_of(self.store).current()
        return None if self._is_to_be_replaced(current) else current

    def run(self) -> MartsManifest:
        """Make the file, put it into the lake, then the manifest; the manifest that stands.

        Raises:
            DataError: a file is not what its manifest says, or a model or a test failed.
            AccessError: memory or disk does not suffice. StoppedError: on request; nothing was published.
            UnavailableError: the file was removed meanwhile.

        """
        with scratch_folder(self.store) as folder:
            files = [one for build in self.pinned for one in build.files]
            rows = sum(one.rows for one in files)
            with self.progress.showing("marts: checking tables", units=len(files), rows=rows, unit_name="files"):
                self._describe(folder / LAKE, folder)
            built = self.transformation.build(folder)
            with self.progress.showing("marts: counting rows"):
                tables = rows_of(built.database, self.limits, folder)
            manifest = MartsManifest(
                build=self.build,
                inputs=self.inputs,
                summaries=tuple(own for one in self.summaries for own in one.pinned),
                reconciled=reconciled_in(built.database, self.limits, folder),
                closed=all(one.closed for one in self.pinned),
                file=self._publish(built.database),
                tables=tables,
                tests=built.tests,
                warnings=built.warnings,
                created_at=self.now(),
                software={"data_pipeline": __version__, **self.transformation.versions()},
            )
        committed = chain_of(self.store).commit(manifest, replaces=self._is_to_be_replaced)
        if not is_whole(self.store, committed):
            raise UnavailableError(f"{committed.file.key} was removed while the marts were made; run it again.")
        return committed

    def _is_to_be_replaced(self, current: MartsManifest | None) -> bool:
        return current is None or current.build != self.build or not is_whole(self.store, current)

    def _describe(self, path: Path, folder: Path) -> None:
        """Make the database that dbt reads: a view of each table, and the table ``builds``."""
        tables = [table for build in self.pinned for table in tables_of(build, self._located(build, folder))]
        with open_database(Limits(self.limits.memory_mb, 1), folder / "spill") as database:
            database.execute(f"ATTACH {sql.literal(str(path))} AS lake")
            database.execute("USE lake")
            empty: defaultdict[str, list[str]] = defaultdict(list)
            for name, nothing in chain.from_iterable(one.empty_tables() for one in self.sources):
                empty[name].append(nothing)
            for name, nothings in empty.items():
                database.execute(view_of(name, nothings, [one for one in tables if one.name == name]))
            self._insert_inputs(database)
            for number, summary in enumerate(self.summaries):
                paths = [str(self._fetched(one, folder)) for one in summary.pinned]
                insert(database, summary, paths, folder / f"summary-{number}.csv")

    def _insert_inputs(self, database: DuckDBPyConnection) -> None:
        columns = ", ".join(f"{sql.name(name)} {kind}" for name, kind in INPUTS.items())
        database.execute(f"CREATE TABLE builds ({columns})")
        rows = [[getattr(one, name) for name in INPUTS] for one in self.inputs]
        if rows:
            database.executemany(f"INSERT INTO builds VALUES ({', '.join('?' * len(INPUTS))})", rows)

    def _fetched(self, summary: MartsSummary, folder: Path) -> Path:
        self.check_stop()
        return fetched(self.store, summary, folder, advice=ADVICE)

    def _located(self, build: BuildManifest, folder: Path) -> Callable[[str], str]:
        """Where each file of a build is on this machine; its bytes are those of the manifest."""
        paths = {}
        for one in build.files:
            self.check_stop()
            paths[one.key] = str(
                fetched(self.store, one, folder, advice="Delete it, and run build_curated of its year again.")
            )
            self.progress.advance(units=1, rows=one.rows, bytes_read=one.bytes)
        return paths.__getitem__

    def _publish(self, database: Path) -> StoredFile:
        digest, size = sha256_of(database), database.stat().st_size
        key = keys.marts_file(self.build, digest)
        if self.store.put_new(key, database, sha256=digest).sha256 != digest:
            raise DataError(
                f"{self.store.url}/{key} holds other bytes than its name says.",
                advice="It is damaged: delete it, and run build_marts again.",
            )
        return StoredFile(key=key, bytes=size, sha256=digest)


def chain_of(store: ObjectStore) -> Chain[MartsManifest]:
    """The manifests of a lake's marts."""
    return Chain(store, MartsManifest, keys.MARTS_BUILDS)


def is_whole(store: ObjectStore, marts: MartsManifest) -> bool:
    """Whether the lake holds the file of a build in its size."""
    there = store.head(marts.file.key)
    return there is not None and there.size == marts.file.bytes


def fetched(store: ObjectStore, file: StoredFile, folder: Path, *, advice: str) -> Path:
    """A file of the lake on this machine: where it is, or a copy in ``folder``.

    Raises:
        DataError: it is missing, its bytes are not those that its manifest names, or a link or a pipe has its place.

    """
    path = store.local_path(file.key)
    found = "other bytes"
    try:
        if path is None:
            path = folder / "files" / file.sha256
            path.parent.mkdir(exist_ok=True)
            with path.open("wb") as stream:
                stream.writelines(store.read(file.key))
        if sha256_of(path) == file.sha256:
            return path
    except (NotFoundError, FileNotFoundError):
        found = "it is missing"
    raise DataError(f"{store.url}/{file.key} is not the file that its manifest names: {found}.", advice=advice)


def view_of(name: str, nothings: Sequence[str], tables: Sequence[PinnedTable]) -> str:
    """A view of a table over all its builds; it has all columns, even over none."""
    nothing = [
        f"SELECT *, NULL::VARCHAR AS dataset, NULL::INTEGER AS year, NULL::VARCHAR AS release FROM {one} WHERE false"
        for one in nothings
    ]
    return (
        f"CREATE VIEW {sql.name(name)} AS {' UNION ALL BY NAME '.join([*nothing, *([view(tables)] if tables else [])])}"
    )


def rows_of(path: Path, limits: Limits, folder: Path) -> dict[str, int]:
    """The tables and views of a database, with their rows; afterwards all of it is in the one file."""
    with open_database(Limits(limits.memory_mb, 1), folder / "spill") as database:
        database.execute(f"ATTACH {sql.literal(str(path))} AS made")
        database.execute("USE made")
        names = database.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'made' ORDER BY table_name"
        ).fetchall()
        found = {
            name: int(database.execute(f"SELECT count(*) FROM {sql.name(name)}").fetchall()[0][0]) for (name,) in names
        }
        database.execute("CHECKPOINT made")
    return found

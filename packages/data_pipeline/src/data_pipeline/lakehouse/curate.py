"""Builds of a dataset's year: staged parts in a total order, and the tables that follow from them.

Wide records are costly to sort, so few parts are sorted at a time, on one thread, and then appended to each other in
the order of the first column: in bounded memory, and the same inputs give the same bytes. Records of one part, and of
small parts beside each other, are in the contract's order.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from data_pipeline import __version__
from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lakehouse import builds, sql
from data_pipeline.lakehouse.database import Limits, duckdb_version, open_database
from data_pipeline.lakehouse.documents import BuildFile, BuildManifest, StagedPart
from data_pipeline.lakehouse.parts import damaged
from etl_core.errors import DataError, NotFoundError, UnavailableError
from etl_core.files import sha256_of
from etl_core.lake import in_parallel, scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from data_pipeline.lakehouse.contract import Contract
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

# How tables are made of staged parts: raise it when the same parts would give other files.
BUILDER = 1
# A sort of 60,000 records of 252 columns needs 600 MB. A part has at most 60,000 where slices are cut.
ROWS_PER_SORT = 60_000
# A year of 15 million records becomes four files of some 200 MB.
ROWS_PER_FILE = 4_000_000
MOST_DERIVED_COLUMNS = 64


class DerivedTable(Protocol):
    """A table that follows from the curated one. In its SQL, ``{source}`` is that one and ``{table}`` itself."""

    @property
    def name(self) -> str:
        """Of the table."""
        ...

    @property
    def select(self) -> str:
        """Its rows, in a total order."""
        ...

    @property
    def check(self) -> str:
        """An equation that holds of it, as one boolean."""
        ...


class Sorter(Protocol):
    """What sorts staged parts in place of DuckDB: Spark."""

    @property
    def software(self) -> dict[str, str]:
        """What documents say of it."""
        ...

    def sort(
        self, contract: Contract, groups: Sequence[Sequence[StagedPart]], folder: Path
    ) -> Iterator[tuple[Sequence[StagedPart], Path]]:
        """One file per group of parts, its records in the contract's order; raises ``DataError`` if one is damaged."""
        ...


@dataclass(frozen=True)
class Inputs:
    """What a build follows from; ``sorted_by`` is the version of what sorts it, if that is not DuckDB."""

    contract: Contract
    derived: Sequence[DerivedTable]
    scope: str
    dataset: str
    year: int
    release: str
    run_id: str
    closed: bool
    parts: tuple[StagedPart, ...]
    sorted_by: str = ""

    @property
    def build(self) -> str:
        """Its name: the same inputs, the same build."""
        said = {
            "builder": [BUILDER, duckdb_version(), *filter(None, [self.sorted_by])],
            "contract": self.contract.hash,
            "derived": [[one.name, one.select] for one in self.derived],
            "release": self.release,
            "closed": self.closed,
            "parts": sorted([one.part, one.part_sha256] for one in self.parts),
        }
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]

    @property
    def amounts(self) -> dict[str, Decimal]:
        """Sums over all parts, by column."""
        return summed(self.parts)


def summed(parts: Iterable[StagedPart]) -> dict[str, Decimal]:
    """Sums of the amounts of parts, by column."""
    sums: dict[str, Decimal] = {}
    for part in parts:
        for column, amount in part.amounts.items():
            sums[column] = sums.get(column, Decimal(0)) + amount
    return sums


def grouped(parts: Iterable[StagedPart], rows: int) -> Iterator[list[StagedPart]]:
    """Parts in groups of about so many rows, in the order of the table."""
    group: list[StagedPart] = []
    for part in sorted((one for one in parts if one.file), key=lambda one: (one.least or "", one.part)):
        if group and sum(one.staged for one in group) + part.staged > rows:
            yield group
            group = []
        group.append(part)
    if group:
        yield group


@dataclass
class Curation:
    """One build being made."""

    store: ObjectStore
    inputs: Inputs
    limits: Limits
    now: Callable[[], datetime]
    progress: Progress
    check_stop: Callable[[], None]
    rows_per_file: int = ROWS_PER_FILE

    def current(self) -> BuildManifest | None:
        """The manifest of this build if readers see it, and it has all its files: ``run`` writes those it lacks.

        Raises:
            ConflictError: the run is partial, and readers see a build of a closed one.

        """
        current = builds.current_build(self.store, self.inputs.scope)
        builds.must_not_replace_a_closed_one(current, closed=self.inputs.closed)
        if current is None or current.build != self.inputs.build or builds.missing_files(self.store, current):
            return None
        return current

    def run(self, sorter: Sorter | None = None) -> BuildManifest:
        """Write the files, then the manifest; the manifest that stands. Without a ``sorter`` DuckDB sorts.

        Raises:
            DataError: a staged file is not what its document says, or a sum does not hold.
            AccessError: memory or disk does not suffice. ConflictError: as ``current``.
            UnavailableError: a file was removed while it was built.

        """
        inputs = self.inputs
        files = list(grouped(inputs.parts, self.rows_per_file))
        self.progress.start("build", units=len(inputs.parts), rows=sum(one.staged for one in inputs.parts))
        try:
            with scratch_folder(self.store) as folder:
                sorted_ones = sorter.sort(inputs.contract, files, folder) if sorter else self._sorted(files, folder)
                curated = [self._checked(parts, path, folder) for parts, path in sorted_ones]
                made = [(inputs.contract.name, path) for path in curated]
                made += self._derive(curated, folder)
                published = self._publish(made, folder)
        finally:
            self.progress.stop()
        build = builds.commit_build(
            self.store,
            BuildManifest(
                scope=inputs.scope,
                build=inputs.build,
                table=inputs.contract.name,
                dataset=inputs.dataset,
                year=inputs.year,
                release=inputs.release,
                run_id=inputs.run_id,
                closed=inputs.closed,
                contract=inputs.contract.hash,
                parts=len(inputs.parts),
                rows=sum(one.staged for one in inputs.parts),
                quarantined=sum(one.quarantined for one in inputs.parts),
                amounts=inputs.amounts,
                files=tuple(published),
                created_at=self.now(),
                software={
                    "data_pipeline": __version__,
                    "duckdb": duckdb_version(),
                    **(sorter.software if sorter else {}),
                },
            ),
        )
        if missing := builds.missing_files(self.store, build):
            raise UnavailableError(f"{missing[0]} was removed while build {build.build} was made; run it again.")
        return build

    def _sorted(
        self, files: Sequence[Sequence[StagedPart]], folder: Path
    ) -> Iterator[tuple[Sequence[StagedPart], Path]]:
        """The files of the curated table, by DuckDB, one after the other."""
        for parts in files:
            yield parts, self._file(parts, folder)

    def _file(self, parts: Sequence[StagedPart], folder: Path) -> Path:
        """One file of the curated table."""
        own = folder / uuid.uuid4().hex
        own.mkdir()
        with ThreadPoolExecutor(self.limits.workers) as pool:
            waiting = [pool.submit(self._sort, group, own) for group in grouped(parts, ROWS_PER_SORT)]
            try:
                sorted_ones = [str(one.result()) for one in waiting]
            finally:
                pool.shutdown(cancel_futures=True)
        path = folder / f"{own.name}.parquet"
        contract = self.inputs.contract
        with open_database(self.limits, own / "spill") as database:
            whole = f"SELECT * FROM {sql.read_parquet(sorted_ones)}"
            database.execute(sql.copy(whole, str(path), columns=len(contract.columns)))
        shutil.rmtree(own)
        return path

    def _checked(self, parts: Sequence[StagedPart], path: Path, folder: Path) -> Path:
        """A file whose rows and sums equal those of its parts."""
        with open_database(self.limits, folder / "spill") as database:
            source = sql.read_parquet([str(path)])
            found = database.execute(sql.sums(self.inputs.contract, source)).fetchall()[0]
        expected = (sum(part.staged for part in parts), *summed(parts).values())
        if found != expected:
            raise DataError(
                f"build {self.inputs.build}: written were {found}, staged were {expected} records and sums."
            )
        return path

    def _sort(self, parts: Sequence[StagedPart], folder: Path) -> Path:
        """A few parts in one order; they are removed from this machine."""
        self.check_stop()
        own = folder / uuid.uuid4().hex
        own.mkdir()
        paths = in_parallel(lambda part: self._fetch(part, own), parts)
        path = folder / f"{own.name}.parquet"
        contract = self.inputs.contract
        with open_database(self.limits, own / "spill") as database:
            select = sql.ordered(contract, sql.read_parquet(map(str, paths)))
            database.execute(sql.copy(select, str(path), columns=len(contract.columns)))
        shutil.rmtree(own)
        self.progress.advance(units=len(parts), rows=sum(one.staged for one in parts))
        return path

    def _fetch(self, part: StagedPart, folder: Path) -> Path:
        path, file = folder / f"{uuid.uuid4().hex}.parquet", part.staged_file
        try:
            with path.open("wb") as stream:
                stream.writelines(self.store.read(file.key))
        except NotFoundError as error:
            raise damaged(self.store, file, "it is missing") from error
        if sha256_of(path) != file.sha256:
            raise damaged(self.store, file, "other bytes")
        return path

    def _derive(self, curated: Sequence[Path], folder: Path) -> Iterator[tuple[str, Path]]:
        """The tables that follow from the curated one, each in one file; their equations hold."""
        source = sql.read_parquet(map(str, curated))
        alone = Limits(self.limits.memory_mb, workers=1)
        with open_database(alone, folder / "spill") as database:
            for one in self.inputs.derived if curated else ():
                self.check_stop()
                self.progress.describe(f"build: {one.name}")
                path = folder / f"{one.name}.parquet"
                select = one.select.format(source=source)
                database.execute(sql.copy(select, str(path), columns=MOST_DERIVED_COLUMNS))
                table = sql.read_parquet([str(path)])
                check = one.check.format(source=source, table=table)
                if database.execute(f"SELECT {check}").fetchall() != [(True,)]:
                    raise DataError(f"build {self.inputs.build}: of {one.name} this does not hold: {one.check}.")
                yield one.name, path

    def _publish(self, made: Sequence[tuple[str, Path]], folder: Path) -> list[BuildFile]:
        """Put the files into the lake, under names that contain their hashes."""
        self.progress.describe("build: writing into the lake")
        source = {str(path): sql.read_parquet([str(path)]) for _, path in made}
        with open_database(self.limits, folder / "spill") as database:
            rows = {
                path: database.execute(f"SELECT count(*) FROM {it}").fetchall()[0][0] for path, it in source.items()
            }
        files: list[BuildFile] = []
        for table, path in made:
            number = sum(one.table == table for one in files)
            digest, size = sha256_of(path), path.stat().st_size
            key = keys.build_file(self.inputs.scope, self.inputs.build, table, number, digest)
            count = rows[str(path)]
            if self.store.put_new(key, path, sha256=digest).sha256 != digest:
                raise DataError(
                    f"{self.store.url}/{key} holds other bytes than its name says.",
                    advice="It is damaged: delete it, and run build_curated again.",
                )
            files.append(BuildFile(key=key, bytes=size, sha256=digest, table=table, rows=count))
        return files

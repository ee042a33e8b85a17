"""What the lakehouse writes into the lake."""

from __future__ import annotations

from decimal import Decimal
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lake_layout.lakehouse import StagedKeys
from data_pipeline.lakehouse.contract import HeaderDrift
from data_pipeline.runs.documents import Sha256
from etl_core.documents import Document, Value
from etl_core.errors import DataError


class StoredFile(Value):
    """An object, and what it must be."""

    key: str
    bytes: int
    sha256: Sha256


class NewValues(Value):
    """Values of a column that the contract does not list."""

    column: str
    records: int
    least: str = Field(description="the first of them in the order of text")
    greatest: str


class StagedPart(Document):
    """What became of the records of one part: each is staged or quarantined. Written last, it is their commit."""

    part: str = Field(description="its key")
    part_sha256: Sha256
    contract: str
    records: int = Field(description="audited")
    staged: int
    quarantined: int
    file: StoredFile | None = Field(description="null if nothing was staged")
    quarantine: StoredFile | None = Field(description="null if nothing was quarantined")
    reasons: dict[str, int] = Field(description="quarantined records by violated rule")
    flags: dict[str, int] = Field(description="staged records by violated rule")
    new_values: tuple[NewValues, ...]
    drift: HeaderDrift | None = Field(description="how the header differs, where that was accepted")
    amounts: dict[str, Decimal] = Field(description="sums of the staged records, by column")
    least: str | None = Field(description="of the first column that tables are sorted by")
    greatest: str | None
    staged_at: AwareDatetime
    software: dict[str, str]

    def is_at(self, key: str) -> bool:
        """Whether ``key`` is the place of this part under this contract, and so are those of its files."""
        try:
            own = StagedKeys.of_part(self.part, self.contract)
        except DataError:
            return False
        files = (self.file, own.staged), (self.quarantine, own.quarantine)
        return key == own.document and all(file is None or file.key == place for file, place in files)

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """Those it has."""
        return tuple(one for one in (self.file, self.quarantine) if one is not None)

    @property
    def staged_file(self) -> StoredFile:
        """The file of a part with staged records."""
        if self.file is None:
            raise ValueError(f"{self.part} has no staged records")
        return self.file

    @model_validator(mode="after")
    def _nothing_disappears(self) -> Self:
        if (self.file is None) != (self.staged == 0):
            raise ValueError(f"{self.staged} staged records are in {self.file}")
        if self.staged + self.quarantined != self.records:
            raise ValueError(f"{self.staged} staged and {self.quarantined} quarantined are not {self.records} records")
        return self


class BuildFile(StoredFile):
    """One file of a table of a build."""

    table: str
    rows: int


class NumberedManifest(Document):
    """One document of a chain: nothing else names the files of its build. Written last and create-only, it is the
    build's commit.
    """

    number: int = Field(0, description="the highest one of a chain is what readers see")
    parent: int | None = Field(None, description="the number that was current before")
    build: str = Field(description="hash of its inputs: the same inputs give the same build")


class BuildManifest(NumberedManifest):
    """One build of a dataset's year."""

    scope: str = Field(description="the folder of its builds, such as dataset=…/year=…")
    table: str = Field(description="the table that holds the staged records; the others follow from it")
    dataset: str
    year: int
    release: str
    run_id: str
    closed: bool = Field(description="false: of a partial run")
    contract: str
    parts: int
    rows: int = Field(description="of the table; those that were staged")
    quarantined: int
    amounts: dict[str, Decimal] = Field(description="sums over the table, by column")
    files: tuple[BuildFile, ...] = Field(description="of all tables, each in its order")
    created_at: AwareDatetime
    software: dict[str, str]

    def is_at(self, key: str) -> bool:
        """Whether ``key`` is the place of this number, and all files are this build's own."""
        prefix = keys.build_files(self.scope, self.build)
        return key == keys.build_manifest(self.scope, self.number) and all(
            file.key.startswith(prefix) for file in self.files
        )

    @property
    def tables(self) -> dict[str, tuple[BuildFile, ...]]:
        """The files of each table, in order."""
        names = dict.fromkeys(one.table for one in self.files)
        return {name: tuple(one for one in self.files if one.table == name) for name in names}


class MartsInput(Value):
    """The build of a dataset's year that marts were made of."""

    dataset: str
    year: int
    release: str
    build: str
    number: int
    run_id: str
    closed: bool
    rows: int
    quarantined: int
    amount_usd: Decimal = Field(description="sum of what its records add to totals")
    created_at: AwareDatetime


class MartsSummary(StoredFile):
    """What the source itself says of a year, as an object of the lake: marts are compared with it."""

    table: str = Field(description="as which the marts read it")
    year: int
    release: str = Field(description="its publication")
    rows: int


class Reconciled(Value):
    """Our figures of a dataset's year beside those of the source, by kind of entity."""

    dataset: str
    year: int
    entity_kind: str
    is_whole_year: bool = Field(description="false: only entities of which all payments are here were compared")
    summary_release: str
    entities: int = Field(description="that were compared, and those that only one side has")
    entities_differing: int
    payments_difference: int = Field(description="ours less theirs, summed over all entities")
    amount_difference_usd: Decimal = Field(description="ours less theirs, summed over all entities")
    amount_differing_usd: Decimal = Field(description="the same without regard to signs")


class MartsManifest(NumberedManifest):
    """One build of the marts: a single file, a DuckDB database."""

    inputs: tuple[MartsInput, ...]
    summaries: tuple[MartsSummary, ...] = Field((), description="what the marts were compared with")
    reconciled: tuple[Reconciled, ...] = Field((), description="how they compare; a difference fails nothing")
    closed: bool = Field(description="false: a build it was made of is of a partial run")
    file: StoredFile
    tables: dict[str, int] = Field(description="rows by table")
    tests: int = Field(description="of the data; all of them passed, but for the warnings")
    warnings: tuple[str, ...] = Field(description="names of the tests that only warn, and did")
    created_at: AwareDatetime
    software: dict[str, str]

    def is_at(self, key: str) -> bool:
        """Whether ``key`` is the place of this number, and the file is this build's own."""
        return key == keys.numbered(keys.MARTS_BUILDS, self.number) and self.file.key == keys.marts_file(
            self.build, self.file.sha256
        )

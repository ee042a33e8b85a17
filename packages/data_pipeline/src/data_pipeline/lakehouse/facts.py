"""How the jobs of the lakehouse end: the facts that they print."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from data_pipeline.lakehouse.contract import HeaderDrift
from data_pipeline.lakehouse.documents import MartsInput, NewValues, Reconciled
from data_pipeline.runs.documents import Sha256
from etl_core.documents import Document, Value


class JobFact(Document):
    """What every fact has."""

    job: str
    run_id: str
    seconds: float
    retry_after_seconds: float | None = None
    lake: str


class RunFact(JobFact):
    """The fact of a job that takes a committed run, or what was made of one."""

    dataset: str
    year: int
    release: str
    closed: bool = Field(description="false: the run is partial")


class StageFact(RunFact):
    """How ``stage`` ended."""

    status: Literal["staged", "already staged"]
    contract: str
    parts: int
    new_parts: int = Field(description="staged by this call")
    rows: int = Field(description="staged")
    quarantined: int
    reasons: dict[str, int]
    flags: dict[str, int]
    new_values: tuple[NewValues, ...]
    drift: HeaderDrift | None
    bytes: int = Field(description="of the staged files")


class CuratedFact(RunFact):
    """How ``build_curated`` ended."""

    status: Literal["built", "already built"]
    contract: str
    build: str
    manifest: str = Field(description="its key")
    rows: int
    quarantined: int
    tables: dict[str, int] = Field(description="rows by table")
    bytes: int = Field(description="of all files")


class MartsFact(JobFact):
    """How ``build_marts`` ended."""

    status: Literal["built", "already built"]
    build: str
    manifest: str = Field(description="its key")
    file: str = Field(description="the key of the database")
    closed: bool = Field(description="false: a build it was made of is of a partial run")
    inputs: tuple[MartsInput, ...]
    reconciled: tuple[Reconciled, ...] = Field(
        (), description="by dataset, year and kind of entity, how the figures compare with the source's own summaries"
    )
    rows: int = Field(description="payments")
    quarantined: int
    tables: dict[str, int] = Field(description="rows by table")
    tests: int
    warnings: tuple[str, ...]
    bytes: int


class ReportFact(RunFact):
    """How ``report`` ended."""

    status: Literal["written", "already there"]
    page: str = Field(description="its key")
    uri: str = Field(description="where a browser opens it")
    marts: str = Field(description="the build of the marts")
    bytes: int


class YearCheck(Value):
    """One of the equations that a finished year must satisfy, in records or US dollars."""

    name: str
    status: Literal["passed", "failed", "warned"] = Field(description="only what failed fails the job")
    found: Decimal
    expected: Decimal | None = Field(None, description="what it must equal")
    at_most: Decimal | None = Field(None, description="what it may be")
    note: str = ""


class CheckYearFact(RunFact):
    """How ``check_year`` ended."""

    status: Literal["passed", "failed"]
    build: str | None = Field(None, description="of the tables; null: there is none")
    marts: str | None = Field(None, description="the build of the marts; null: there is none")
    rows: int = Field(description="proved")
    failed: tuple[str, ...] = Field(description="names of the checks that failed")
    checks: tuple[YearCheck, ...]


class BuiltYear(Value):
    """What became of one program year; the counts are those of the build that readers see now."""

    year: int
    status: Literal["closed", "partial", "failed", "not tried", "planned"]
    steps: dict[str, str] = Field({}, description="the status of each step that was reached")
    run_id: str | None = None
    release: str | None = None
    rows: int | None = None
    quarantined: int | None = None
    amount_usd: Decimal | None = None
    page: str | None = Field(None, description="its key")
    uri: str | None = Field(None, description="where a browser opens the page")
    error: str = Field("", description="why it failed, or why it is not complete")


class BuildFact(JobFact):
    """How ``build`` ended."""

    status: Literal["built", "already built", "incomplete", "planned"]
    exit_code: Literal[0, 2, 3, 4] = Field(description="2, 3: running again does not help, 4: it may")
    dataset: str
    years: tuple[BuiltYear, ...]
    marts: str | None = Field(None, description="the build of the marts")
    file: str | None = Field(None, description="the key of their database")
    requests: int
    retries: int


class QueryFact(JobFact):
    """How ``query`` ended."""

    status: Literal["answered"]
    tables: int = Field(description="of how many builds' tables there are")


class QuarantineFact(RunFact):
    """How ``quarantine`` ended."""

    status: Literal["shown", "not all staged"]
    contract: str
    parts: int
    staged_parts: int
    rows: int = Field(description="staged")
    quarantined: int
    reasons: dict[str, int] = Field(description="quarantined records by violated rule")


class ExportedFile(Value):
    """A file of an export."""

    name: str
    rows: int = Field(description="without the header")
    bytes: int
    sha256: Sha256
    status: Literal["written", "already there"]


class ExportFact(RunFact):
    """How ``export`` ended."""

    status: Literal["exported"]
    table: str | None = Field(None, description="null: the records of the run")
    build: str | None = None
    manifest: str | None = Field(None, description="the build's key")
    rows: int
    to: str
    files: tuple[ExportedFile, ...] = Field(description="none where the rows went to stdout")


class TracedBuild(Value):
    """The build that holds a record."""

    build: str
    table: str
    manifest: str
    closed: bool
    created_at: AwareDatetime


class TracedStage(Value):
    """The staged or quarantined part that holds a record."""

    file: str
    document: str
    contract: str


class TracedPart(Value):
    """Where a record stands in its raw part; record and line are counted from 1, the header is line 1."""

    part: str
    sha256: Sha256
    dialect: str
    record: int
    line: int
    byte: int


class FailedAttempt(Value):
    """A request for the same window that proved nothing."""

    at: AwareDatetime
    reason: str
    detail: str


class TracedRequest(Value):
    """The request that answered with a part."""

    unit: str = Field(description="the folder of the part")
    window: dict[str, Any]
    generation: int
    url: str
    status: int
    started_at: AwareDatetime
    proved_at: AwareDatetime
    seconds: float
    requests: int
    retries: int
    count_before: int | None
    count_after: int | None
    failed_attempts: tuple[FailedAttempt, ...]


class TracedRun(Value):
    """The run that committed a part."""

    status: str
    closed: bool
    created_at: AwareDatetime
    finished_at: AwareDatetime


class TraceFact(RunFact):
    """How ``trace`` ended: the chain from a row to its request."""

    status: Literal["traced", "in quarantine"]
    record_id: str
    row: dict[str, Any]
    build: TracedBuild | None = Field(description="null: the record is only staged, or in quarantine")
    staged: TracedStage
    raw: TracedPart
    request: TracedRequest
    run: TracedRun
    source_release: dict[str, Any] = Field(description="as the source names it")

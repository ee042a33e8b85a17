"""What is written into the lake about slices and runs: versioned models with published JSON Schemas.

Everything here is a value. Each model is read back by later stages, by other tools, years later:
a field is never renamed or re-used; a new meaning is a new field and a new ``schema_version``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from data_pipeline.open_payments.windows import Window
from etl_core.documents import Document, Value

Verdict = Literal["proved", "empty"]
RunStatus = Literal["completed", "partial", "failed", "torn"]
CountsFrom = Literal["grouped", "entities", "count"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Release(Value):
    """One publication of one program year: what a slice belongs to."""

    dataset: str
    year: int
    dataset_id: str = Field(description="stable for a program year")
    distribution_id: str = Field(description="changes at every publication")
    modified: str = Field(
        description="YYYY-MM-DD: the catalogue's, or by the script route the records' publication date"
    )
    route: Literal["catalogue", "script"]

    @property
    def name(self) -> str:
        """As it stands in keys."""
        return f"{self.modified}-{self.distribution_id[:8]}"


class Audit(Document):
    """The proof of one part. There is none for a part that is not proved."""

    release: Release
    company_id: str
    window: Window
    generation: int = Field(1, description="above 1 where the source's count moved under the release: proved anew")
    key: str = Field(description="of the part, in the lake")
    url: str = Field(description="the request that answered these bytes; the first one of several pages")
    condition: str
    strategy: Literal["window", "pages"]
    verdict: Verdict
    records: int
    bytes: int
    sha256: Sha256 = Field(description="of the part's bytes, header included")
    content_hash: Sha256 = Field(description="order-free, without Change_Type and Payment_Publication_Date")
    header_hash: Sha256
    count_before: int = Field(description="the source's count for the condition, before the rows were asked for")
    count_after: int | None = Field(
        description="the same, after the last row had come; null where the window is one of several, "
        "all of which were counted at once before the slice was closed: counts_after of the slice"
    )
    started_at: datetime
    proved_at: datetime
    seconds: float
    requests: int
    retries: int
    software: dict[str, str]


class SliceAudit(Document):
    """Closes a slice: its parts tile it, and their records sum to the source's count."""

    release: Release
    company_id: str
    generation: int = Field(1, description="above 1 where a later proof under the same release stands in its place")
    verdict: Verdict
    records: int
    bytes: int
    content_hash: Sha256 = Field(description="sum of the parts' content hashes modulo 2**256")
    parts: tuple[Audit, ...]
    count_before: int
    count_after: int
    counts_after: tuple[int, ...] = Field(
        (), description="the source's count of each window after the last row of all had come; empty for one window"
    )
    proved_at: datetime


class Attempt(Document):
    """One attempt that proved nothing, and why."""

    run_id: str
    release: Release
    company_id: str
    window: Window
    attempt: int
    reason: str
    detail: str
    temporary: bool
    final: bool = Field(description="no further attempt followed in this run")
    condition: str
    count_before: int | None
    records: int
    bytes: int
    at: datetime


class Selection(Value):
    """What a run was asked for."""

    dataset: str
    year: int
    company_id: str | None = None
    max_files: int | None = None
    slice_of: str | None = Field(None, description="K/N: every N-th company from the K-th")
    rerun_of: str | None = Field(None, description="only what this run left open")
    rerun_what: Literal["failed", "missing"] | None = Field(None, description="of that, what failed, or all of it")

    @property
    def is_whole_year(self) -> bool:
        """Whether every payer was asked for."""
        chosen = (self.company_id, self.max_files, self.slice_of, self.rerun_of)
        return all(one is None for one in chosen)


class PlannedCompany(Value):
    """One slice to do; ``rows`` is None where nobody could say how many."""

    company_id: str
    rows: int | None


class Plan(Document):
    """What a run set out to do; written once, before anything is fetched."""

    run_id: str
    selection: Selection
    release: Release
    counts_from: CountsFrom = Field(description="only grouped and count are counts of this very release")
    source_rows: int = Field(description="the source's count without a condition")
    reference_rows: int | None = Field(None, description="the year's rows by a count from outside the table")
    companies: tuple[PlannedCompany, ...]
    created_at: datetime


class SliceResult(Value):
    """One line of a manifest."""

    company_id: str
    verdict: Literal["proved", "empty", "failed", "missing"]
    reason: str = ""
    generation: int = Field(1, description="of the slice's proof")
    rows_expected: int | None
    rows: int = 0
    bytes: int = 0
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, audit: SliceAudit, rows_expected: int | None, **cost: float) -> SliceResult:
        """The line of a proved slice; ``cost`` are the last three fields."""
        return cls(
            company_id=audit.company_id,
            verdict=audit.verdict,
            generation=audit.generation,
            rows_expected=rows_expected,
            rows=audit.records,
            bytes=audit.bytes,
            **cost,
        )


class PayerCount(Value):
    """A payer of whom the source counts other rows, at the end of a run, than the run has of it."""

    company_id: str
    rows: int
    source_rows: int


class Closure(Value):
    """Whether the year adds up."""

    closed: bool
    source_rows: int
    proved_rows: int
    companies_proved: int
    compared: bool = Field(default=False, description="with the source's count by payer at the end of the run")
    moved: tuple[PayerCount, ...] = Field((), description="payers whose slice was proved at another count")
    unplanned: tuple[PayerCount, ...] = Field((), description="payers of the year that the plan does not have")
    note: str


class Manifest(Document):
    """What a run did: its commit, written once, last. A run without one does not exist for later stages."""

    run_id: str
    dataset: str
    year: int
    files_planned: int
    files_downloaded: int
    files_failed: int
    status: RunStatus
    selection: Selection
    release: Release
    release_at_end: Release
    totals: dict[str, int] = Field(description="slices by verdict")
    rows: int
    bytes: int
    closure: Closure
    slices: tuple[SliceResult, ...]
    file_audits: int = Field(description="lines of file_audits.jsonl")
    file_audits_sha256: Sha256
    created_at: datetime
    finished_at: datetime
    software: dict[str, str]


PUBLISHED: tuple[type[Document], ...] = (Audit, SliceAudit, Attempt, Plan, Manifest)

"""What is written into the lake about slices and runs: versioned models with published JSON Schemas.

Everything here is a value. Each model is read back by later stages, by other tools, years later:
a field is never renamed or re-used; a new meaning is a new field and a new ``schema_version``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from data_pipeline import lake_layout
from data_pipeline.lake_layout.ids import in_order
from data_pipeline.lake_layout.open_payments import SliceKeys
from data_pipeline.open_payments.windows import Window
from data_pipeline.runs import documents as runs
from data_pipeline.runs.documents import Sha256
from etl_core.documents import Document, Value
from etl_core.errors import DataError, UsageError

Verdict = Literal["proved", "empty"]
# Where a document has a field named bytes.
Raw = bytes
CountsFrom = Literal["grouped", "entities", "count"]


class Release(Value):
    """One publication of one program year: what a slice belongs to.

    It is (dataset, year, distribution). Nothing in it says how it was found; its date is the one of its first name.
    """

    dataset: str
    year: int
    dataset_id: str = Field(description="stable for a program year")
    distribution_id: str = Field(description="changes at every publication")
    modified: str = Field(
        description="YYYY-MM-DD in its name: the publication date that the source gave when the lake named it"
    )

    @property
    def name(self) -> str:
        """As it stands in keys."""
        return f"{self.modified}-{self.distribution_id[:8]}"

    def keys(self, company_id: str) -> SliceKeys:
        """The keys of one slice."""
        return SliceKeys(self.dataset, self.year, self.name, company_id)


def _is_built(key: str, build: Callable[[], str]) -> bool:
    try:
        return key == build()
    except UsageError:  # of ids that can be part of no key
        return False


class NamedRelease(Document):
    """The name of a distribution in a lake: written once, before anything lies under it."""

    release: Release


class Audit(runs.CsvPartAudit):
    """The proof of one part: a window of one company in one release."""

    release: Release
    company_id: str
    window: Window
    generation: int = Field(1, description="above 1 where the source's count moved under the release: proved again")
    url: str = Field(description="the request that answered these bytes; the first one of several pages")
    condition: str
    strategy: Literal["window", "pages"]
    verdict: Verdict
    count_before: int = Field(description="the source's count for the condition, before the rows were asked for")
    count_after: int | None = Field(
        description="the same, after the last row had come; null where the window is one of several, "
        "all of which were counted at once before the slice was closed: counts_after of the slice"
    )

    def is_at(self, key: str) -> bool:
        window = self.window
        return _is_built(
            key, lambda: self.release.keys(self.company_id).part_audit(window.number, window.of, self.generation)
        )


class SliceAudit(Document):
    """Closes a slice: its parts tile it, and their records sum to the source's count.

    Stored as JSON lines: this document, then the audit of each part exactly as it is stored beside the part.
    """

    release: Release
    company_id: str
    generation: int = Field(1, description="above 1 where a later proof under the same release stands in its place")
    verdict: Verdict
    records: int
    bytes: int
    content_hash: Sha256 = Field(description="sum of the parts' content hashes modulo 2**256")
    parts: tuple[Audit, ...] = Field((), exclude=True)
    count_before: int
    count_after: int
    counts_after: tuple[int, ...] = Field(
        (), description="the source's count of each window after the last row of all had come; empty for one window"
    )
    proved_at: AwareDatetime

    def is_at(self, key: str) -> bool:
        return _is_built(key, lambda: self.release.keys(self.company_id).slice_audit(self.generation))

    def to_bytes(self) -> Raw:
        """Its own line, and those of its parts as they are stored."""
        return super().to_bytes() + self.part_lines

    @property
    def part_lines(self) -> Raw:
        """The stored audits of the parts, a line each."""
        return b"".join(part.to_bytes() for part in self.parts)

    @classmethod
    def parse(cls, raw: Raw, key: str) -> Self:
        """The slice and its parts; raises ``DataError`` if a line is not what it must be."""
        own, *lines = raw.splitlines(keepends=True) or [b""]
        parts = tuple(Audit.parse(line, key) for line in lines)
        return super().parse(own, key).model_copy(update={"parts": parts}).stored_as(own)


class Attempt(runs.Attempt):
    """One attempt to prove a window, or to open or close its slice."""

    release: Release
    company_id: str
    window: Window
    condition: str
    count_before: int | None

    @property
    def unit(self) -> str:
        """The company's folder."""
        return lake_layout.open_payments.company(self.company_id)

    @classmethod
    def of_slice(
        cls, run_id: str, release: Release, company_id: str, *, reason: str, detail: str, temporary: bool, at: datetime
    ) -> Attempt:
        """A final attempt at a whole slice of which no window was tried."""
        return cls(
            run_id=run_id, release=release, company_id=company_id, window=Window(1, 1, "", ""), attempt=1,
            reason=reason, detail=detail, temporary=temporary, final=True,
            condition="", count_before=None, records=0, bytes=0, at=at,
        )  # fmt: skip


class Selection(Value):
    """What a run was asked for. Companies chosen by id may be given in either field, one or several."""

    dataset: str
    year: int
    company_id: str | None = Field(None, description="of one company")
    company_ids: tuple[str, ...] = Field(
        (), description="of several companies, by ascending id; not written for one or none", exclude_if=operator.not_
    )
    max_files: int | None = None
    slice_of: str | None = Field(None, description="K/N: every N-th company from the K-th")
    rerun_of: str | None = Field(None, description="only what this run left open")
    rerun_what: Literal["failed", "missing"] | None = Field(None, description="of that, what failed, or all of it")

    @model_validator(mode="after")
    def _in_one_form(self) -> Self:
        """The same companies are the same selection, in whatever order and field; one is stored as it always was."""
        ids = sorted(set(self.chosen_ids), key=in_order)
        object.__setattr__(self, "company_id", ids[0] if len(ids) == 1 else None)
        object.__setattr__(self, "company_ids", tuple(ids) if len(ids) > 1 else ())
        return self

    @property
    def chosen_ids(self) -> tuple[str, ...]:
        """The companies that were chosen by id."""
        return self.company_ids if self.company_id is None else (self.company_id, *self.company_ids)

    @property
    def is_whole_year(self) -> bool:
        """Whether every payer was asked for."""
        narrowed = (self.max_files, self.slice_of, self.rerun_of)
        return not self.chosen_ids and all(one is None for one in narrowed)


class PlannedCompany(Value):
    """One slice to do; ``rows`` is None where nobody could say how many."""

    company_id: str
    rows: int | None


class Plan(runs.RunPlan):
    """The companies that a run takes, with the counts it took them at."""

    selection: Selection
    release: Release
    counts_from: CountsFrom = Field(description="only grouped and count are counts of this very release")
    source_rows: int = Field(description="the source's count without a condition")
    reference_rows: int | None = Field(None, description="the year's rows by a count from outside the table")
    trusts_count: bool = Field(
        default=False, description="--trust-count: no count from outside confirmed the table, so the run stays partial"
    )
    companies: tuple[PlannedCompany, ...]

    @model_validator(mode="after")
    def _release_is_of_the_selection(self) -> Self:
        asked, found = ((one.dataset, one.year) for one in (self.selection, self.release))
        if asked != found:
            raise DataError(
                f"the plan of run {self.run_id} is refused: it asks for {asked[0]} {asked[1]}, "
                f"its release is of {found[0]} {found[1]}."
            )
        return self

    @property
    def edition(self) -> str:
        """The publication: the same whatever date the catalogue gives it later."""
        return self.release.distribution_id

    @property
    def markers(self) -> tuple[str, ...]:
        """The reference count, where later plans of the release find it."""
        where, rows = (self.release.dataset, self.release.year, self.release.name), self.reference_rows
        return () if rows is None else (lake_layout.open_payments.reference_count(*where, rows),)


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
    """A company whose row count at the source differs from the run's at the end of the run."""

    company_id: str
    rows: int
    source_rows: int


class Closure(Value):
    """Whether the year adds up."""

    closed: bool
    source_rows: int
    proved_rows: int
    companies_proved: int
    confirmed: bool = Field(description="a count from outside the table confirms that it is whole")
    compared: bool = Field(default=False, description="with the source's count by payer at the end of the run")
    moved: tuple[PayerCount, ...] = Field((), description="payers whose slice was proved at another count")
    unplanned: tuple[PayerCount, ...] = Field((), description="payers of the year that the plan does not have")
    note: str


class Manifest(runs.RunManifest):
    """The slices of a run, and whether the year adds up."""

    dataset: str
    year: int
    selection: Selection
    release: Release
    release_at_end: Release
    totals: dict[str, int] = Field(description="slices by verdict")
    closure: Closure
    slices: tuple[SliceResult, ...]

    @property
    def is_closed(self) -> bool:
        """Whether the whole year is proved."""
        return self.closure.closed and self.status == "completed"

    @property
    def proved(self) -> tuple[SliceResult, ...]:
        """The slices that the run proved."""
        return tuple(one for one in self.slices if one.verdict in ("proved", "empty"))

    @property
    def open_units(self) -> frozenset[str]:
        """The folders of the companies that are not proved."""
        left = (one.company_id for one in self.slices if one.verdict in ("failed", "missing"))
        return frozenset(map(lake_layout.open_payments.company, left))

    @property
    def folders(self) -> tuple[str, ...]:
        """Among the committed runs of its release; if payers had moved, among those that counted them again;

        if its table was confirmed, among those whose row count the next release can be compared with.
        """
        where = self.release.dataset, self.release.year, self.release.name
        folders = {
            lake_layout.open_payments.commits: True,
            lake_layout.open_payments.recounts: bool(self.closure.moved or self.closure.unplanned),
            # The count of a torn run is that of the release after its own.
            lake_layout.open_payments.confirmed: self.closure.confirmed and self.status != "torn",
        }
        return tuple(folder(*where) for folder, holds in folders.items() if holds)


PUBLISHED: tuple[type[Document], ...] = (NamedRelease, Audit, SliceAudit, Attempt, Plan, Manifest)

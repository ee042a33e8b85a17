"""The fact that every run ends in, and how it is made from what the run left in the lake."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Literal, TypeVar

from pydantic import Field

from data_pipeline.open_payments.ledger.audits import read_attempts
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from data_pipeline.open_payments.ledger.summaries import KeptSummary
from data_pipeline.runs.status import exit_code_of
from etl_core.documents import Document, Value
from etl_core.errors import DONE, PERMANENT, TEMPORARY, BlockedError, TemporaryError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from data_pipeline.open_payments.fetch.crew import Outcome
    from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceResult
    from data_pipeline.open_payments.ledger.selection import Forecast
    from etl_core.lake import ObjectStore
    from etl_core.telemetry import Telemetry

MAX_FAILURES_NAMED = 10
MAX_COMPANIES_NAMED = 20


class FailedCompany(Value):
    """A company whose slice is not proved, and why."""

    company_id: str
    reason: str
    detail: str = ""


class Expected(Value):
    """What a planned run would do, at the rates that users of the source measured."""

    companies: int = Field(description="without a proved slice")
    rows: int
    rows_of_year: int = Field(description="the source's count without a condition")
    bytes: int
    windows: int
    requests: int
    seconds: float
    first_companies: tuple[PlannedCompany, ...] = Field(description=f"at most {MAX_COMPANIES_NAMED} of them")


class UploadFact(Value):
    """A run copied to another lake."""

    status: Literal["planned", "uploaded", "already uploaded"]
    to: str
    planned: int = Field(description="files of the run")
    copied: int
    same: int = Field(description="files that were there with the same content")
    bytes: int


class RunFact(Document):
    """How a run ended. A job prints it as its one line on stdout; library calls return it."""

    job: str
    run_id: str
    dataset: str
    year: int
    release: str
    status: Literal["completed", "partial", "failed", "torn", "proved", "already done", "planned"]
    exit_code: Literal[0, 3, 4] = Field(description="3: running again does not help, 4: it may")
    closed: bool | None = Field(None, description="whether the year adds up; null if no manifest was written")
    note: str = Field("", description="why the year is closed or not")
    planned: int = 0
    proved: int = 0
    empty: int = 0
    failed: int = 0
    rows: int = Field(0, description="proved by this run")
    bytes: int = Field(0, description="of the proved parts")
    failures: tuple[FailedCompany, ...] = Field((), description=f"at most {MAX_FAILURES_NAMED} of the failed companies")
    expected: Expected | None = Field(None, description="of a dry run")
    summaries: tuple[KeptSummary, ...] = Field(
        (), description="of CMS, of the year, as stored with a run of all companies; none of them can fail it"
    )
    upload: UploadFact | None = None
    seconds: float
    requests: int
    retries: int
    bytes_received: int
    retry_after_seconds: float | None = Field(
        None, description="how long the source asked to wait, if a temporary failure said so"
    )
    lake: str


def counts_of(results: Iterable[SliceResult]) -> dict[str, int]:
    """The counts of a fact, by the lines of a manifest."""
    results = list(results)
    verdicts = Counter(result.verdict for result in results)
    return {
        "planned": len(results),
        "proved": verdicts["proved"],
        "empty": verdicts["empty"],
        "failed": verdicts["failed"] + verdicts["missing"],
        "rows": sum(result.rows for result in results),
        "bytes": sum(result.bytes for result in results),
    }


F = TypeVar("F", bound=RunFact)


class Costs:
    """What one call costs at the source, for its fact."""

    COUNTERS: ClassVar[Mapping[str, str]] = {
        "requests": "source_requests_total",
        "retries": "source_retries_total",
        "bytes_received": "source_bytes_total",
    }

    def __init__(self, telemetry: Telemetry, clock: Callable[[], float] = time.monotonic) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self._started = clock()
        self._before = self._counts()

    def so_far(self) -> dict[str, float]:
        """Seconds, requests, retries and bytes received since this was made."""
        counts = self._counts()
        seconds = round(self._clock() - self._started, 3)
        return {"seconds": seconds, **{name: counts[name] - self._before[name] for name in counts}}

    def _counts(self) -> dict[str, int]:
        return {name: int(self._telemetry.value(counter)) for name, counter in self.COUNTERS.items()}


def fact_of(kind: type[F], store: ObjectStore, plan: Plan, costs: Costs, **fact: object) -> F:
    """The fact of a run of ``plan``, with what it cost."""
    release = plan.release
    named = {"run_id": plan.run_id, "dataset": release.dataset, "year": release.year, "release": release.name}
    return kind.model_validate({**named, **costs.so_far(), "lake": store.url, **fact})


def committed_fact(store: ObjectStore, manifest: Manifest) -> dict[str, object]:
    """The fact of a committed run whose slices were proved by other processes: why they failed says the lake."""
    failed = [one for one in manifest.slices if one.verdict in ("failed", "missing")]
    attempts = read_attempts(store, manifest.run_id) if manifest.status != "completed" else []
    details = {one.company_id: one.detail for one in attempts if one.final}
    return {
        "status": manifest.status,
        "exit_code": exit_code_of(manifest, attempts),
        "closed": manifest.closure.closed,
        "note": manifest.closure.note,
        "failures": _failures(failed, details),
        **counts_of(manifest.slices),
    }


def exit_code_of_outcomes(outcomes: Iterable[Outcome]) -> int:
    """Done; else temporary if one failure is, else permanent."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return DONE.code
    return TEMPORARY.code if any(isinstance(error, TemporaryError) for error in errors) else PERMANENT.code


def ended_fact(manifest: Manifest | None, outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The fact of a run that this process worked on."""
    results = [outcome.result for outcome in outcomes] if manifest is None else manifest.slices
    failed = [one for one in results if one.verdict in ("failed", "missing")]
    code = exit_code_of_outcomes(outcomes)
    if manifest is not None and code == DONE.code and manifest.status != "completed":
        code = TEMPORARY.code
    waits = [
        outcome.error.retry_after
        for outcome in outcomes
        if isinstance(outcome.error, BlockedError | UnavailableError) and outcome.error.retry_after is not None
    ]
    return {
        "status": manifest.status if manifest is not None else "failed" if failed else "proved",
        "exit_code": code,
        "failures": _failures(
            failed, {one.company.company_id: one.detail for one in outcomes if one.error is not None}
        ),
        "retry_after_seconds": max(waits, default=None),
        **counts_of(results),
    }


def _failures(failed: Iterable[SliceResult], details: Mapping[str, str]) -> tuple[FailedCompany, ...]:
    return tuple(
        FailedCompany(company_id=one.company_id, reason=one.reason, detail=details.get(one.company_id, ""))
        for one in list(failed)[:MAX_FAILURES_NAMED]
    )


def planned_fact(forecast: Forecast, plan: Plan, todo: Sequence[PlannedCompany]) -> dict[str, object]:
    """The fact of a dry run."""
    expected = Expected(
        companies=forecast.companies - forecast.already_proved,
        rows=forecast.rows,
        rows_of_year=plan.source_rows,
        bytes=forecast.bytes,
        windows=forecast.windows,
        requests=forecast.requests,
        seconds=forecast.seconds,
        first_companies=tuple(todo[:MAX_COMPANIES_NAMED]),
    )
    counts = {"planned": forecast.companies, "proved": forecast.already_proved}
    return {"status": "planned", "exit_code": DONE.code, "expected": expected, **counts}

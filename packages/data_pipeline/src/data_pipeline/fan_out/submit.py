"""The submitter: launches, looks every few seconds, removes what is done, explains what is not.

It holds nothing that another submitter could not find out: Jobs have names that follow from their
work, what is proved is in the lake, the plan is written once. Kill it, and the same command goes
on; run two, and they adopt each other's Jobs.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import structlog

from data_pipeline.fan_out import specs
from data_pipeline.fan_out.advice import advice_for
from data_pipeline.fan_out.decide import Decision, Known, Limits, SeenJob, breaker, decide, newest, seen
from data_pipeline.fan_out.worker import failed_attempt
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts, write_attempt
from etl_core.errors import BlockedError
from etl_core.kube.client import JobRemovedError, QuotaError
from etl_core.kube.explain import Diagnosis, explain_job, over_quota

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from data_pipeline.fan_out.documents import FanOutPlan
    from data_pipeline.fan_out.shared_backoff import Board
    from data_pipeline.fan_out.specs import PodOptions
    from data_pipeline.open_payments.ledger.documents import Attempt
    from etl_core.kube.client import Cluster
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

# Names in one `in (…)` of a label selector; the URL stays under 8 KiB, which every proxy takes.
NAMES_IN_SELECTOR = 80
# An audit may be seen some looks after its pod ended: a listing is not the same instant as a list of Jobs.
LOOKS_FOR_AN_AUDIT = 3
DOUBTS_AT_A_LOOK = 5

_log = structlog.get_logger()


@dataclass
class Ended:
    """How a fan-out ended: units that failed and why, and what it cost the cluster."""

    created: int = 0
    adopted: int = 0
    looks: int = 0
    failed: dict[str, Diagnosis] = field(default_factory=dict)
    stopped: str = ""


class Submitter:
    """One fan-out plan on one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        store: ObjectStore,
        plan: FanOutPlan,
        digest: str,
        options: PodOptions,
        limits: Limits,
        *,
        board: Board,
        progress: Progress,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._plan = plan
        self._digest = digest
        self._options = options
        self._limits = limits
        self._board = board
        self._progress = progress
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._audits = Audits(store, plan.release)
        self._units = specs.units_in(plan, digest)
        self._numbers = {unit: number for number, unit in enumerate(self._units)}
        self._companies: Counter[str] = Counter()  # and their rows
        for unit in plan.units:
            self._companies[unit.company_id] += unit.rows
        self._selector = specs.selector_of(specs.labels_of(plan.release, plan.shape))
        self._known = Known()
        self._silent_looks: dict[str, int] = {}
        self._full_since: float | None = None  # the namespace, while nothing of ours was in it
        self._doubted: dict[str, float] = {}
        self._shown: set[str] = set()
        self._ended = Ended()

    def run(self) -> Ended:
        """Launch and look until every unit is proved or has failed.

        Raises:
            StoppedError: asked to stop; the Jobs go on.

        """
        while not self._look().finished:
            self._sleep(self._limits.look_every)
        return replace(self._ended, failed=self._known.failed, stopped=self._known.stopped)

    def _look(self) -> Decision:
        self._ended.looks += 1
        companies = self._plan.proved_of(self._audits.closed())
        jobs = newest(map(seen, self._cluster.jobs(self._selector)))
        proved = self._proved_units(companies)
        self._show(companies)
        self._note_endings(proved, jobs)
        self._heed_a_block()
        decision = decide(self._units, proved, jobs, self._known, self._limits, self._clock())
        self._explain(decision)
        self._heed_the_failures()
        self._launch(decision)
        self._remove(decision)
        return decision

    def _proved_units(self, companies: set[str]) -> set[str]:
        if self._plan.shape == "packed":
            return set(self._units) if companies.issuperset(self._companies) else set()
        return companies.intersection(self._units)

    def _show(self, companies: set[str]) -> None:
        fresh = (companies & self._companies.keys()) - self._shown
        self._shown |= fresh
        if fresh:
            self._progress.advance(units=len(fresh), rows=sum(self._companies[one] for one in fresh))

    def _note_endings(self, proved: set[str], jobs: dict[str, SeenJob]) -> None:
        for unit in (proved & jobs.keys()) - self._known.ended:
            self._known.ended.add(unit)
            self._known.endings.append(True)

    def _heed_the_failures(self) -> None:
        if not self._known.stopped:
            self._known.stopped = breaker(self._known, self._limits)
            if self._known.stopped:
                _log.error("nothing further is launched", because=self._known.stopped)

    def _heed_a_block(self) -> None:
        try:
            self._board.must_not_be_blocked()
        except BlockedError as error:
            if not self._known.stopped:
                self._known.stopped = str(error)
                _log.error("nothing further is launched", because=str(error))

    def _body(self, unit: str, attempt: int) -> dict[str, Any]:
        return specs.body_of(self._plan, self._digest, self._numbers[unit], attempt, self._options)

    def _launch(self, decision: Decision) -> None:
        for unit, attempt in () if self._known.stopped else decision.create:
            try:
                created = self._cluster.create_job(self._body(unit, attempt))
            except QuotaError as error:
                self._wait_for_room(decision, error)
                return
            except JobRemovedError as error:  # the next look finds its audit, or begins it anew
                _log.info("another submitter was faster", said=str(error))
                continue
            self._full_since = None
            self._ended.created += created
            self._ended.adopted += not created

    def _wait_for_room(self, decision: Decision, error: QuotaError) -> None:
        """Whoever else fills the namespace has as long as a pod may wait for a node; ours end of themselves."""
        now, ours = self._clock(), decision.in_flight - len(decision.create)
        if self._full_since is None:
            _log.warning("the namespace is full; waiting until a Job ends", said=str(error))
        if self._full_since is None or ours:
            self._full_since = now
        elif now - self._full_since >= self._limits.start_within:
            for unit, _ in decision.create:
                self._fail(unit, over_quota(str(error)))

    def _remove(self, decision: Decision) -> None:
        for start in range(0, len(decision.remove), NAMES_IN_SELECTOR):
            some = ",".join(decision.remove[start : start + NAMES_IN_SELECTOR])
            self._cluster.delete_jobs(f"{self._selector},{specs.UNIT} in ({some})")

    def _explain(self, decision: Decision) -> None:
        for job in decision.silent:
            looks = self._silent_looks[job.name] = self._silent_looks.get(job.name, 0) + 1
            if looks >= LOOKS_FOR_AN_AUDIT:
                self._fail(job.unit, _NO_AUDIT)
        suspects = [*decision.explain, *self._due(decision.doubt)]
        pods = self._pods_of(suspects)
        for job in suspects:
            events = self._cluster.events(job.name) if not pods[job.name] else ()
            why = explain_job({"status": job.status}, pods[job.name], events)
            if job in decision.explain:
                self._fail(job.unit, self._by_the_lake(job, why))
                continue
            since = self._known.waiting_since[job.name]
            waited = self._clock() - since
            _log.warning(
                "a Job has not begun",
                name=job.name,
                waited=round(waited),
                because=f"{why} {advice_for(why.reason)}".strip(),
            )
            stuck = self._clock() - max(since, self._known.ran_at) >= self._limits.start_within
            if stuck or (not why.temporary and not why.started):
                self._cluster.delete_job(job.name)
                self._fail(job.unit, why)

    def _due(self, jobs: Iterable[SeenJob]) -> list[SeenJob]:
        """Few at a time, and each now and then: what keeps one waiting keeps most of them."""
        now = self._clock()
        due = [job for job in jobs if now - self._doubted.get(job.name, float("-inf")) >= self._limits.doubt_after]
        self._doubted.update((job.name, now) for job in due[:DOUBTS_AT_A_LOOK])
        return due[:DOUBTS_AT_A_LOOK]

    def _pods_of(self, jobs: Iterable[SeenJob]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {job.name: [] for job in jobs}
        names = list(found)
        for start in range(0, len(names), NAMES_IN_SELECTOR // 2):
            some = ",".join(names[start : start + NAMES_IN_SELECTOR // 2])
            for pod in self._cluster.pods(f"batch.kubernetes.io/job-name in ({some})"):
                found[pod["metadata"]["labels"]["batch.kubernetes.io/job-name"]].append(pod)
        return found

    def _by_the_lake(self, job: SeenJob, why: Diagnosis) -> Diagnosis:
        """A worker that ended by itself has said in the lake what was wrong, better than a status can."""
        if not why.started or not why.reason.startswith("exit_"):
            return why
        for attempt in reversed(self._attempts_of(job.unit)):
            if attempt.final:
                return Diagnosis(attempt.reason, attempt.detail, started=True, temporary=attempt.temporary)
        return why

    def _attempts_of(self, unit: str) -> list[Attempt]:
        company_id = None if self._plan.shape == "packed" else unit
        return read_attempts(self._store, self._plan.run_id, company_id=company_id)

    def _fail(self, unit: str, why: Diagnosis) -> None:
        self._known.failed[unit] = why
        self._known.endings.append(False)
        _log.warning("a unit failed", unit=unit, because=f"{why} {advice_for(why.reason)}".strip())
        self._say_why_not(unit, why)

    def _say_why_not(self, unit: str, why: Diagnosis) -> None:
        """An attempt in the lake for every slice of it that is not proved and of which no worker has said why."""
        companies = set(self._companies) if self._plan.shape == "packed" else {unit}
        open_ones = companies - self._plan.proved_of(self._audits.closed())
        told = {one.company_id for one in self._attempts_of(unit) if one.final}
        for company_id in sorted(open_ones - told):
            write_attempt(
                self._store,
                failed_attempt(
                    self._plan, company_id, why.reason, f"{why.detail} {advice_for(why.reason)}".strip(), self._now(),
                    temporary=why.temporary,
                ),
            )  # fmt: skip


_NO_AUDIT = Diagnosis(
    "no_audit",
    "its Job ended well, and the lake has no audit of it.",
    started=True,
    temporary=False,
)

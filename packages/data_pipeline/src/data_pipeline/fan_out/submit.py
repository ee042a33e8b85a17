"""The submitter: creates Jobs, polls, removes the Jobs that are done and explains those that are not.

It keeps nothing that another submitter could not find out: the names of Jobs follow from their
work, the proofs are in the lake, the plan is written once. Kill it, and the same command continues;
start two, and they adopt each other's Jobs.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from data_pipeline import lake_layout
from data_pipeline.fan_out import specs
from data_pipeline.fan_out.advice import advice_for
from data_pipeline.fan_out.decide import (
    Decision,
    Limits,
    SubmitterState,
    after_failures,
    after_full_quota,
    decide,
    must_give_up,
)
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.observe import Observation, ObservedJob, newest, observe_job
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Attempt
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import BlockedError
from etl_core.kube.client import JobRemovedError, QuotaError
from etl_core.kube.diagnose import diagnose
from etl_core.kube.explain import Diagnosis, over_quota
from etl_core.kube.observe import container_state, exit_code, outlives_job
from etl_core.lake import content_of
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.fan_out.shared_backoff import SharedBackoff
    from etl_core.kube.client import Cluster
    from etl_core.kube.describe import PodOptions
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

# Names in one `in (…)` of a label selector; the URL stays under 8 KiB, which every proxy accepts.
NAMES_IN_SELECTOR = 80
JOB_OF_POD = "batch.kubernetes.io/job-name"

_log = get_logger()


@dataclass(frozen=True)
class FanOutResult:
    """How a fan-out ended: what it cost the cluster, the units that failed and why, why it stopped launching."""

    created: int = 0
    adopted: int = 0
    polls: int = 0
    failed: Mapping[str, Diagnosis] = field(default_factory=dict)
    stopped: str = ""


def write_plan(store: ObjectStore, plan: FanOutPlan) -> tuple[FanOutPlan, str]:
    """The plan of this run and shape in the lake, ours or an earlier submitter's, and its SHA-256."""
    key = lake_layout.fan_out.plan(plan.run_id, plan.shape)
    body = plan.to_bytes()
    if not store.put_new(key, body).created:
        body = store.get(key) or b""
    return FanOutPlan.parse(body, key), content_of(body)


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
        backoff: SharedBackoff,
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
        self._backoff = backoff
        self._progress = progress
        self._now = now
        self._sleep = sleep
        self._clock = clock
        self._audits = Audits(store, plan.release)
        self._units = {unit: number for number, unit in enumerate(specs.units_in(plan, digest))}
        self._rows: Counter[str] = Counter()  # by company
        for unit in plan.units:
            self._rows[unit.company_id] += unit.rows
        self._companies = specs.companies_by_unit(plan, digest)
        self._selector = specs.selector_of(specs.labels_of(plan.lake_id, plan.release, plan.shape))
        self._state = SubmitterState()
        self._result = FanOutResult()
        self._shown: set[str] = set()

    def run(self) -> FanOutResult:
        """Create Jobs and poll until every unit is proved or has failed.

        Raises:
            StoppedError: asked to stop; the Jobs continue.

        """
        while not self._poll().finished:
            self._sleep(self._limits.poll_interval)
        return replace(self._result, failed=self._state.failed, stopped=self._state.stopped)

    def _poll(self) -> Decision:
        self._count(polls=1)
        decision, state = decide(tuple(self._units), self._state, self._observe(), self._limits, self._clock())
        self._keep(state)
        self._fail(self._failures_of(decision))
        self._create(decision)
        self._remove((*decision.remove, *self._idle(decision.linger)))
        return decision

    def _count(self, **more: int) -> None:
        self._result = replace(self._result, **{name: getattr(self._result, name) + n for name, n in more.items()})

    def _keep(self, state: SubmitterState) -> None:
        if state.stopped != self._state.stopped:
            _log.error("no more Jobs are created", because=state.stopped)
        self._state = state

    def _observe(self) -> Observation:
        companies = self._plan.proved_of(self._audits.closed())
        jobs = newest(map(observe_job, self._cluster.jobs(self._selector)))
        self._show(companies & self._rows.keys())
        return Observation(self._proved_units(companies), jobs, self._block())

    def _proved_units(self, companies: set[str]) -> frozenset[str]:
        return frozenset(unit for unit, own in self._companies.items() if own <= companies)

    def _show(self, companies: set[str]) -> None:
        fresh = companies - self._shown
        self._shown |= fresh
        if fresh:
            self._progress.advance(units=len(fresh), rows=sum(self._rows[one] for one in fresh))

    def _block(self) -> str:
        try:
            self._backoff.raise_if_blocked()
        except BlockedError as error:
            return str(error)
        return ""

    def _create(self, decision: Decision) -> None:
        for unit, attempt in () if self._state.stopped else decision.create:
            body = specs.body_of(self._plan, self._digest, self._units[unit], attempt, self._options)
            try:
                created = self._cluster.create_job(body)
            except QuotaError as error:
                self._wait_for_quota(decision, error)
                return
            except JobRemovedError as error:  # the next poll finds its audit, or creates it again
                _log.info("another submitter was faster", because=str(error))
                continue
            self._keep(replace(self._state, quota_full_since=None))
            self._count(created=created, adopted=not created)

    def _wait_for_quota(self, decision: Decision, error: QuotaError) -> None:
        if self._state.quota_full_since is None:
            _log.warning("the namespace's quota is used up; waiting until a Job ends", because=str(error))
        ours_open = decision.in_flight - len(decision.create)
        state, give_up = after_full_quota(self._state, self._limits, self._clock(), ours_open=ours_open)
        self._keep(state)
        if give_up:
            self._fail({unit: over_quota(str(error)) for unit, _ in decision.create})

    def _remove(self, units: tuple[str, ...]) -> None:
        for start in range(0, len(units), NAMES_IN_SELECTOR):
            some = ",".join(units[start : start + NAMES_IN_SELECTOR])
            self._cluster.delete_jobs(f"{self._selector},{specs.UNIT} in ({some})")

    def _idle(self, jobs: Iterable[ObservedJob]) -> tuple[str, ...]:
        """Proved units of whose Jobs no worker runs: a container beside it keeps the pod, or a pod never started."""
        pods = self._pods_of(jobs)
        return tuple(job.unit for job in jobs if not any("running" in container_state(pod) for pod in pods[job.name]))

    def _failures_of(self, decision: Decision) -> dict[str, Diagnosis]:
        """Why units have failed: unconfirmed and failed Jobs, and open ones that will not do their work."""
        failures = {job.unit: _NO_AUDIT for job in decision.unconfirmed}
        pods = self._pods_of([*decision.explain, *decision.check])
        for job in decision.explain:
            why = self._explain(job, pods[job.name])
            failures[job.unit] = self._as_the_worker_reported(
                job.unit, self._state.diagnosed.get(job.name, why) if why.reason == "job_failed" else why
            )
        for job in decision.check:
            why, now = self._explain(job, pods[job.name]), self._clock()
            waited = now - self._state.pending_since.get(job.name, now)
            _log.warning("a Job waits", name=job.name, waited=round(waited), because=_with_advice(str(why), why.reason))
            if must_give_up(job, why, self._state, self._limits, now):
                self._cluster.delete_job(job.name)
                failures[job.unit] = self._as_the_worker_reported(job.unit, why)
            else:
                if why.reason == "out_of_memory" or why.reason.startswith("exit_"):
                    self._keep(replace(self._state, diagnosed={**self._state.diagnosed, job.name: why}))
                self._end_outlived(pods[job.name])
        return failures

    def _explain(self, job: ObservedJob, pods: list[dict[str, Any]]) -> Diagnosis:
        done = sum(outlives_job(pod) and exit_code(pod) == 0 for pod in pods)
        if done >= job.completions:  # something beside our containers keeps the Job open
            return _NO_AUDIT
        return diagnose(self._cluster, job.name, {"status": job.status}, pods)

    def _end_outlived(self, pods: Iterable[dict[str, Any]]) -> None:
        """Delete pods that outlive their worker, so that Kubernetes counts the try and continues with the Job."""
        for pod in pods:
            if outlives_job(pod) and "deletionTimestamp" not in pod["metadata"]:
                _log.warning(
                    "deleting a pod that continues although its job has ended",
                    pod=pod["metadata"]["name"], exit_code=exit_code(pod),
                )  # fmt: skip
                self._cluster.delete_pod(pod["metadata"]["name"])

    def _pods_of(self, jobs: Iterable[ObservedJob]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {job.name: [] for job in jobs}
        names = list(found)
        for start in range(0, len(names), NAMES_IN_SELECTOR // 2):
            some = ",".join(names[start : start + NAMES_IN_SELECTOR // 2])
            for pod in self._cluster.pods(f"{JOB_OF_POD} in ({some})"):
                found[pod["metadata"]["labels"][JOB_OF_POD]].append(pod)
        return found

    def _as_the_worker_reported(self, unit: str, why: Diagnosis) -> Diagnosis:
        """A worker that ended by itself left a reason in the lake that says more than its exit code."""
        if why.started and why.reason.startswith("exit_"):
            for attempt in reversed(self._attempts_of(unit)):
                if attempt.final:
                    return Diagnosis(attempt.reason, attempt.detail, started=True, temporary=attempt.temporary)
        return why

    def _attempts_of(self, unit: str) -> list[Attempt]:
        company_id = None if self._plan.shape == "packed" else next(iter(self._companies[unit]))
        return read_attempts(self._store, self._plan.run_id, company_id=company_id)

    def _fail(self, failures: Mapping[str, Diagnosis]) -> None:
        self._keep(after_failures(self._state, failures, self._limits))
        for unit, why in failures.items():
            _log.warning("a unit failed", unit=unit, because=_with_advice(str(why), why.reason))
            self._write_attempts(unit, why)

    def _write_attempts(self, unit: str, why: Diagnosis) -> None:
        """An attempt for every slice of the unit that is not proved and for which no worker left a reason."""
        explained = {one.company_id for one in self._attempts_of(unit) if one.final}
        for company_id in sorted(self._companies[unit] - self._plan.proved_of(self._audits.closed()) - explained):
            attempt = Attempt.of_slice(
                self._plan.run_id, self._plan.release, company_id, reason=why.reason,
                detail=_with_advice(why.detail, why.reason), temporary=why.temporary, at=self._now(),
            )  # fmt: skip
            write_attempt(self._store, attempt)


def _with_advice(text: str, reason: str) -> str:
    return f"{text} {advice_for(reason)}".strip()


_NO_AUDIT = Diagnosis(
    "no_audit",
    "its Job succeeded, but the lake has no audit of it.",
    started=True,
    temporary=False,
)

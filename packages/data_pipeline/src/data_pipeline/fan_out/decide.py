"""What a submitter does next, from its state and one observation. Pure: the submitter keeps the state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.fan_out.observe import Observation, ObservedJob
    from etl_core.kube.explain import Diagnosis

NEVER = float("-inf")
# A listing of the lake may lag behind the list of Jobs: the audit may appear some polls after its pod ended.
POLLS_FOR_AN_AUDIT = 3
# Pending pods usually share one cause.
CHECKS_PER_POLL = 5
# While no pod of ours has run, a pending one is checked this soon, once: what the cluster refuses, it refuses at once.
EARLY_CHECK_SECONDS = 15.0
# A few failures among very few units do not condemn the rest.
FEWEST_OUTCOMES = 5


@dataclass(frozen=True)
class Limits:
    """The limits of a submitter; times in seconds."""

    max_in_flight: int = 1
    max_failure_ratio: Annotated[
        float, (0, 1), "Create no further Jobs once more than this share of the last 20 units failed."
    ] = 0.2
    failures_of_last: int = 20
    poll_interval: Annotated[float, (0.1, None), "Seconds between two polls of the cluster."] = 5.0
    # A Job whose pods are pending for longer is explained; one that cannot start is given up.
    pending_check_after: Annotated[float, (0, None), "Seconds until a pending pod is checked."] = 60.0
    # A Job that no node has room for is given up after this, counted from the last pod of ours that ran: nodes may
    # take minutes to come, and other Jobs may have to end first.
    pending_timeout: Annotated[float, (0, None), "Seconds until a pod that no node has room for counts as failed."] = (
        1800.0
    )


@dataclass(frozen=True)
class SubmitterState:
    """What a submitter remembers between two polls; a new submitter starts without it."""

    failed: Mapping[str, Diagnosis] = field(default_factory=dict)  # by unit
    stopped: str = ""  # why nothing more is launched
    outcomes: tuple[bool, ...] = ()  # whether the last units were proved, oldest first
    proved: frozenset[str] = frozenset()  # units with a Job that count as outcomes
    earlier: frozenset[str] | None = None  # names of Jobs that had ended before the first poll
    last_ran: float = NEVER  # when a pod of an open Job was last seen started
    pending_since: Mapping[str, float] = field(default_factory=dict)  # by name of the Job
    checked_at: Mapping[str, float] = field(default_factory=dict)  # by name of the Job
    unconfirmed: Mapping[str, int] = field(default_factory=dict)  # polls without an audit, by name of the Job
    lingering: Mapping[str, int] = field(default_factory=dict)  # polls that it outlived its proof, by name of the Job
    failures: Mapping[str, int] = field(default_factory=dict)  # failed pods at the last check, by name of the Job
    diagnosed: Mapping[str, Diagnosis] = field(default_factory=dict)  # by name of the Job; its pods may be gone since
    quota_full_since: float | None = None  # while no Job of ours was open


@dataclass(frozen=True)
class Decision:
    """``create``: unit and attempt. ``remove``: units whose Jobs are no longer needed. ``explain``: failed Jobs.
    ``check``: Jobs pending for long, or with a newly failed pod. ``linger``: open Jobs of proved units.
    ``unconfirmed``: Jobs that succeeded without an audit in the lake.
    """

    create: tuple[tuple[str, int], ...] = ()
    remove: tuple[str, ...] = ()
    explain: tuple[ObservedJob, ...] = ()
    check: tuple[ObservedJob, ...] = ()
    linger: tuple[ObservedJob, ...] = ()
    unconfirmed: tuple[ObservedJob, ...] = ()
    in_flight: int = 0
    finished: bool = False


def decide(
    units: Sequence[str], state: SubmitterState, seen: Observation, limits: Limits, now: float
) -> tuple[Decision, SubmitterState]:
    """The decisions of one poll and the state after it; ``units`` in the order in which they are launched."""
    state = _updated(state, seen, limits, now)
    jobs = seen.jobs
    steps = {unit: _step_of(unit, state, seen) for unit in units}

    def taking(step: _Step) -> list[str]:
        return [unit for unit in units if steps[unit] == step]

    pending = [jobs[unit] for unit in taking("wait_for_pod")]
    silent = [jobs[unit] for unit in taking("wait_for_audit")]
    lingering = [jobs[unit] for unit in taking("linger")]
    waiting = [jobs[unit] for unit in taking("wait")]
    in_flight = len(waiting) + len(pending) + len(lingering)
    todo = [(unit, jobs[unit].attempt + 1 if unit in jobs else 1) for unit in taking("create")]
    create = () if state.stopped else tuple(todo[: max(0, limits.max_in_flight - in_flight)])
    explain = tuple(jobs[unit] for unit in taking("explain"))
    state = replace(
        state,
        pending_since={job.name: state.pending_since.get(job.name, now) for job in pending},
        unconfirmed={job.name: state.unconfirmed.get(job.name, 0) + 1 for job in silent},
        lingering={job.name: state.lingering.get(job.name, 0) + 1 for job in lingering},
    )
    check = _due(waiting, pending, state, limits, now)
    decision = Decision(
        create=create,
        remove=tuple(taking("remove")),
        explain=explain,
        check=check,
        linger=tuple(job for job in lingering if state.lingering[job.name] % POLLS_FOR_AN_AUDIT == 0),
        unconfirmed=tuple(job for job in silent if state.unconfirmed[job.name] >= POLLS_FOR_AN_AUDIT),
        in_flight=in_flight + len(create),
        finished=not (in_flight or explain or silent or (todo and not state.stopped)),
    )
    return decision, replace(
        state,
        checked_at={**state.checked_at, **{job.name: now for job in check}},
        failures={**state.failures, **{job.name: job.failures for job in check}},
    )


def after_failures(state: SubmitterState, failures: Mapping[str, Diagnosis], limits: Limits) -> SubmitterState:
    """The state once these units have failed; too many failures stop the launching."""
    outcomes = (*state.outcomes, *[False] * len(failures))
    return _checked(replace(state, failed={**state.failed, **failures}, outcomes=outcomes), limits)


def after_full_quota(
    state: SubmitterState, limits: Limits, now: float, *, ours_open: int
) -> tuple[SubmitterState, bool]:
    """The state after a create that the quota refused, and whether to give up.

    Jobs of ours will end and make room; others get as long as a pod may wait for a node.
    """
    if state.quota_full_since is None or ours_open:
        return replace(state, quota_full_since=now), False
    return state, now - state.quota_full_since >= limits.pending_timeout


def must_give_up(job: ObservedJob, why: Diagnosis, state: SubmitterState, limits: Limits, now: float) -> bool:
    """Whether a Job will not do its work: its cause is permanent, or nothing of ours ran for too long.

    A permanent failure of one pod of a packed Job is left to Kubernetes: the pods of other indexes may succeed.
    """
    others_may_succeed = job.completions > 1 and (why.started or job.ready > 0)
    if not why.temporary and not others_may_succeed:
        return True
    since = state.pending_since.get(job.name)
    return since is not None and now - max(since, state.last_ran) >= limits.pending_timeout


_Step = Literal["create", "wait", "wait_for_pod", "wait_for_audit", "linger", "remove", "explain", "none"]


def _step_of(unit: str, state: SubmitterState, seen: Observation) -> _Step:
    """What to do for one unit."""
    job, proved = seen.jobs.get(unit), unit in seen.proved
    if job is not None and job.is_open:
        return "linger" if proved else "wait" if job.started or job.suspended else "wait_for_pod"
    if proved:
        return "none" if job is None else "remove"
    if unit in state.failed:
        return "none"
    # A Job that had ended before the first poll is tried again: that is why the command was run again.
    if job is None or job.name in (state.earlier or ()):
        return "create"
    return "explain" if job.phase == "failed" else "wait_for_audit"


def _updated(state: SubmitterState, seen: Observation, limits: Limits, now: float) -> SubmitterState:
    jobs = seen.jobs.values()
    earlier = frozenset(job.name for job in jobs if not job.is_open) if state.earlier is None else state.earlier
    fresh = (seen.proved & seen.jobs.keys()) - state.proved
    return _checked(
        replace(
            state,
            earlier=earlier,
            proved=state.proved | fresh,
            outcomes=(*state.outcomes, *[True] * len(fresh)),
            last_ran=now if any(job.started and job.is_open for job in jobs) else state.last_ran,
            stopped=state.stopped or seen.blocked,
        ),
        limits,
    )


def _checked(state: SubmitterState, limits: Limits) -> SubmitterState:
    """Stopped if too many of the last units failed."""
    outcomes = state.outcomes[-limits.failures_of_last :]
    failed, ratio, stopped = outcomes.count(False), limits.max_failure_ratio, state.stopped
    if len(outcomes) >= min(limits.failures_of_last, FEWEST_OUTCOMES) and failed / len(outcomes) > ratio:
        stopped = stopped or f"{failed} of the last {len(outcomes)} units failed, more than {ratio:.0%}"
    return replace(state, outcomes=outcomes, stopped=stopped)


def _due(
    waiting: Sequence[ObservedJob], pending: Sequence[ObservedJob], state: SubmitterState, limits: Limits, now: float
) -> tuple[ObservedJob, ...]:
    """At most 5 Jobs per poll: those with a newly failed pod, and pending ones, each once per ``pending_check_after``.

    Pending pods usually share one cause. While none has run, the first check comes after ``EARLY_CHECK_SECONDS``.
    """
    usual = limits.pending_check_after
    first = usual if state.last_ran > NEVER else min(usual, EARLY_CHECK_SECONDS)
    failing = [job for job in (*waiting, *pending) if job.failures > state.failures.get(job.name, 0)]
    due = [
        job
        for job in pending
        if now - state.pending_since[job.name] >= first
        and now - state.checked_at.get(job.name, NEVER) >= usual
        and job not in failing
    ]
    return tuple([*failing, *due][:CHECKS_PER_POLL])

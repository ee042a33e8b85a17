"""What a submitter does next, from what the cluster and the lake show. Pure: it may be asked by any process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from data_pipeline.fan_out.specs import ATTEMPT, UNIT
from etl_core.kube.observe import Phase, phase_of_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from etl_core.kube.explain import Diagnosis


@dataclass(frozen=True)
class SeenJob:
    """A Job as a list shows it."""

    name: str
    unit: str
    attempt: int
    phase: Phase
    began: bool  # one of its pods ran at some time
    suspended: bool = False
    status: Mapping[str, Any] = field(default_factory=dict, compare=False)


def seen(job: Mapping[str, Any]) -> SeenJob:
    """The part of a Job's JSON that decisions need."""
    meta, status = job["metadata"], job.get("status", {})
    labels = meta.get("labels", {})
    began = any(status.get(name) for name in ("ready", "succeeded", "failed", "terminating"))
    return SeenJob(
        name=str(meta["name"]),
        unit=str(labels.get(UNIT, "")),
        attempt=int(labels[ATTEMPT]) if str(labels.get(ATTEMPT, "")).isdigit() else 1,
        phase=phase_of_job(job),
        began=began,
        suspended=bool(job.get("spec", {}).get("suspend")),
        status=status,
    )


@dataclass(frozen=True)
class Limits:
    """How a submitter may go about it; seconds."""

    max_in_flight: int
    max_failure_ratio: float = 0.2
    failures_of_last: int = 20
    look_every: float = 5.0
    # A pod that waits longer than this is looked at; one whose image or settings are at fault is given up.
    doubt_after: float = 60.0
    # A pod that no node takes is given up after this; nodes may take minutes to come. While others
    # of ours run, it waits for their room instead.
    start_within: float = 1800.0


@dataclass
class Known:
    """What a submitter remembers between two looks; nothing of it is needed to begin anew."""

    failed: dict[str, Diagnosis] = field(default_factory=dict)
    waiting_since: dict[str, float] = field(default_factory=dict)
    endings: deque[bool] = field(default_factory=deque)
    ended: set[str] = field(default_factory=set)
    # Names of Jobs that had ended before this submitter came.
    earlier: set[str] = field(default_factory=set)
    looked: bool = False
    ran_at: float = float("-inf")  # when a pod of any Job was last seen at work
    stopped: str = ""


@dataclass(frozen=True)
class Decision:
    """``create``: unit and attempt. ``remove``: units whose Jobs are no longer needed. ``explain``: failed Jobs.
    ``doubt``: Jobs none of whose pods has begun. ``silent``: Jobs that say they are done while the lake does not.
    """

    create: tuple[tuple[str, int], ...] = ()
    remove: tuple[str, ...] = ()
    explain: tuple[SeenJob, ...] = ()
    doubt: tuple[SeenJob, ...] = ()
    silent: tuple[SeenJob, ...] = ()
    in_flight: int = 0
    finished: bool = False


def newest(jobs: Iterable[SeenJob]) -> dict[str, SeenJob]:
    """Per unit the Job that counts: one still at work, else the latest attempt."""
    found: dict[str, SeenJob] = {}
    for job in jobs:
        other = found.get(job.unit)
        if other is None or (_is_open(job), job.attempt) > (_is_open(other), other.attempt):
            found[job.unit] = job
    return found


def decide(
    units: Sequence[str], proved: set[str], jobs: Mapping[str, SeenJob], known: Known, limits: Limits, now: float
) -> Decision:
    """One look's decisions. ``units`` in the order in which they are to begin."""
    if not known.looked:
        known.earlier = {job.name for job in jobs.values() if not _is_open(job)}
        known.looked = True
    if any(job.began and _is_open(job) for job in jobs.values()):
        known.ran_at = now
    found: dict[_Next, list[str]] = {word: [] for word in get_args(_Next)}
    for unit in units:
        found[_next_of(unit, jobs.get(unit), known, proved=unit in proved)].append(unit)
    open_units = [*found["wait"], *found["wait_for_a_pod"]]
    room = 0 if known.stopped else max(0, limits.max_in_flight - len(open_units))
    todo = [(unit, jobs[unit].attempt + 1 if unit in jobs else 1) for unit in found["create"]]
    unfinished = open_units or found["explain"] or found["silent"] or (todo and not known.stopped)
    return Decision(
        create=tuple(todo[:room]),
        remove=tuple(found["remove"]),
        explain=tuple(jobs[unit] for unit in found["explain"]),
        doubt=tuple(
            jobs[unit]
            for unit in found["wait_for_a_pod"]
            if now - known.waiting_since.setdefault(jobs[unit].name, now) >= limits.doubt_after
        ),
        silent=tuple(jobs[unit] for unit in found["silent"]),
        in_flight=len(open_units) + len(todo[:room]),
        finished=not unfinished,
    )


_Next = Literal["create", "wait", "wait_for_a_pod", "remove", "explain", "silent", "nothing"]


def _next_of(unit: str, job: SeenJob | None, known: Known, *, proved: bool) -> _Next:
    """What one unit is waiting for."""
    if job is not None and _is_open(job):
        return "wait" if proved or job.began or job.suspended else "wait_for_a_pod"
    if proved:
        return "nothing" if job is None else "remove"
    if unit in known.failed:
        return "nothing"
    # One that ended before this submitter came is tried again: for that the command was run again.
    if job is None or job.name in known.earlier:
        return "create"
    return "explain" if job.phase == "failed" else "silent"


def breaker(known: Known, limits: Limits) -> str:
    """Why nothing further is to be launched, or nothing."""
    endings = list(known.endings)[-limits.failures_of_last :]
    failed = endings.count(False)
    # A single failure among few says nothing of the rest.
    least = min(limits.failures_of_last, 5)
    if len(endings) >= least and failed / len(endings) > limits.max_failure_ratio:
        return f"{failed} of the last {len(endings)} units failed, more than {limits.max_failure_ratio:.0%}"
    return ""


def _is_open(job: SeenJob) -> bool:
    return job.phase in ("waiting", "running")

"""What a submitter observes: the Jobs of its fan-out, and what the lake proves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_pipeline.fan_out.specs import ATTEMPT, RELEASE, RUN, UNIT
from etl_core.kube.observe import Phase, phase_of_job

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


@dataclass(frozen=True)
class ObservedJob:
    """The part of a Job that decisions need.

    ``started``: a pod of it runs, or ran and has no successor yet. ``failures`` counts its failed pods.
    """

    name: str
    unit: str
    attempt: int
    phase: Phase
    started: bool
    suspended: bool = False
    ready: int = 0
    failures: int = 0
    completions: int = 1
    release: str = ""
    run_id: str = ""
    status: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_open(self) -> bool:
        """Whether the Job has not ended."""
        return self.phase in ("waiting", "running")


@dataclass(frozen=True)
class Observation:
    """One poll: the units proved in the lake, per unit the Job that counts, and why the source refuses us, if so."""

    proved: frozenset[str] = frozenset()
    jobs: Mapping[str, ObservedJob] = field(default_factory=dict)
    blocked: str = ""


def observe_job(job: Mapping[str, Any]) -> ObservedJob:
    """A Job of the API server; one without our labels has the unit ''."""
    meta, spec, status = job["metadata"], job.get("spec", {}), job.get("status", {})
    labels = meta.get("labels", {})
    return ObservedJob(
        name=str(meta["name"]),
        unit=str(labels.get(UNIT, "")),
        attempt=int(labels[ATTEMPT]) if str(labels.get(ATTEMPT, "")).isdigit() else 1,
        phase=phase_of_job(job),
        started=_has_started(status),
        suspended=bool(spec.get("suspend")),
        ready=status.get("ready") or 0,
        failures=status.get("failed") or 0,
        completions=spec.get("completions") or 1,
        release=str(labels.get(RELEASE, "")),
        run_id=str(meta.get("annotations", {}).get(RUN, "")),
        status=status,
    )


def _has_started(status: Mapping[str, Any]) -> bool:
    uncounted = any((status.get("uncountedTerminatedPods") or {}).values())
    ended = status.get("succeeded") or status.get("failed")
    return bool(status.get("ready") or status.get("terminating") or uncounted or (ended and not status.get("active")))


def newest(jobs: Iterable[ObservedJob]) -> dict[str, ObservedJob]:
    """Per unit the Job that counts: an open one, else the latest attempt."""
    by_rank = sorted(jobs, key=lambda job: (job.is_open, job.attempt))
    return {job.unit: job for job in by_rank}


def leftovers(
    jobs: Iterable[ObservedJob], release: str, proved: Collection[str], is_committed: Callable[[str], bool]
) -> list[str]:
    """Names of ended Jobs whose submitter died: their unit is proved, or they succeeded and their run is committed.

    A failed Job of a unit that is not proved stays to be looked at.
    """
    return [
        job.name
        for job in jobs
        if not job.is_open
        and (
            (job.release == release and job.unit in proved)
            or (job.phase == "succeeded" and bool(job.run_id) and is_committed(job.run_id))
        )
    ]

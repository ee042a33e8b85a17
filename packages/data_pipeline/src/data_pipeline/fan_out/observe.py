"""What a submitter observes: the Jobs of its fan-out, and what the lake proves. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from data_pipeline.fan_out.specs import ATTEMPT, UNIT
from etl_core.kube.observe import Phase, phase_of_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class ObservedJob:
    """The part of a Job that decisions need. ``started``: one of its pods ran at some time."""

    name: str
    unit: str
    attempt: int
    phase: Phase
    started: bool
    suspended: bool = False
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
    meta, status = job["metadata"], job.get("status", {})
    labels = meta.get("labels", {})
    return ObservedJob(
        name=str(meta["name"]),
        unit=str(labels.get(UNIT, "")),
        attempt=int(labels[ATTEMPT]) if str(labels.get(ATTEMPT, "")).isdigit() else 1,
        phase=phase_of_job(job),
        started=any(status.get(name) for name in ("ready", "succeeded", "failed", "terminating")),
        suspended=bool(job.get("spec", {}).get("suspend")),
        status=status,
    )


def newest(jobs: Iterable[ObservedJob]) -> dict[str, ObservedJob]:
    """Per unit the Job that counts: an open one, else the latest attempt."""
    by_rank = sorted(jobs, key=lambda job: (job.is_open, job.attempt))
    return {job.unit: job for job in by_rank}

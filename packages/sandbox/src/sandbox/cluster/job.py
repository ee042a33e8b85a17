"""A Job: what its controller knows of it, and its status as the controller writes that."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sandbox.cluster.pod import Pod
from sandbox.cluster.policy import index_text
from sandbox.cluster.resources import JOBS
from sandbox.cluster.store import Thing, now


class Job(Thing):
    """One Job and its pods."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(JOBS, body)
        self.pods: dict[str, Pod] = {}  # that exist, by name
        self.active: dict[str, Pod] = {}  # neither ended nor being deleted
        self.terminating: dict[str, Pod] = {}  # being deleted, not ended
        self.succeeded = self.failed = 0
        self.done: set[int] = set()
        self.failed_indexes: set[int] = set()
        self.index_failures: Counter[int] = Counter()
        self.index_back_offs: Counter[int] = Counter()  # failures that count and those that are ignored
        # A heap: the lowest first.
        self.free_indexes = list(range(self.completions or 0)) if self.indexed else []
        self.failures_in_row = 0  # since the last success
        self.not_before = 0.0
        self.quota_refusals = 0
        self.verdict: tuple[str, str, str] | None = None  # Complete or Failed, reason, message
        self.conditions: list[dict[str, str]] = []
        self.started_at = self.completed_at = ""
        self.starts = 0  # with each resumption; a deadline of an earlier one is void
        self.queued = self.gone = False
        self.finished_at = 0.0

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["spec"]
        return found

    @property
    def indexed(self) -> bool:
        return bool(self.spec["completionMode"] == "Indexed")

    @property
    def completions(self) -> int | None:
        found: int | None = self.spec.get("completions")
        return found

    @property
    def per_index(self) -> int | None:
        found: int | None = self.spec.get("backoffLimitPerIndex")
        return found

    @property
    def replaces_terminating(self) -> bool:
        return bool(self.spec["podReplacementPolicy"] == "TerminatingOrFailed")

    @property
    def finished(self) -> bool:
        return self.holds("Complete") or self.holds("Failed")

    def holds(self, kind: str) -> bool:
        return any(condition["type"] == kind and condition["status"] == "True" for condition in self.conditions)

    def condition(self, kind: str, reason: str, message: str, *, status: str = "True") -> None:
        """Write a condition, over the one of its kind if there is one."""
        told = {"type": kind, "status": status, "reason": reason, "message": message}
        times = {"lastProbeTime": now(), "lastTransitionTime": now()}
        kept = [condition for condition in self.conditions if condition["type"] != kind]
        self.conditions = [*kept, {key: value for key, value in told.items() if value} | times]

    def render(self) -> None:
        counts: dict[str, int] = {
            "active": len(self.active),
            "succeeded": self.succeeded,
            "failed": self.failed,
        }
        status: dict[str, Any] = {key: count for key, count in counts.items() if count}
        status |= {"ready": sum(pod.running for pod in self.active.values()), "terminating": len(self.terminating)}
        status |= {"startTime": self.started_at} if self.started_at else {}
        status |= {"completionTime": self.completed_at} if self.completed_at else {}
        status |= {"conditions": self.conditions} if self.conditions else {}
        if self.done:
            status["completedIndexes"] = index_text(self.done)
        if self.per_index is not None:
            status["failedIndexes"] = index_text(self.failed_indexes)
        self.body["status"] = status | {"uncountedTerminatedPods": {}}

"""A Job: the controller's state of it, the pods it needs, and its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sandbox.cluster.objects import JOBS, KubeObject, now, suffix
from sandbox.cluster.pod import Pod

_INDEX = "batch.kubernetes.io/job-completion-index"


def index_text(indexes: Iterable[int]) -> str:
    """Indexes as Kubernetes writes them: 0, 1, 2, 3, 7 is "0-3,7"; two neighbours are "4,5"."""
    runs: list[list[int]] = []
    for index in sorted(indexes):
        if not runs or runs[-1][-1] != index - 1:
            runs.append([])
        runs[-1].append(index)
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ",".join(map(str, run)) for run in runs)


class Job(KubeObject):
    """One Job and its pods."""

    def __init__(self, body: dict[str, Any]) -> None:
        super().__init__(JOBS, body)
        self.spec: dict[str, Any] = body["spec"]
        self.completions: int = self.spec["completions"]
        self.indexed = self.spec["completionMode"] == "Indexed"
        self.per_index: int | None = self.spec.get("backoffLimitPerIndex")
        self.pods: dict[str, Pod] = {}  # that exist, by name
        self.done: set[Any] = set()  # indexes, or names of pods
        self.failed = 0
        self.failed_indexes: set[int] = set()
        self.index_failures: Counter[int] = Counter()
        # Back-offs, each by an index, by None for the whole Job, or by "create" for pods that are refused.
        self.tries: Counter[int | str | None] = Counter()
        self.backing_off: set[int | str | None] = set()
        self.outcome: tuple[str, str, str] | None = None  # Complete or Failed, reason, message
        self.conditions: list[dict[str, str]] = []
        self.started_at = self.completed_at = ""
        self.gone = False

    @property
    def alive(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if not pod.ended]

    def free_index(self) -> int | None:
        """The lowest index that wants a pod now; none has a successor before it has ended."""
        taken = self.done | self.failed_indexes | self.backing_off | {pod.index for pod in self.alive}
        return next((index for index in range(self.completions) if index not in taken), None)

    def new_pod(self, index: int | None) -> Pod:
        """A pod as the Job controller creates it."""
        template = self.spec["template"]
        stem = self.name if index is None else f"{self.name}-{index}"
        own = {} if index is None else {_INDEX: str(index)}
        owner = {**JOBS.head, "name": self.name, "uid": self.uid, "controller": True}
        meta: dict[str, Any] = {"name": f"{stem}-{suffix()}", "namespace": self.namespace, "ownerReferences": [owner]}
        for member in ("labels", "annotations"):
            meta[member] = (template["metadata"].get(member) or {}) | own
        pod = Pod({"metadata": meta, "spec": template["spec"]}, self, index)
        self.pods[pod.name] = pod
        return pod

    def rule_for(self, pod: Pod) -> tuple[str, str]:
        """Action and message of the first rule that fits a failed pod; empty ones leave it to the count of retries."""
        code, where = (pod.terminated or {}).get("exitCode", 0), f"pod {pod.namespace}/{pod.name}"
        for at, rule in enumerate(self.spec.get("podFailurePolicy", {}).get("rules", [])):
            action, tail = rule["action"], f"matching {rule['action']} rule at index {at}"
            codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions") or []
            if codes and code and (code in codes["values"]) == (codes["operator"] == "In"):
                return action, f"Container {pod.container['name']} for {where} failed with exit code {code} {tail}"
            if pod.disruption and any(pattern["type"] == pod.disruption["type"] for pattern in patterns):
                return action, f"P{where[1:]} has condition {pod.disruption['type']} {tail}"
        return "", ""

    def has_condition(self, *kinds: str) -> bool:
        return any(condition["type"] in kinds for condition in self.conditions)

    def condition(self, kind: str, reason: str, message: str) -> None:
        """Write a condition, once."""
        if not self.has_condition(kind):
            condition = {"type": kind, "status": "True", "reason": reason, "message": message}
            self.conditions.append(condition | {"lastTransitionTime": now()})

    def to_json(self) -> dict[str, Any]:
        active = [pod for pod in self.alive if not pod.deleting]
        status: dict[str, Any] = {"active": len(active), "succeeded": len(self.done), "failed": self.failed}
        status |= {"startTime": self.started_at, "completionTime": self.completed_at, "conditions": self.conditions}
        status["completedIndexes"] = index_text(self.done) if self.indexed else ""
        status = {key: value for key, value in status.items() if value}
        status["ready"] = sum(pod.phase == "Running" for pod in active)
        status["terminating"] = len(self.alive) - len(active)
        if self.per_index is not None:
            status["failedIndexes"] = index_text(self.failed_indexes)
        return self.body | {"status": status}

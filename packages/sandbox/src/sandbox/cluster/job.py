"""A Job and its pods: the controller's and the kubelet's state of them, and their status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sandbox.cluster.objects import JOBS, PODS, KubeObject, now, suffix

if TYPE_CHECKING:
    from sandbox.cluster.process import Process

_ENDS = ("succeeded", "failed")
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
        self.uncounted: list[Pod] = []  # that have ended and are in no count yet
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
        taken = (
            self.done | self.failed_indexes | self.backing_off | {pod.index for pod in [*self.alive, *self.uncounted]}
        )
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
        meta["finalizers"] = ["batch.kubernetes.io/job-tracking"]
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
        if self.started_at:
            uncounted = {word: [pod.uid for pod in self.uncounted if pod.phase.lower() == word] for word in _ENDS}
            status["uncountedTerminatedPods"] = {word: uids for word, uids in uncounted.items() if uids}
        status["ready"] = sum(pod.ready for pod in active)
        status["terminating"] = len(self.alive) - len(active)
        if self.per_index is not None:
            status["failedIndexes"] = index_text(self.failed_indexes)
        return self.body | {"status": status}


class Pod(KubeObject):
    """One pod of a Job, with one container of its own; ``sidecars`` run beside it until the pod is deleted."""

    def __init__(self, body: dict[str, Any], job: Job, index: int | None) -> None:
        super().__init__(PODS, body)
        self.job, self.index = job, index
        self.container: dict[str, Any] = body["spec"]["containers"][0]
        self.grace: int = body["spec"]["terminationGracePeriodSeconds"]
        self.phase = "Pending"
        self.sidecars: tuple[str, ...] = ()
        self.seen = False  # by the scheduler
        self.scheduled_at = self.started_at = ""
        self.waiting = {"reason": "ContainerCreating"}
        self.terminated: dict[str, Any] | None = None
        self.reason = self.message = ""  # of the whole pod: Evicted, DeadlineExceeded
        self.killed_reason = ""  # of the container: OOMKilled
        self.disruption: dict[str, str] | None = None  # condition DisruptionTarget
        self.process: Process | None = None

    @property
    def ended(self) -> bool:
        return self.phase in {"Succeeded", "Failed"}

    @property
    def ready(self) -> bool:
        return self.phase == "Running" and self.terminated is None

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.meta

    def log(self, lines: int) -> list[bytes]:
        """The last so many lines that it wrote."""
        written = self.process.log().splitlines(keepends=True) if self.process else []
        return written[max(len(written) - lines, 0) :]

    def end(self, code: int) -> None:
        """Its container has ended; the pod has, too, unless something runs beside it."""
        self.terminated = {"exitCode": code, "reason": self.killed_reason or ("Completed" if code == 0 else "Error")}
        self.terminated |= {"startedAt": self.started_at or now(), "finishedAt": now()}
        if not self.sidecars or self.deleting or self.reason:
            self.finish()
        if code != 0 and self.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            last = b"".join(self.log(80))[-2048:]
            self.terminated["message"] = last.decode(errors="replace")

    def cannot_start(self, message: str) -> None:
        """Its program does not exist, or cannot be executed."""
        self.terminated = {"exitCode": 128, "reason": "StartError", "message": message}
        self.terminated |= {"startedAt": "1970-01-01T00:00:00Z", "finishedAt": now()}
        self.finish()

    def finish(self) -> None:
        """All its containers have ended."""
        code = (self.terminated or {}).get("exitCode")
        self.phase = "Succeeded" if code == 0 and not self.reason else "Failed"

    def to_json(self) -> dict[str, Any]:
        found = {"phase": self.phase, "reason": self.reason, "message": self.message, "startTime": self.scheduled_at}
        status: dict[str, Any] = {key: value for key, value in found.items() if value}
        status["conditions"] = [self.disruption] if self.disruption else []
        if self.scheduled_at:
            runs, ready = str(self.phase == "Running"), str(self.ready)
            conditions = {"PodReadyToStartContainers": runs, "Initialized": "True", "Ready": ready}
            conditions |= {"ContainersReady": ready, "PodScheduled": "True"}
            status["conditions"] += [{"type": kind, "status": holds} for kind, holds in conditions.items()]
            statuses = [self._container_status(), *map(self._sidecar_status, self.sidecars)]
            status["containerStatuses"] = sorted(statuses, key=lambda one: str(one["name"]))
        elif self.seen:
            why = {"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Too many pods."}
            status["conditions"] += [{"type": "PodScheduled", "status": "False", **why}]
        return self.body | {"status": status}

    def _sidecar_status(self, name: str) -> dict[str, Any]:
        states: dict[str, dict[str, Any]] = {
            "Pending": {"waiting": {"reason": "ContainerCreating"}},
            "Running": {"running": {"startedAt": self.started_at}},
        }
        ended = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": self.started_at}}
        common = {"name": name, "image": name, "imageID": "", "restartCount": 0}
        return {**common, "ready": self.phase == "Running", "state": states.get(self.phase, ended)}

    def _container_status(self) -> dict[str, Any]:
        runs = self.ready
        state: dict[str, Any] = {"running": {"startedAt": self.started_at}} if runs else {"waiting": self.waiting}
        if self.terminated is not None:
            state = {"terminated": self.terminated}
        found = {key: self.container[key] for key in ("name", "image")} | {"imageID": ""}
        return {**found, "ready": runs, "started": runs, "restartCount": 0, "state": state}

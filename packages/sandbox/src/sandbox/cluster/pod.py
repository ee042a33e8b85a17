"""A pod: its state, and its status as a kubelet writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.cluster.objects import PODS, KubeObject, now

if TYPE_CHECKING:
    from sandbox.cluster.job import Job
    from sandbox.cluster.process import Process


class Pod(KubeObject):
    """One pod of a Job, with one container."""

    def __init__(self, body: dict[str, Any], job: Job, index: int | None) -> None:
        super().__init__(PODS, body)
        self.job, self.index = job, index
        self.container: dict[str, Any] = body["spec"]["containers"][0]
        self.grace: int = body["spec"]["terminationGracePeriodSeconds"]
        self.phase = "Pending"
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
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.meta

    def log(self, lines: int) -> list[bytes]:
        """The last so many lines that it wrote."""
        written = self.process.log().splitlines(keepends=True) if self.process else []
        return written[max(len(written) - lines, 0) :]

    def end(self, code: int) -> None:
        """Its container has ended."""
        self.phase = "Succeeded" if code == 0 and not self.reason else "Failed"
        self.terminated = {"exitCode": code, "reason": self.killed_reason or ("Completed" if code == 0 else "Error")}
        self.terminated |= {"startedAt": self.started_at or now(), "finishedAt": now()}
        if code != 0 and self.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            last = b"".join(self.log(80))[-2048:]
            self.terminated["message"] = last.decode(errors="replace")

    def to_json(self) -> dict[str, Any]:
        found = {"phase": self.phase, "reason": self.reason, "message": self.message, "startTime": self.scheduled_at}
        status: dict[str, Any] = {key: value for key, value in found.items() if value}
        status["conditions"] = [self.disruption] if self.disruption else []
        if self.scheduled_at:
            ready = {"type": "Ready", "status": "True" if self.phase == "Running" else "False"}
            status["conditions"] += [ready, {"type": "PodScheduled", "status": "True"}]
            status["containerStatuses"] = [self._container_status()]
        else:
            why = {"reason": "Unschedulable", "message": "0/1 nodes are available: 1 Too many pods."}
            status["conditions"] += [{"type": "PodScheduled", "status": "False", **why}]
        return self.body | {"status": status}

    def _container_status(self) -> dict[str, Any]:
        runs = self.phase == "Running"
        state: dict[str, Any] = {"running": {"startedAt": self.started_at}} if runs else {"waiting": self.waiting}
        if self.terminated is not None:
            state = {"terminated": self.terminated}
        found = {key: self.container[key] for key in ("name", "image")} | {"imageID": ""}
        return {**found, "ready": runs, "started": runs, "restartCount": 0, "state": state}

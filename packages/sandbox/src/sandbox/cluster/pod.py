"""A pod: what has happened to it, and its status as a kubelet writes that."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

from sandbox.cluster.resources import PODS
from sandbox.cluster.store import Thing

if TYPE_CHECKING:
    from sandbox.cluster.job import Job
    from sandbox.cluster.process import Process

INDEX = "batch.kubernetes.io/job-completion-index"


class Pod(Thing):
    """One pod of a Job, with one container."""

    def __init__(self, body: dict[str, Any], job: Job, index: int | None) -> None:
        super().__init__(PODS, body)
        self.job: Job | None = job  # until it is orphaned
        self.index = index
        self.phase = "Pending"
        self.unschedulable = False
        self.unwanted = self.counted = False  # by its Job: its end is no failure; has been taken note of
        self.scheduled_at = self.started_at = ""
        self.waiting = ("ContainerCreating", "")
        self.terminated: dict[str, Any] | None = None
        self.last: dict[str, Any] | None = None  # the end before the last start
        self.restarts = 0
        self.reason = self.message = ""  # of the whole pod: Evicted, DeadlineExceeded
        self.fate = ""  # OOMKilled
        self.disruption: dict[str, str] | None = None  # condition DisruptionTarget
        self.process: Process | None = None
        self.turn = 0  # of an instant pod's timers: earlier ones are void
        self.log_text = b""

    @property
    def container(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["spec"]["containers"][0]
        return found

    @property
    def ended(self) -> bool:
        return self.phase in {"Succeeded", "Failed"}

    @property
    def running(self) -> bool:
        return bool(self.started_at) and self.terminated is None

    @property
    def grace(self) -> float:
        return float(self.meta.get("deletionGracePeriodSeconds", self.body["spec"]["terminationGracePeriodSeconds"]))

    def log(self) -> bytes:
        return self.process.log() if self.process else self.log_text

    def end(self, code: int, at: str) -> dict[str, Any]:
        """The container's end, as `state.terminated`."""
        reason = self.fate or ("Completed" if code == 0 else "Error")
        found = {"exitCode": code, "reason": reason, "startedAt": self.started_at or at, "finishedAt": at}
        if code != 0 and self.container["terminationMessagePolicy"] == "FallbackToLogsOnError":
            found["message"] = b"".join(self.log().splitlines(keepends=True)[-80:])[-2048:].decode(errors="replace")
        return found | {"containerID": f"stand-in://{self.uid}/{self.restarts}"}

    def render(self) -> None:
        status: dict[str, Any] = {"phase": self.phase, "conditions": self._conditions(), "qosClass": "BestEffort"}
        status |= {key: value for key, value in (("reason", self.reason), ("message", self.message)) if value}
        if self.scheduled_at:
            status |= {"startTime": self.scheduled_at, "hostIP": "127.0.0.1", "podIP": "127.0.0.1"}
            status["containerStatuses"] = [self._container_status()]
        self.body["status"] = status

    def _conditions(self) -> list[dict[str, str]]:
        def condition(kind: str, reason: str = "", message: str = "", *, holds: bool) -> dict[str, str]:
            told = {"type": kind, "status": "True" if holds else "False", "lastProbeTime": "", "reason": reason}
            told |= {"message": message, "lastTransitionTime": self.started_at or self.scheduled_at or self._made}
            return {key: value for key, value in told.items() if value}

        found = [self.disruption] if self.disruption else []
        if not self.scheduled_at:
            text = "0/1 nodes are available: 1 Too many pods."
            waits = [condition("PodScheduled", "Unschedulable", text, holds=False)]
            return [*found, *waits] if self.unschedulable else found
        why = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(self.phase, "ContainersNotReady")
        not_ready = "" if self.running else why
        return [
            *found,
            condition("PodReadyToStartContainers", holds=not self.ended),
            condition("Initialized", "PodCompleted" if self.phase == "Succeeded" else "", holds=True),
            condition("Ready", not_ready, holds=self.running),
            condition("ContainersReady", not_ready, holds=self.running),
            condition("PodScheduled", holds=True),
        ]

    @property
    def _made(self) -> str:
        return str(self.meta["creationTimestamp"])

    def _container_status(self) -> dict[str, Any]:
        state: dict[str, Any]
        if self.terminated is not None:
            state = {"terminated": self.terminated}
        elif self.started_at:
            state = {"running": {"startedAt": self.started_at}}
        else:
            reason, message = self.waiting
            state = {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}
        image = self.container["image"]
        return {
            "name": self.container["name"],
            "image": image,
            "imageID": f"stand-in://{image}" if self.started_at or self.terminated else "",
            "ready": self.running,
            "started": self.running,
            "restartCount": self.restarts,
            "state": state,
            "lastState": {"terminated": self.last} if self.last else {},
        }


KILLED = 128 + signal.SIGKILL
TERMINATED = 128 + signal.SIGTERM

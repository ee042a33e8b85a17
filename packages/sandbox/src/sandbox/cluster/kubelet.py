"""The one node: takes pods as long as there is room, starts, ends and removes them."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from signal import SIGKILL, SIGTERM

from sandbox.cluster.environment import CannotStart, command_of, probed_files, variables_of
from sandbox.cluster.job import Pod
from sandbox.cluster.loop import Loop
from sandbox.cluster.objects import PODS, Store, now
from sandbox.cluster.process import Process
from sandbox.cluster.settings import ClusterSettings
from sandbox.faults import FaultDraw, Faults

_DISRUPTIONS = {
    "disrupted": ("EvictionByEvictionAPI", "Eviction API: evicting"),
    "preempted": ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
    "tainted": ("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
    "evicted": ("TerminationByKubelet", "The node was low on resource: memory."),
}
ENDS = (*_DISRUPTIONS, "oom_killed", "killed")
# What keeps a pod in ContainerCreating, by the name of the fault: reason and message of its event.
_HELD = {
    "pod_sandbox": ("FailedCreatePodSandBox", 'Failed to create pod sandbox: plugin type="stand-in" failed'),
    "volume_mount": ("FailedMount", 'MountVolume.SetUp failed for volume "scratch": timed out'),
    "pull_limit": ("Failed", "Failed to pull image: toomanyrequests: You have reached your pull rate limit."),
}
STARTS = tuple(_HELD)


class Kubelet:
    """Scheduler, kubelet and eviction in one. Called with the lock held."""

    def __init__(self, settings: ClusterSettings, store: Store, loop: Loop, faults: Faults) -> None:
        self._settings, self._store, self._loop, self._faults = settings, store, loop, faults
        self.changed: Callable[[Pod], None]  # called when a pod is to be deleted and, once, when it has ended
        self.peak = 0
        self._queue: deque[Pod] = deque()
        self._here: set[Pod] = set()  # pods that have a place
        self._running: set[Pod] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="pods-", ignore_cleanup_errors=True)

    def add(self, pod: Pod) -> None:
        """A pod has been made."""
        self._store.add(pod)
        pod.sidecars = self._settings.sidecars
        if self._settings.scheduler_seconds:
            self._loop.after(self._settings.scheduler_seconds, partial(self._look_at, pod))
        else:
            self._look_at(pod)

    def _look_at(self, pod: Pod) -> None:
        pod.seen = True
        self._queue.append(pod)
        self._schedule()

    def delete(self, pod: Pod) -> None:
        """Ask a pod to go; one that has ended is removed."""
        if pod.ended:
            self.remove(pod)
        elif not pod.deleting:
            pod.meta |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": pod.grace}
            self.changed(pod)
            self._stop(pod)

    def disrupt(self, pod: Pod, how: str) -> None:
        """End a pod as the cluster does: disrupted, preempted, tainted, evicted, oom_killed or killed."""
        if pod.ended or pod.deleting:
            return
        if how in ("oom_killed", "killed"):
            pod.killed_reason = "OOMKilled" if how == "oom_killed" else ""
            self._signal(pod, SIGKILL)
            return
        reason, message = _DISRUPTIONS[how]
        pod.disruption = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        if how == "evicted":
            pod.reason, pod.message = "Evicted", message
            self._signal(pod, SIGKILL)
        else:
            self.delete(pod)

    def close(self) -> None:
        """Kill every process, and wait for it. Called when the loop has stopped."""
        for process in filter(None, [pod.process for pod in self._running]):
            process.signal(SIGKILL)
            process.join()
        self._folder.cleanup()

    def _schedule(self) -> None:
        while self._queue and len(self._here) < self._settings.pods_at_once:
            pod = self._queue.popleft()
            if not pod.ended:
                self._here.add(pod)
                pod.scheduled_at = now()
                if deadline := pod.body["spec"].get("activeDeadlineSeconds"):
                    self._loop.after(deadline, partial(self._overdue, pod))
                self._prepare(pod)

    def _prepare(self, pod: Pod) -> None:
        """Set up what a pod has before its image is pulled, or say what holds it up."""
        if pod.ended:
            return
        held = FaultDraw(self._faults, pod.name).take("start")
        if held is not None:
            reason, message = _HELD[held.name]
            self._store.note(pod, reason, message, "Warning")
            limited = held.name == "pull_limit"
            pod.waiting = {"reason": "ImagePullBackOff", "message": "Back-off"} if limited else pod.waiting
            self._loop.after(held.param("seconds", 3600.0), partial(self._prepare, pod))
            return
        pod.waiting = {"reason": "ContainerCreating"}
        self._store.note(pod, "Pulling", f'Pulling image "{pod.container["image"]}"')
        self._loop.after(self._settings.pod_start_seconds, partial(self._start, pod))

    def _start(self, pod: Pod) -> None:
        if pod.ended:
            return
        instant = self._settings.instant
        try:
            variables = variables_of(pod, self._store)
            command = command_of(pod, self._settings) if instant is None else []
        except CannotStart as missing:  # for ever: the settings are fixed
            pod.waiting = dict(zip(("reason", "message"), missing.args, strict=True))
            self._store.note(pod, "Failed", ": ".join(["Error", *missing.args]), "Warning")
            return
        self._store.note(pod, "Pulled", "Successfully pulled the image")
        if instant is None:
            environment = {"HOSTNAME": pod.name, **self._settings.base_environment, **variables}
            folder, end = Path(self._folder.name, pod.uid), partial(self._end, pod)
            files = probed_files(pod, folder)
            environment = {name: files.get(value, value) for name, value in environment.items()}
            try:
                pod.process = Process(
                    command,
                    environment,
                    folder,
                    lambda code: self._loop.after(0, partial(end, code)),
                    self._settings.start,
                )
            except OSError as error:
                pod.cannot_start(f'exec: "{command[0]}": {error.strerror}')
                self._leave(pod)
                return
        else:
            chosen = instant(pod.body) if callable(instant) else instant
            self._loop.after(chosen.seconds, partial(self._end, pod, chosen.exit_code))
        pod.phase, pod.started_at = "Running", now()
        self._running.add(pod)
        self.peak = max(self.peak, len(self._running))
        if pod.process is not None and "livenessProbe" in pod.container:
            command = [files.get(word, word) for word in pod.container["livenessProbe"]["exec"]["command"]]
            self._loop.after(self._probe_seconds(pod, "initialDelaySeconds", 0), partial(self._probe, pod, command))
        fault = FaultDraw(self._faults, pod.name).take("pod")
        if fault is not None:
            self._loop.after(fault.param("seconds", 0.0), partial(self.disrupt, pod, fault.name))

    def _probe_seconds(self, pod: Pod, member: str, default: float) -> float:
        given = self._settings.probe_seconds
        return float(pod.container["livenessProbe"].get(member, default)) if given is None else given

    def _probe(self, pod: Pod, command: list[str], failures: int = 0) -> None:
        """Ask whether a container is alive; one that is not, some times in a row, is stopped."""
        if pod.process is None or pod.terminated is not None:
            return
        said = pod.container["livenessProbe"]
        failures = 0 if pod.process.passes(command, said.get("timeoutSeconds", 1)) else failures + 1
        if failures:
            self._store.note(pod, "Unhealthy", "Liveness probe failed", "Warning")
        if failures < said.get("failureThreshold", 3):
            period = self._probe_seconds(pod, "periodSeconds", 10)
            self._loop.after(period, partial(self._probe, pod, command, failures))
        else:
            self._store.note(pod, "Killing", "Container failed liveness probe")
            self._stop(pod)

    def _overdue(self, pod: Pod) -> None:
        if not pod.ended and not pod.deleting:
            pod.reason = "DeadlineExceeded"
            pod.message = "Pod was active on the node longer than the specified deadline"
            self._stop(pod)

    def _stop(self, pod: Pod) -> None:
        self._loop.after(pod.grace, partial(self._signal, pod, SIGKILL))
        self._signal(pod, SIGTERM)

    def _signal(self, pod: Pod, number: int) -> None:
        """To the process; a pod that has none, or only others beside it, ends of it."""
        if pod.terminated is not None:
            if not pod.ended:
                pod.finish()
                self._leave(pod)
        elif pod.process is None:
            self._end(pod, 128 + number)
        else:
            pod.process.signal(number)

    def _end(self, pod: Pod, code: int) -> None:
        """A pod's container has ended, of itself or not, or will never be made."""
        if pod.terminated is not None:
            return
        pod.end(code)
        if pod.ended:
            self._leave(pod)
        else:
            self.changed(pod)

    def _leave(self, pod: Pod) -> None:
        """A pod has ended."""
        self._here.discard(pod)
        self._running.discard(pod)
        self.changed(pod)
        self._schedule()

    def remove(self, pod: Pod) -> None:
        self._store.find(PODS, pod.namespace).pop(pod.name, None)
        pod.job.pods.pop(pod.name, None)

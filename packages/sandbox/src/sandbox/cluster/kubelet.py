"""The one node: takes pods as long as there is room, starts, ends and removes them."""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

from sandbox.cluster.environment import ConfigMissing, command_of, image_name, variables_of
from sandbox.cluster.loop import Loop
from sandbox.cluster.pod import KILLED, TERMINATED, Pod
from sandbox.cluster.process import Process
from sandbox.cluster.settings import ClusterSettings
from sandbox.cluster.store import Store, now
from sandbox.faults import Faults, Luck

_DISRUPTIONS = {
    "disrupted": ("EvictionByEvictionAPI", "Eviction API: evicting"),
    "preempted": ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
    "evicted": ("TerminationByKubelet", "The node was low on resource: memory."),
}
ENDS = (*_DISRUPTIONS, "oom_killed")


class Watcher(Protocol):
    """Who is told of a pod's life: the Job controller."""

    def pod_changed(self, pod: Pod) -> None:
        """It runs, is to be deleted, or has ended."""

    def pod_removed(self, pod: Pod) -> None:
        """It is no more."""


class Kubelet:
    """Scheduler, kubelet and eviction in one. Called with the lock held."""

    def __init__(self, settings: ClusterSettings, store: Store, loop: Loop, faults: Faults) -> None:
        self._settings, self._store, self._loop, self._faults = settings, store, loop, faults
        self.watcher: Watcher
        self.peak = 0
        self.processes: set[Process] = set()
        self._here = self._running = 0  # pods that have a place, pods whose container runs
        self._queue: deque[Pod] = deque()

    def add(self, pod: Pod) -> None:
        """A pod has been made."""
        self._store.add(pod)
        self._queue.append(pod)
        self._schedule()
        if not pod.scheduled_at:
            pod.unschedulable = True
            self._store.touch(pod)

    def delete(self, pod: Pod, grace: float | None = None) -> None:
        """Ask a pod to go; with a grace of 0 it is removed at once. A second time can only shorten the grace."""
        if pod.ended or not pod.scheduled_at or grace == 0:
            if not pod.ended:
                pod.meta.setdefault("deletionTimestamp", now())
                self._end(pod, KILLED)
            self._remove(pod)
            return
        grace = pod.grace if grace is None else grace
        if pod.deleting and grace >= pod.grace:
            return
        pod.meta |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": int(grace)}
        self._changed(pod)
        self._stop(pod, grace)

    def disrupt(self, pod: Pod, how: str) -> None:
        """End a pod as the cluster does: disrupted, preempted, evicted or oom_killed."""
        if pod.ended or pod.deleting:
            return
        if how == "oom_killed":
            pod.fate = "OOMKilled"
            self._kill(pod)
            return
        reason, message = _DISRUPTIONS[how]
        pod.disruption = {"type": "DisruptionTarget", "status": "True", "reason": reason, "message": message}
        pod.disruption["lastTransitionTime"] = now()
        if how == "evicted":
            pod.reason, pod.message = "Evicted", message
            self._kill(pod)
        else:
            self.delete(pod)

    def close(self) -> None:
        """Kill every process, and wait for it. Called without the lock."""
        for process in list(self.processes):
            process.kill()
            process.join()

    def _schedule(self) -> None:
        while self._queue and self._here < self._settings.pods_at_once:
            pod = self._queue.popleft()
            if pod.ended:
                continue
            self._here += 1
            pod.scheduled_at, pod.body["spec"] = now(), {**pod.body["spec"], "nodeName": "stand-in"}
            self._store.touch(pod)
            deadline = pod.body["spec"].get("activeDeadlineSeconds")
            if deadline is not None:
                self._loop.after(deadline, partial(self._overdue, pod))
            self._later(self._settings.pod_start_seconds, partial(self._start, pod))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds > 0:
            self._loop.after(seconds, call)
        else:
            self._loop.soon(call)

    def _start(self, pod: Pod) -> None:
        if pod.ended or pod.deleting or pod.running:
            return
        image = pod.container["image"]
        if self._settings.instant is None and image_name(image) not in self._settings.images:
            self._no_image(pod, image)
            return
        try:
            variables = variables_of(pod, pod.container, self._store)
        except ConfigMissing as missing:
            self._wait_for(pod, "CreateContainerConfigError", str(missing))
            self._store.event(pod, "Warning", "Failed", f"Error: {missing}")
            self._loop.after(self._settings.kubelet_retry_seconds, partial(self._start, pod))
            return
        pod.turn += 1
        if self._settings.instant is None:
            try:
                self._run(pod, variables)
            except OSError as error:
                self._not_started(pod, error)
                return
        pod.phase, pod.started_at, pod.terminated = "Running", now(), None
        self._running += 1
        self.peak = max(self.peak, self._running)
        self._changed(pod)
        if self._settings.instant is not None:
            chosen = self._settings.instant
            instant = chosen(pod.body) if callable(chosen) else chosen
            pod.log_text = instant.log.encode()
            self._later(instant.seconds, partial(self._exited, pod, pod.turn, None, instant.exit_code))
        fault = Luck(self._faults, pod.name).meet("pod")
        if fault is not None:
            wait = fault.param("seconds", 0.0) + fault.param("spread", 0.0) * self._faults.random.random()
            self._later(wait, partial(self._strike, pod, pod.turn, fault.name))

    def _strike(self, pod: Pod, turn: int, how: str) -> None:
        if pod.turn == turn:
            self.disrupt(pod, how)

    def _run(self, pod: Pod, variables: dict[str, str]) -> None:
        folder = tempfile.TemporaryDirectory(prefix=f"{pod.name[:100]}-", ignore_cleanup_errors=True)
        own = {"HOME": folder.name, "TMPDIR": folder.name, "HOSTNAME": pod.name}
        everything = {**own, **self._settings.base_environment, **variables}
        command = command_of(pod.container, self._settings, variables)
        turn = pod.turn

        def on_exit(code: int) -> None:
            self._loop.soon(lambda: self._exited(pod, turn, process, code))

        try:
            process = Process(command, everything, folder, on_exit)
        except OSError:
            folder.cleanup()
            raise
        pod.process = process
        self.processes.add(process)

    def _not_started(self, pod: Pod, error: OSError) -> None:
        text = f'failed to start container "{pod.container["name"]}": exec: {error}'
        self._store.event(pod, "Warning", "Failed", f"Error: {text}")
        self._running += 1
        pod.started_at, pod.fate = now(), "StartError"
        self._exited(pod, pod.turn, None, 128, text)

    def _no_image(self, pod: Pod, image: str) -> None:
        back_off = f'Back-off pulling image "{image}"'
        if pod.waiting[0] == "ErrImagePull":
            self._wait_for(pod, "ImagePullBackOff", back_off)
            self._store.event(pod, "Normal", "BackOff", back_off)
            self._store.event(pod, "Warning", "Failed", "Error: ImagePullBackOff")
            return
        why = f'failed to pull and unpack image "{image}": not found'
        self._wait_for(pod, "ErrImagePull", why)
        self._store.event(pod, "Warning", "Failed", f'Failed to pull image "{image}": {why}')
        self._store.event(pod, "Warning", "Failed", "Error: ErrImagePull")
        self._loop.after(self._settings.kubelet_retry_seconds, partial(self._start, pod))

    def _wait_for(self, pod: Pod, reason: str, message: str) -> None:
        if pod.waiting != (reason, message):
            pod.waiting = (reason, message)
            self._store.touch(pod)

    def _overdue(self, pod: Pod) -> None:
        if not pod.ended and not pod.deleting:
            pod.reason = "DeadlineExceeded"
            pod.message = "Pod was active on the node longer than the specified deadline"
            self._stop(pod, pod.grace)

    def _stop(self, pod: Pod, grace: float) -> None:
        if pod.process is not None and pod.running:
            pod.process.terminate()
            self._loop.after(grace, partial(self._kill_turn, pod, pod.turn))
        else:
            self._later(0, partial(self._exited, pod, pod.turn, None, TERMINATED))

    def _kill_turn(self, pod: Pod, turn: int) -> None:
        if pod.turn == turn and pod.running:
            self._kill(pod)

    def _kill(self, pod: Pod) -> None:
        if pod.process is not None and pod.running:
            pod.process.kill()
        else:
            self._later(0, partial(self._exited, pod, pod.turn, None, KILLED))

    def _exited(self, pod: Pod, turn: int, process: Process | None, code: int, message: str = "") -> None:
        """A container has ended, of itself or not."""
        if process is not None:
            self.processes.discard(process)
        if pod.turn != turn or pod.ended:
            return
        again = pod.body["spec"]["restartPolicy"] == "OnFailure" and code and not pod.deleting and not pod.reason
        if again and pod.running:
            self._restart(pod, code)
            return
        self._end(pod, code, message)
        if pod.deleting:
            self._remove(pod)

    def _restart(self, pod: Pod, code: int) -> None:
        pod.last, pod.started_at, pod.fate = pod.end(code, now()), "", ""
        pod.waiting = ("CrashLoopBackOff", f"back-off restarting failed container {pod.container['name']}")
        pod.restarts += 1
        pod.turn += 1
        self._running -= 1
        self._changed(pod)
        wait = min(self._settings.retry_seconds * 2 ** min(pod.restarts - 1, 20), self._settings.retry_seconds_max)
        self._loop.after(wait, partial(self._start, pod))

    def _end(self, pod: Pod, code: int, message: str = "") -> None:
        if pod.running:
            self._running -= 1
        if pod.process is not None:
            pod.process.kill()  # only if its pod is removed without grace
        pod.turn += 1
        pod.terminated = pod.end(code, now()) | ({"message": message} if message else {})
        pod.phase = "Succeeded" if code == 0 and not pod.reason else "Failed"
        if pod.scheduled_at:
            self._here -= 1
        self._changed(pod)
        self._schedule()

    def _remove(self, pod: Pod) -> None:
        self._store.remove(pod)
        self.watcher.pod_removed(pod)

    def _changed(self, pod: Pod) -> None:
        self._store.touch(pod)
        self.watcher.pod_changed(pod)

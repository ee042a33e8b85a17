"""The Job controller: as many pods as a Job wants, what their ends mean, when the Job itself has ended."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterable
from functools import partial

from sandbox.cluster.job import Job
from sandbox.cluster.kubelet import Kubelet
from sandbox.cluster.loop import Loop
from sandbox.cluster.pod import Pod
from sandbox.cluster.policy import matched
from sandbox.cluster.resources import ACCOUNTS
from sandbox.cluster.settings import ClusterSettings
from sandbox.cluster.store import Store, now
from sandbox.cluster.template import pod_of


class Controller:
    """Keeps all Jobs. Called with the lock held; does its work on the loop's thread."""

    def __init__(self, settings: ClusterSettings, store: Store, loop: Loop, kubelet: Kubelet) -> None:
        self._settings, self._store, self._loop, self._kubelet = settings, store, loop, kubelet
        self.pods_in_use: dict[str, int] = {}  # by namespace: made and not ended
        kubelet.watcher = self

    def add(self, job: Job) -> None:
        self._store.add(job)
        self.look_at(job)

    def look_at(self, job: Job) -> None:
        """Something about a Job has changed: bring it where it should be, soon."""
        self._store.touch(job)
        if not job.queued:
            job.queued = True
            self._loop.soon(partial(self._sync, job))

    def delete(self, job: Job, propagation: str) -> None:
        """Delete a Job, and its pods with it, before it, or not at all."""
        if propagation == "Orphan":
            for pod in job.pods.values():
                pod.job = None
                pod.meta.pop("ownerReferences", None)
                self._store.touch(pod)
            job.pods.clear()
        if propagation == "Foreground" and job.pods:
            if not job.deleting:
                job.meta |= {"deletionTimestamp": now(), "deletionGracePeriodSeconds": 0}
                job.meta["finalizers"] = ["foregroundDeletion"]
                self._store.touch(job)
        else:
            self._forget(job)
        for pod in list(job.pods.values()):
            self._kubelet.delete(pod)

    def pod_changed(self, pod: Pod) -> None:
        if pod.ended:
            self.pods_in_use[pod.namespace] -= 1
        job = pod.job
        if job is None or job.gone:
            return
        if pod.ended or pod.deleting:
            job.active.pop(pod.name, None)
        if pod.ended:
            job.terminating.pop(pod.name, None)
            self._count(job, pod)
        elif pod.deleting:
            job.terminating[pod.name] = pod
            if job.replaces_terminating:
                self._count(job, pod)
        self.look_at(job)

    def pod_removed(self, pod: Pod) -> None:
        job = pod.job
        if job is None:
            return
        job.pods.pop(pod.name, None)
        if job.deleting and not job.pods and not job.gone:
            self._forget(job)

    def _forget(self, job: Job) -> None:
        job.gone = True
        self._store.remove(job)

    def _count(self, job: Job, pod: Pod) -> None:
        """Take note, once, of a pod's end; of one whose end was wished for, only that its index is free."""
        if pod.counted:
            return
        pod.counted = True
        if pod.phase == "Succeeded":
            job.failures_in_row = 0
            job.done |= set() if pod.index is None else {pod.index}
            job.succeeded = len(job.done) if job.indexed else job.succeeded + 1
        elif not pod.unwanted:
            self._count_failure(job, pod)
        elif pod.index is not None:
            heapq.heappush(job.free_indexes, pod.index)

    def _count_failure(self, job: Job, pod: Pod) -> None:
        if job.verdict is not None and pod.deleting:  # ended with its Job: says nothing of its index
            job.failed += 1
            return
        index = pod.index
        pod.render()
        rule = matched(job.spec.get("podFailurePolicy"), pod.body)
        if rule is None or rule.action != "Ignore":
            job.failed += 1
            if index is not None:
                job.index_failures[index] += 1
        if rule is not None and rule.action == "FailJob" and job.verdict is None:
            job.verdict = ("Failed", "PodFailurePolicy", rule.message)
        job.failures_in_row += 1
        if index is None or job.per_index is None:
            job.not_before = time.monotonic() + self._back_off(job.failures_in_row)
            if index is not None:
                heapq.heappush(job.free_indexes, index)
        elif (rule is not None and rule.action == "FailIndex") or job.index_failures[index] > job.per_index:
            job.failed_indexes.add(index)
        else:
            job.index_back_offs[index] += 1
            self._loop.after(self._back_off(job.index_back_offs[index]), partial(self._free, job, index))

    def _free(self, job: Job, index: int) -> None:
        heapq.heappush(job.free_indexes, index)
        self.look_at(job)

    def _back_off(self, failures: int) -> float:
        return min(self._settings.retry_seconds * 2.0 ** min(failures - 1, 30), self._settings.retry_seconds_max)

    def _sync(self, job: Job) -> None:
        job.queued = False
        if job.gone or job.deleting:
            return
        if job.finished:
            self._expire(job)
            return
        if job.verdict is None:
            job.verdict = _failure(job)
        if job.verdict is None and job.spec["suspend"]:
            self._suspend(job)
            return
        self._begin(job)
        if job.verdict is None:
            self._scale(job)
            job.verdict = _success(job)
        if job.verdict is not None:
            self._wind_up(job, *job.verdict)
        self._store.touch(job)

    def _begin(self, job: Job) -> None:
        if job.holds("Suspended"):
            job.condition("Suspended", "JobResumed", "Job resumed", status="False")
        if not job.started_at:
            job.started_at = now()
            job.starts += 1
            deadline = job.spec.get("activeDeadlineSeconds")
            if deadline is not None:
                self._loop.after(deadline, partial(self._overdue, job, job.starts))

    def _overdue(self, job: Job, start: int) -> None:
        if job.starts == start and job.verdict is None and not job.gone and job.started_at:
            job.verdict = ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
            self.look_at(job)

    def _suspend(self, job: Job) -> None:
        self._drop(list(job.active.values()))
        if not job.holds("Suspended"):
            job.condition("Suspended", "JobSuspended", "Job suspended")
        job.started_at = ""
        self._store.touch(job)

    def _drop(self, pods: Iterable[Pod]) -> None:
        """Delete pods that nobody wants any more; that they end is no failure."""
        for pod in pods:
            pod.unwanted = True
            self._kubelet.delete(pod)

    def _scale(self, job: Job) -> None:
        """As many pods as are wanted, unless the last failure is too near."""
        if job.completions is None:
            wanted = len(job.active) if job.succeeded else job.spec["parallelism"]
        else:
            wanted = min(job.spec["parallelism"], job.completions - job.succeeded - len(job.failed_indexes))
        there = len(job.active) + (0 if job.replaces_terminating else len(job.terminating))
        if len(job.active) > wanted:
            self._drop(list(job.active.values())[max(wanted, 0) :])
        wait = job.not_before - time.monotonic()
        if there < wanted and wait > 0:
            self._loop.after(wait, partial(self.look_at, job))
            return
        for _ in range(wanted - there):
            if (job.indexed and not job.free_indexes) or not self._make_pod(job):
                return

    def _make_pod(self, job: Job) -> bool:
        """One pod more, or a FailedCreate event."""
        refused = self._refused(job)
        if refused:
            text = f'Error creating: pods "{job.name}-{self._store.suffix()}" is forbidden: {refused}'
            self._store.event(job, "Warning", "FailedCreate", text)
            job.quota_refusals += 1
            job.not_before = time.monotonic() + self._back_off(job.quota_refusals)
            self._loop.after(self._back_off(job.quota_refusals), partial(self.look_at, job))
            return False
        job.quota_refusals = 0
        index = heapq.heappop(job.free_indexes) if job.indexed else None
        pod = pod_of(job, index, self._store.suffix())
        job.pods[pod.name] = job.active[pod.name] = pod
        self.pods_in_use[job.namespace] = self.pods_in_use.get(job.namespace, 0) + 1
        self._store.event(job, "Normal", "SuccessfulCreate", f"Created pod: {pod.name}")
        self._kubelet.add(pod)
        return True

    def _refused(self, job: Job) -> str:
        limit, used = self._settings.quota_pods, self.pods_in_use.get(job.namespace, 0)
        if limit is not None and used >= limit:
            return f"exceeded quota: stand-in, requested: pods=1, used: pods={used}, limited: pods={limit}"
        account = job.spec["template"]["spec"].get("serviceAccountName", "default")
        if self._store.get(ACCOUNTS, job.namespace, account) is None:
            known = f'serviceaccount "{account}" not found'
            return f"error looking up service account {job.namespace}/{account}: {known}"
        return ""

    def _wind_up(self, job: Job, kind: str, reason: str, message: str) -> None:
        """Say how it will end, end its pods, and say that it has ended when they have."""
        early = "FailureTarget" if kind == "Failed" else "SuccessCriteriaMet"
        if not job.holds(early):
            job.condition(early, reason, message)
        for pod in list(job.active.values()):
            self._kubelet.delete(pod)
        if job.active or job.terminating:
            return
        job.condition(kind, reason, message)
        if kind == "Complete":
            job.completed_at = now()
        event = ("Normal", "Completed", "Job completed") if kind == "Complete" else ("Warning", reason, message)
        self._store.event(job, *event)
        self._expire(job)

    def _expire(self, job: Job) -> None:
        keep = job.spec.get("ttlSecondsAfterFinished")
        if keep is not None:
            if job.finished_at == 0.0:
                job.finished_at = time.monotonic()
            self._loop.after(job.finished_at + keep - time.monotonic(), partial(self._expired, job, keep))

    def _expired(self, job: Job, keep: int) -> None:
        if not job.gone and job.spec.get("ttlSecondsAfterFinished") == keep:
            self.delete(job, "Foreground")


def _failure(job: Job) -> tuple[str, str, str] | None:
    limit = job.spec["backoffLimit"]
    restarts = sum(pod.restarts for pod in job.active.values())  # in their place, with restartPolicy OnFailure
    if job.failed > limit or (restarts and restarts >= limit):
        return ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    limit = job.spec.get("maxFailedIndexes")
    if limit is not None and len(job.failed_indexes) > limit:
        text = "Job has exceeded the specified maximal number of failed indexes"
        return ("Failed", "MaxFailedIndexesExceeded", text)
    if job.failed_indexes and len(job.failed_indexes) + job.succeeded >= (job.completions or 0):
        return ("Failed", "FailedIndexes", "Job has failed indexes")
    return None


def _success(job: Job) -> tuple[str, str, str] | None:
    enough = job.succeeded > 0 if job.completions is None else job.succeeded >= job.completions
    if not enough or job.active:
        return None
    return ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")

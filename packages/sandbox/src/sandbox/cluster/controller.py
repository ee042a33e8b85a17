"""The Job controller: as many pods as a Job wants, what their ends mean, when the Job itself has ended."""

from __future__ import annotations

from functools import partial

from sandbox.cluster.job import Job, Pod
from sandbox.cluster.kubelet import Kubelet
from sandbox.cluster.loop import Loop
from sandbox.cluster.objects import ACCOUNTS, JOBS, PODS, Store, now, suffix
from sandbox.cluster.pod_admission import refusals
from sandbox.cluster.problems import over_quota
from sandbox.cluster.settings import ClusterSettings


class Controller:
    """Keeps all Jobs. Called with the lock held; looks at a Job, on the loop's thread, when a pod of it changed."""

    def __init__(self, settings: ClusterSettings, store: Store, loop: Loop, kubelet: Kubelet) -> None:
        self._settings, self._store, self._loop, self._kubelet = settings, store, loop, kubelet
        kubelet.changed = self._pod_changed

    def add(self, job: Job) -> None:
        """A Job has been made. A suspended one stays so: nothing here can resume it."""
        self._store.add(job)
        if job.spec["suspend"]:
            job.condition("Suspended", "JobSuspended", "Job suspended")
            return
        job.started_at = now()
        if deadline := job.spec.get("activeDeadlineSeconds"):
            self._loop.after(deadline, partial(self._overdue, job))
        self._loop.after(0, partial(self._sync, job))

    def delete(self, job: Job) -> None:
        """Delete a Job, and its pods after it."""
        if not job.gone:
            job.gone = True
            self._store.find(JOBS, job.namespace).pop(job.name)
            for pod in list(job.pods.values()):
                self._kubelet.delete(pod)

    def pods_in_use(self, namespace: str) -> int:
        """What counts for the quota: pods that have not ended."""
        pods = self._store.find(PODS, namespace).values()
        return sum(isinstance(pod, Pod) and not pod.ended for pod in pods)

    def _pod_changed(self, pod: Pod) -> None:
        if pod.ended:
            pod.job.uncounted.append(pod)
            if self._settings.count_seconds and not pod.job.gone:
                self._loop.after(self._settings.count_seconds, partial(self._count_ended, pod))
            else:
                self._count_ended(pod)
        self._loop.after(0, partial(self._sync, pod.job))

    def _count_ended(self, pod: Pod) -> None:
        """Put a pod into its Job's counts, and let it go if it was deleted."""
        pod.job.uncounted.remove(pod)
        pod.meta.pop("finalizers", None)
        self._count(pod.job, pod)
        if pod.deleting:
            self._kubelet.remove(pod)
        self._loop.after(0, partial(self._sync, pod.job))

    def _count(self, job: Job, pod: Pod) -> None:
        """What a pod's end means."""
        if pod.phase == "Succeeded":
            job.done.add(pod.name if pod.index is None else pod.index)
            job.tries.pop(None, None)
            return
        if job.outcome is not None and pod.deleting:  # ended with its Job: says nothing of its index
            job.failed += 1
            return
        action, message = job.rule_for(pod)
        if action == "FailJob":
            job.outcome = job.outcome or ("Failed", "PodFailurePolicy", message)
        job.failed += action != "Ignore"
        if pod.index is None or job.per_index is None:
            self._back_off(job, None)
            return
        job.index_failures[pod.index] += action != "Ignore"
        if action == "FailIndex" or job.index_failures[pod.index] > job.per_index:
            job.failed_indexes.add(pod.index)
        else:
            self._back_off(job, pod.index)

    def _back_off(self, job: Job, key: int | str | None) -> None:
        """Make no pod for a while that doubles: of this index, or of the Job at all."""

        def over() -> None:
            if job.tries[key] <= tries:  # no later failure has made it longer
                job.backing_off.discard(key)
                self._sync(job)

        job.tries[key] = tries = job.tries[key] + 1
        job.backing_off.add(key)
        doubled = self._settings.retry_seconds * 2.0 ** min(tries - 1, 30)
        self._loop.after(min(doubled, self._settings.retry_seconds_max), over)

    def _overdue(self, job: Job) -> None:
        job.outcome = job.outcome or ("Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
        self._sync(job)

    def _sync(self, job: Job) -> None:
        """Bring a Job where it should be; it can be done at any time."""
        if job.gone or job.has_condition("Complete", "Failed"):
            return
        job.outcome = job.outcome or _outcome(job)
        if job.outcome is None:
            self._scale(job)
        else:
            self._finish(job, *job.outcome)

    def _scale(self, job: Job) -> None:
        """As many pods as are wanted, unless the last failure is too near."""
        wanted = min(job.spec["parallelism"], job.completions - len(job.done) - len(job.failed_indexes))
        for _ in range(wanted - len(job.alive) - len(job.uncounted)):
            index = job.free_index() if job.indexed else None
            if (job.indexed and index is None) or not job.backing_off.isdisjoint({None, "create"}):
                return
            if refused := self._refused(job):
                self._store.note(job, "FailedCreate", f"Error creating: {refused}", "Warning")
                self._back_off(job, "create")
                return
            job.tries.pop("create", None)
            pod = job.new_pod(index)
            self._store.note(job, "SuccessfulCreate", f"Created pod: {pod.name}")
            self._kubelet.add(pod)

    def _refused(self, job: Job) -> str:
        """Why a pod of this Job cannot be made; empty if it can."""
        name = f"{job.name}-{suffix()}"
        limit, pod = self._settings.quota_pods, f'pods "{name}"'
        if limit is not None and (used := self.pods_in_use(job.namespace)) >= limit:
            return str(over_quota(pod, "pods", used, limit))
        account = job.spec["template"]["spec"].get("serviceAccountName", "default")
        if account not in self._store.find(ACCOUNTS, job.namespace):
            why = f'error looking up service account {job.namespace}/{account}: serviceaccount "{account}" not found'
            return f"{pod} is forbidden: {why}"
        container = job.spec["template"]["spec"]["containers"][0]
        return next(refusals(name, container, self._settings), "")

    def _finish(self, job: Job, kind: str, reason: str, message: str) -> None:
        """Say how it will end, end its pods, and say that it has ended when they have."""
        job.condition("FailureTarget" if kind == "Failed" else "SuccessCriteriaMet", reason, message)
        for pod in job.alive:
            self._kubelet.delete(pod)
        if job.alive or job.uncounted:
            return
        job.condition(kind, reason, message)
        if kind == "Complete":
            job.completed_at = now()
        if job.spec.get("ttlSecondsAfterFinished") is not None:
            self._loop.after(job.spec["ttlSecondsAfterFinished"], partial(self.delete, job))


def _outcome(job: Job) -> tuple[str, str, str] | None:
    """How a Job ends, if its pods have decided that."""
    most, failed, done = job.spec.get("maxFailedIndexes"), len(job.failed_indexes), len(job.done)
    if job.failed > job.spec["backoffLimit"]:
        return ("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    if most is not None and failed > most:
        return ("Failed", "MaxFailedIndexesExceeded", "Job has exceeded the maximal number of failed indexes")
    if failed and failed + done >= job.completions:
        return ("Failed", "FailedIndexes", "Job has failed indexes")
    if done >= job.completions:
        return ("Complete", "CompletionsReached", "Reached expected number of succeeded pods")
    return None

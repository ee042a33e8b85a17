"""Why a Job or a pod failed or does not start: a stable word and a detail. Pure: the API's JSON in, values out.

The order matters: what the cluster did to a pod comes before what its program reported, for a
killed program reports nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from etl_core.errors import EXIT_STATUSES
from etl_core.kube.observe import container_state, exit_code, is_over, outlives_job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIGURATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_CANNOT_START = frozenset({"StartError", "ContainerCannotRun"})
# Of a pod in ContainerCreating nothing but its events says what it waits for.
_EVENTS = {
    "FailedCreatePodSandBox": ("pod_sandbox", "the node cannot set up the pod"),
    "FailedMount": ("volume_mount", "a volume of the pod cannot be mounted"),
    "FailedAttachVolume": ("volume_mount", "a volume of the pod cannot be attached"),
    "Pulling": ("slow_pull", "the node is still pulling the image"),
}
# What a registry or the node says that passes by itself; any other failed pull stays.
_PASSING_PULLS = (
    "pull qps exceeded", "toomanyrequests", "too many requests", "i/o timeout", "tls handshake timeout",
    "connection refused", "connection reset", "context deadline exceeded", "unexpected eof", "service unavailable",
    "internal server error", "bad gateway", "temporary failure in name resolution",
)  # fmt: skip
# Why a pod is not created, if it passes by itself. First: a webhook's name may contain any of the words below.
_PASSING_REFUSALS = ("failed calling webhook", "status unknown for quota", "not yet ready to handle request")
# Refused by a LimitRange ("is forbidden: minimum memory usage per Container is …"), a quota that wants limits, the
# API's own rules, an admission webhook or policy: the same pod is refused again.
_STAYING_REFUSALS = (
    "is forbidden", "is invalid", "must specify", "denied the request", "denied request", "violates", "usage per",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnosis:
    """One finding.

    ``reason`` is one of: evicted, disrupted, deadline, out_of_memory, image_pull, slow_pull, pod_sandbox,
    volume_mount, configuration, refused, not_created, unschedulable, starting, ended, quota, job_failed, lost,
    never_started, or ``exit_<status>``. ``started`` says whether the program ever ran, ``temporary`` whether the same
    Job may succeed later.
    """

    reason: str
    detail: str
    started: bool
    temporary: bool = True

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def explain_pod(pod: Mapping[str, Any], events: Sequence[Mapping[str, Any]] = ()) -> Diagnosis | None:
    """What is wrong with a pod, or None if nothing is; ``events`` are its own, oldest first."""
    status = pod.get("status", {})
    state = container_state(pod)
    ended = state.get("terminated") or {}
    conditions = {one["type"]: one for one in status.get("conditions", []) if one.get("status") == "True"}
    disrupted = conditions.get("DisruptionTarget")
    if disrupted or status.get("reason") in ("Evicted", "Preempting", "NodeLost", "Shutdown"):
        why = (disrupted or {}).get("reason") or status.get("reason", "")
        message = (disrupted or {}).get("message") or status.get("message", "")
        reason = "evicted" if status.get("reason") == "Evicted" else "disrupted"
        return Diagnosis(reason, f"the cluster removed the pod ({why}). {message}".strip(), started=True)
    if status.get("reason") == "DeadlineExceeded":
        return Diagnosis("deadline", "the pod ran longer than its active deadline.", started=True)
    if ended.get("reason") == "OOMKilled":
        detail = f"the container was killed with status {ended.get('exitCode')} (OOMKilled)."
        return Diagnosis("out_of_memory", detail, started=True)
    if ended.get("reason") in _CANNOT_START:
        detail = f"the container cannot start ({ended['reason']}). {str(ended.get('message', ''))[:300]}".strip()
        return Diagnosis("configuration", detail, started=False, temporary=False)
    if ended.get("exitCode"):
        return explain_exit(int(ended["exitCode"]), str(ended.get("message", "")))
    return _explain_waiting(status, state.get("waiting") or {}, events)


def _explain_waiting(
    status: Mapping[str, Any], waiting: Mapping[str, Any], events: Sequence[Mapping[str, Any]]
) -> Diagnosis | None:
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))[:300]
    if reason in _IMAGE:
        return _explain_pull(reason, message, events)
    if reason in _CONFIGURATION:
        detail = f"the container cannot be created ({reason}). {message}".strip()
        return Diagnosis("configuration", detail, started=False, temporary=False)
    for one in status.get("conditions", []):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return Diagnosis("unschedulable", f"no node fits the pod. {one.get('message', '')}".strip(), started=False)
    if status.get("phase") == "Pending":
        known = [one for one in events if one.get("reason") in (*_EVENTS, "Pulled")]
        newest: Mapping[str, Any] = known[-1] if known else {}
        if newest.get("reason") in _EVENTS:
            word, found = _EVENTS[newest["reason"]]
            detail = f"{found} ({newest['reason']}). {str(newest.get('message', ''))[:300]}"
            return Diagnosis(word, detail, started=False)
    return None


def _explain_pull(reason: str, message: str, events: Sequence[Mapping[str, Any]]) -> Diagnosis:
    """A failed pull; while the node backs off, only the event of the last try may name the cause."""
    tries = [str(one.get("message", ""))[:300] for one in events if one.get("reason") == "Failed"]
    causes = [text for text in tries if "failed to pull" in text.lower()][-1:]  # others are "Error: ErrImagePull"
    said = " ".join(filter(None, [message, *causes]))
    passes = reason == "RegistryUnavailable" or any(text in said.lower() for text in _PASSING_PULLS)
    detail = f"the image cannot be pulled{' now' if passes else ''} ({reason}). {said}".strip()
    return Diagnosis("image_pull", detail, started=False, temporary=passes)


def explain_exit(code: int, message: str = "") -> Diagnosis:
    """What the exit status of a program means, by the table in ``errors``."""
    known = next((status for status in EXIT_STATUSES if status.code == code), None)
    last = message.strip().splitlines()[-1][:300] if message.strip() else ""
    if known is not None:
        detail = f"the job ended with status {code} ({known.meaning}). {last}"
        return Diagnosis(f"exit_{code}", detail.strip(), started=True, temporary=known.retryable)
    what = f"was killed by signal {code - 128}" if 128 < code <= 192 else "ended"
    return Diagnosis(
        f"exit_{code}", f"the container {what}, with the unknown status {code}. {last}".strip(), started=True
    )


def over_quota(message: str) -> Diagnosis:
    """The namespace has no room for a Job or its pods."""
    return Diagnosis("quota", f"the namespace's quota has no room for it. {message}", started=False)


def explain_refusal(message: str) -> Diagnosis:
    """Why the pods of a Job are not created, from the message of its event ``FailedCreate``."""
    message = message[:300]
    said = message.lower()
    if "exceeded quota" in said:
        return over_quota(message)
    detail = f"its pods cannot be created. {message}"
    if any(text in said for text in _PASSING_REFUSALS):
        return Diagnosis("not_created", detail, started=False)
    if "serviceaccount" in said or "service account" in said:
        return Diagnosis("configuration", detail, started=False, temporary=False)
    if any(text in said for text in _STAYING_REFUSALS):
        return Diagnosis("refused", detail, started=False, temporary=False)
    return Diagnosis("not_created", detail, started=False)


def explain_job(
    job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], events: Sequence[Mapping[str, Any]] = ()
) -> Diagnosis:
    """Why a Job failed or does not start: from its newest pod with a problem, else its events, else its conditions.

    ``events`` are those of the Job and of its newest pod, oldest first.
    """
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    of_pod = [[one for one in events if about(one) == pod["metadata"].get("name")] for pod in newest]
    found = [one for one in map(explain_pod, newest, of_pod) if one is not None]
    # A disruption is no failure: if another problem is known, that is the cause.
    found.sort(key=lambda one: one.reason in ("disrupted", "evicted"))
    if found:
        return _repeated(found[0], newest)
    creations = [one for one in events if one.get("reason") in ("FailedCreate", "SuccessfulCreate")]
    created: Mapping[str, Any] = creations[-1] if creations else {}
    if created.get("reason") == "FailedCreate" and not newest:
        return explain_refusal(str(created.get("message", "")))
    for one in job.get("status", {}).get("conditions", []):
        if one.get("type") in ("Failed", "FailureTarget") and one.get("status") == "True":
            why = str(one.get("reason", ""))
            reason = "deadline" if why == "DeadlineExceeded" else "job_failed"
            return Diagnosis(reason, f"the Job failed ({why}). {one.get('message', '')}".strip(), started=True)
    return _explain_present(newest) if newest else _explain_absent(created)


def about(event: Mapping[str, Any]) -> str:
    """The name of the object of an event."""
    return str(event.get("involvedObject", {}).get("name", ""))


def _repeated(why: Diagnosis, pods: Iterable[Mapping[str, Any]]) -> Diagnosis:
    """An out-of-memory kill is permanent once a pod of the same index met it before: its limit stays the same."""
    if why.reason != "out_of_memory":
        return why
    killed = Counter(
        pod["metadata"].get("labels", {}).get("batch.kubernetes.io/job-completion-index", "")
        for pod in pods
        if (container_state(pod).get("terminated") or {}).get("reason") == "OOMKilled"
    )
    times = max(killed.values())
    if times == 1:
        return why
    return replace(why, detail=f"{why.detail} It was killed {times} times with the same limit.", temporary=False)


def _explain_present(pods: Sequence[Mapping[str, Any]]) -> Diagnosis:
    """Pods exist, and none of them has a problem that is known."""
    if any(map(outlives_job, pods)) or any(exit_code(pod) == 0 for pod in pods if is_over(pod)):
        return Diagnosis("ended", "its container has ended with status 0, and the Job continues.", started=True)
    if all(map(is_over, pods)):
        return Diagnosis("lost", "its pods ended without a status.", started=True)
    state = container_state(pods[0])
    doing = "runs" if "running" in state else (state.get("waiting") or {}).get("reason") or "is not scheduled yet"
    return Diagnosis("starting", f"its pod exists and reports no problem ({doing}).", started="running" in state)


def _explain_absent(created: Mapping[str, Any]) -> Diagnosis:
    """No pod exists; ``created`` is the newest event of one."""
    if created:
        detail = f"its pod is gone and its successor is not there yet. {created.get('message', '')}"
        return Diagnosis("disrupted", detail.strip(), started=True)
    return Diagnosis("never_started", "no pod of it was ever seen.", started=False)

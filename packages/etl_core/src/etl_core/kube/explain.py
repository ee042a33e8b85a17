"""Why a Job or a pod failed or does not start: a stable word and a detail. Pure: the API's JSON in, values out.

The order matters: what the cluster did to a pod comes before what its program reported, for a
killed program reports nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from etl_core.errors import EXIT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIGURATION = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
# In a FailedCreate event: a missing account or a refused pod. Other causes, such as a webhook's timeout, pass.
_PERMANENT_MESSAGES = ("serviceaccount", "service account", "violates", "invalid")


@dataclass(frozen=True)
class Diagnosis:
    """One finding.

    ``reason`` is one of: evicted, disrupted, deadline, out_of_memory, image_pull, configuration, unschedulable,
    quota, job_failed, lost, never_started, or ``exit_<status>``. ``started`` says whether the program ever ran,
    ``temporary`` whether the same Job may succeed later.
    """

    reason: str
    detail: str
    started: bool
    temporary: bool = True

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def explain_pod(pod: Mapping[str, Any]) -> Diagnosis | None:
    """What is wrong with a pod, or None if nothing is."""
    status = pod.get("status", {})
    container: Mapping[str, Any] = next(iter(status.get("containerStatuses", [])), {})
    state = container.get("state", {})
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
    if ended.get("reason") == "OOMKilled" or ended.get("exitCode") == 137:
        why = ended.get("reason", "killed")
        detail = f"the container was killed with status {ended.get('exitCode')} ({why})."
        return Diagnosis("out_of_memory", detail, started=True)
    if ended.get("exitCode"):
        return explain_exit(int(ended["exitCode"]), str(ended.get("message", "")))
    return _explain_waiting(status, state.get("waiting") or {})


def _explain_waiting(status: Mapping[str, Any], waiting: Mapping[str, Any]) -> Diagnosis | None:
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))[:300]
    if reason in _IMAGE:
        detail = f"the image cannot be pulled ({reason}). {message}".strip()
        return Diagnosis("image_pull", detail, started=False, temporary=False)
    if reason in _CONFIGURATION:
        detail = f"the container cannot be created ({reason}). {message}".strip()
        return Diagnosis("configuration", detail, started=False, temporary=False)
    for one in status.get("conditions", []):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return Diagnosis("unschedulable", f"no node fits the pod. {one.get('message', '')}".strip(), started=False)
    return None


def explain_exit(code: int, message: str = "") -> Diagnosis:
    """What the exit status of a program means, by the table in ``errors``."""
    known = next((status for status in EXIT_STATUSES if status.code == code), None)
    last = message.strip().splitlines()[-1][:300] if message.strip() else ""
    if known is None:
        detail = f"the container ended with the unknown status {code}. {last}"
        return Diagnosis(f"exit_{code}", detail.strip(), started=True)
    detail = f"the job ended with status {code} ({known.meaning}). {last}"
    return Diagnosis(f"exit_{code}", detail.strip(), started=True, temporary=known.retryable)


def over_quota(message: str) -> Diagnosis:
    """The namespace has no room for a Job or its pods."""
    return Diagnosis("quota", f"the namespace's quota has no room for it. {message}", started=False)


def explain_job(
    job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]] = ()
) -> Diagnosis:
    """Why a Job failed or does not start: from its newest pod with a problem, else its events, else its conditions."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    found = [one for one in map(explain_pod, newest) if one is not None]
    # A disruption is no failure: if another problem is known, that is the cause.
    found.sort(key=lambda one: one.reason in ("disrupted", "evicted"))
    if found:
        return found[0]
    for event in events:
        if event.get("reason") == "FailedCreate":
            message = str(event.get("message", ""))[:300]
            if "exceeded quota" in message:
                return over_quota(message)
            permanent = any(text in message.lower() for text in _PERMANENT_MESSAGES)
            detail = f"its pods cannot be created. {message}"
            return Diagnosis("configuration", detail, started=False, temporary=not permanent)
    for one in job.get("status", {}).get("conditions", []):
        if one.get("type") in ("Failed", "FailureTarget") and one.get("status") == "True":
            why = str(one.get("reason", ""))
            reason = "deadline" if why == "DeadlineExceeded" else "job_failed"
            return Diagnosis(reason, f"the Job failed ({why}). {one.get('message', '')}".strip(), started=True)
    if newest:
        return Diagnosis("lost", "its pods ended without a status.", started=True)
    return Diagnosis("never_started", "no pod of it was ever seen.", started=False)

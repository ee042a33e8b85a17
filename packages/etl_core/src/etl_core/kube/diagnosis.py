"""Why a Job or a pod is where it is, in words, with what to do about it. Pure: dictionaries in, values out.

The order matters: what the cluster did to a pod comes before what the program in it said, for a
killed program says nothing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from etl_core.errors import EXIT_STATUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Phase = Literal["waiting", "running", "succeeded", "failed"]

_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_STAYS = ("serviceaccount", "service account", "violates", "invalid")
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})


@dataclass(frozen=True)
class Diagnosis:
    """One finding. ``reason`` is a stable word for reports; ``started`` says whether our program ever ran."""

    reason: str
    detail: str
    advice: str
    started: bool
    temporary: bool = True

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail} {self.advice}".strip()


def phase_of_job(job: Mapping[str, Any]) -> Phase:
    """Where a Job is. ``FailureTarget`` is as good as failed: no further pod will be made."""
    status = job.get("status", {})
    true = {one["type"] for one in status.get("conditions", []) if one.get("status") == "True"}
    if "Complete" in true or "SuccessCriteriaMet" in true:
        return "succeeded"
    if "Failed" in true or "FailureTarget" in true:
        return "failed"
    return "running" if status.get("active") or status.get("succeeded") or status.get("failed") else "waiting"


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
        detail = (disrupted or {}).get("message") or status.get("message", "")
        return Diagnosis(
            "evicted" if status.get("reason") == "Evicted" else "disrupted",
            f"the cluster took the pod away ({why}). {detail}".strip(),
            "It is tried again without counting as a try; if it goes on, look at node pressure and spot capacity.",
            started=True,
        )
    if status.get("reason") == "DeadlineExceeded":
        return Diagnosis("deadline", "the pod ran longer than a try may take.", "Raise --timeout-hours.", started=True)
    if ended.get("reason") == "OOMKilled" or ended.get("exitCode") == 137:
        return Diagnosis(
            "out_of_memory",
            f"the container was killed with status {ended.get('exitCode')} ({ended.get('reason', 'killed')}).",
            "Raise --memory.",
            started=True,
        )
    if ended.get("exitCode"):
        return explain_exit(int(ended["exitCode"]), str(ended.get("message", "")))
    return _explain_waiting(status, state.get("waiting") or {})


def _explain_waiting(status: Mapping[str, Any], waiting: Mapping[str, Any]) -> Diagnosis | None:
    reason, message = str(waiting.get("reason", "")), str(waiting.get("message", ""))[:300]
    if reason in _IMAGE:
        return Diagnosis(
            "image_pull",
            f"the image cannot be had ({reason}). {message}".strip(),
            "Correct --image, or let the nodes reach and read the registry.",
            started=False,
            temporary=False,
        )
    if reason in _CONFIG:
        return Diagnosis(
            "configuration",
            f"the container cannot be made ({reason}). {message}".strip(),
            "Create the ConfigMap, Secret or service account it names.",
            started=False,
            temporary=False,
        )
    for one in status.get("conditions", []):
        if one.get("type") == "PodScheduled" and one.get("status") == "False":
            return Diagnosis(
                "unschedulable",
                f"no node takes the pod. {one.get('message', '')}".strip(),
                "Wait for nodes, or ask for less with --cpu and --memory.",
                started=False,
            )
    return None


def explain_exit(code: int, message: str = "") -> Diagnosis:
    """What an exit status of ours says."""
    known = next((status for status in EXIT_STATUSES if status.code == code), None)
    last = message.strip().splitlines()[-1][:300] if message.strip() else ""
    if known is None:
        detail = f"the container ended with status {code}, which is none of ours. {last}"
        return Diagnosis(f"exit_{code}", detail.strip(), "Read the pod's log.", started=True)
    return Diagnosis(
        f"exit_{code}",
        f"the job ended with status {code} ({known.meaning}). {last}".strip(),
        f"To act: {known.who_acts}.",
        started=True,
        temporary=known.again,
    )


def over_quota(message: str) -> Diagnosis:
    """No room for a Job or its pods."""
    return Diagnosis(
        "quota",
        f"the namespace's quota has no room for it. {message}",
        "Wait for others to end, lower --max-in-flight, or raise the quota.",
        started=False,
    )


def explain_job(
    job: Mapping[str, Any], pods: Iterable[Mapping[str, Any]], events: Iterable[Mapping[str, Any]] = ()
) -> Diagnosis:
    """Why a Job failed or does not get on: by its newest pod that says something, its events, or itself."""
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    found = [one for one in map(explain_pod, newest) if one is not None]
    # A disruption is no failure: if something else is known, that is the cause.
    found.sort(key=lambda one: one.reason in ("disrupted", "evicted"))
    if found:
        return found[0]
    for event in events:
        if event.get("reason") == "FailedCreate":
            message = str(event.get("message", ""))[:300]
            if "exceeded quota" in message:
                return over_quota(message)
            # A missing account or a refused pod stays so; a webhook that does not answer may come back.
            stays = any(word in message.lower() for word in _STAYS)
            return Diagnosis(
                "configuration", f"its pods cannot be made. {message}", "See the message.", started=False,
                temporary=not stays,
            )  # fmt: skip
    for one in job.get("status", {}).get("conditions", []):
        if one.get("type") in ("Failed", "FailureTarget") and one.get("status") == "True":
            reason = str(one.get("reason", ""))
            word = "deadline" if reason == "DeadlineExceeded" else "job_failed"
            return Diagnosis(
                word,
                f"the Job failed ({reason}). {one.get('message', '')}".strip(),
                "Read the pods' logs.",
                started=True,
            )
    if newest:
        return Diagnosis("lost", "its pods are gone without a word.", "Run the same command again.", started=True)
    return Diagnosis(
        "never_started", "no pod of it was ever seen.", "Look at the namespace's events and quota.", started=False
    )

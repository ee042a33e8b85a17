"""The state of a Job as one word, and that of our container in a pod, which may have others beside it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from etl_core.kube.describe import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping

Phase = Literal["waiting", "running", "succeeded", "failed"]


def phase_of_job(job: Mapping[str, Any]) -> Phase:
    """The phase of a Job. ``FailureTarget`` counts as failed: no further pod will be created."""
    status = job.get("status", {})
    conditions = {one["type"] for one in status.get("conditions", []) if one.get("status") == "True"}
    if conditions & {"Complete", "SuccessCriteriaMet"}:
        return "succeeded"
    if conditions & {"Failed", "FailureTarget"}:
        return "failed"
    counts = ("active", "succeeded", "failed", "terminating")
    ended = status.get("uncountedTerminatedPods") or {}
    return "running" if any(map(status.get, counts)) or any(ended.values()) else "waiting"


def container_state(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """``waiting``, ``running`` or ``terminated`` of our container; the statuses are sorted by name, ours anywhere."""
    statuses = pod.get("status", {}).get("containerStatuses") or []
    return next((one.get("state") or {} for one in statuses if one.get("name") == CONTAINER), {})


def exit_code(pod: Mapping[str, Any]) -> int | None:
    """The exit code of our container; None until it has ended."""
    ended = container_state(pod).get("terminated")
    return None if ended is None else int(ended.get("exitCode", 0))


def is_over(pod: Mapping[str, Any]) -> bool:
    """Whether all containers of a pod have ended."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def outlives_job(pod: Mapping[str, Any]) -> bool:
    """Whether our container has ended and the pod continues, as with a service mesh's proxy beside it."""
    return exit_code(pod) is not None and not is_over(pod)

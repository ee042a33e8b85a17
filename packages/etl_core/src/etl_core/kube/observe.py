"""The state of a Job as one word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
    return "running" if status.get("active") or status.get("succeeded") or status.get("failed") else "waiting"

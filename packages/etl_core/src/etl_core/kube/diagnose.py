"""Why a Job failed or does not start, with the events that its pods' status leaves out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from etl_core.kube.explain import Diagnosis, explain_job

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from etl_core.kube.client import Cluster


def diagnose(cluster: Cluster, name: str, job: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Diagnosis:
    """``explain_job`` of the Job ``name``; reads the events of its newest pending pod, or its own if it has no pod."""
    if not pods:
        return explain_job(job, pods, cluster.events(name))
    pending = [pod for pod in pods if pod.get("status", {}).get("phase") == "Pending"]
    newest = max(pending, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), default=None)
    return explain_job(job, pods, [] if newest is None else cluster.events(newest["metadata"]["name"]))

"""A Job's pod, made of its template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.cluster.pod import INDEX, Pod

if TYPE_CHECKING:
    from sandbox.cluster.job import Job


def pod_of(job: Job, index: int | None, suffix: str) -> Pod:
    """The pod as the Job controller asks for it."""
    template = job.spec["template"]
    stem = job.name if index is None else f"{job.name}-{index}"
    meta: dict[str, Any] = {
        "name": f"{stem}-{suffix}",
        "generateName": f"{stem}-",
        "namespace": job.namespace,
        "labels": dict(template["metadata"]["labels"]),
        "annotations": dict(template["metadata"].get("annotations") or {}),
        "ownerReferences": [
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "name": job.name,
                "uid": job.uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ],
    }
    spec = template["spec"]
    if index is not None:
        meta["annotations"][INDEX] = meta["labels"][INDEX] = str(index)
        if job.per_index is not None:
            meta["annotations"]["batch.kubernetes.io/job-index-failure-count"] = str(job.index_failures[index])
        path = {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}}
        variable = {"name": "JOB_COMPLETION_INDEX", "valueFrom": path}
        container = spec["containers"][0]
        container = container | {"env": [*(container.get("env") or []), variable]}
        spec = spec | {"containers": [container], "hostname": stem}
    return Pod({"metadata": meta, "spec": spec}, job, index)

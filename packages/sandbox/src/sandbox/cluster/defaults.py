"""A Job as the API server stores it: what was left out is filled in, what is the server's own is written."""

from __future__ import annotations

import uuid
from typing import Any

_NO_LIMIT = 2**31 - 1


def fill_in(body: dict[str, Any], namespace: str) -> None:
    """Give a Job's body its defaults, its uid, its selector, and its pods the labels that the selector asks for."""
    meta, spec = body["metadata"], body["spec"]
    meta |= {"namespace": namespace, "uid": str(uuid.uuid4()), "generation": 1}
    for member in ("creationTimestamp", "resourceVersion", "deletionTimestamp", "managedFields", "selfLink"):
        meta.pop(member, None)
    body.pop("status", None)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        spec["completions"] = 1
    fill_in_spec(spec)
    for rule in (spec.get("podFailurePolicy") or {}).get("rules") or []:
        for pattern in rule.get("onPodConditions") or []:
            _default(pattern, status="True")
    if not spec.get("manualSelector"):
        spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": meta["uid"]}})
    template = spec["template"]
    labels = {"batch.kubernetes.io/controller-uid": meta["uid"], "batch.kubernetes.io/job-name": meta["name"]}
    labels |= {"controller-uid": meta["uid"], "job-name": meta["name"]}
    template["metadata"] = template.get("metadata") or {}
    if not meta.get("labels"):
        meta["labels"] = dict(template["metadata"].get("labels") or {})
    template["metadata"]["labels"] = (template["metadata"].get("labels") or {}) | labels
    pod = template["spec"]
    _default(pod, restartPolicy="Always", terminationGracePeriodSeconds=30, dnsPolicy="ClusterFirst")
    _default(pod, schedulerName="default-scheduler", securityContext={})
    for container in pod.get("containers") or []:
        image = container.get("image") or ""
        latest = "@" not in image and (":" not in image.rpartition("/")[2] or image.endswith(":latest"))
        _default(container, imagePullPolicy="Always" if latest else "IfNotPresent", resources={})
        _default(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")


def fill_in_spec(spec: dict[str, Any]) -> None:
    """The defaults of a Job's own members, which a change may have taken away."""
    _default(spec, parallelism=1, completionMode="NonIndexed", suspend=False)
    _default(spec, backoffLimit=6 if spec.get("backoffLimitPerIndex") is None else _NO_LIMIT)
    _default(spec, podReplacementPolicy="Failed" if spec.get("podFailurePolicy") else "TerminatingOrFailed")


def _default(mapping: dict[str, Any], **values: Any) -> None:
    for key, value in values.items():
        if mapping.get(key) is None:
            mapping[key] = value

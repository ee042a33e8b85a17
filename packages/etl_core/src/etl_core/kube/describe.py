"""A Kubernetes Job as plain dictionaries: its name, its body, its failure policy. Pure.

Field names and rules: the batch/v1 reference. Needs Kubernetes 1.31 (podFailurePolicy), and for
indexed Jobs 1.33 (backoffLimitPerIndex), where they are generally available.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from etl_core.errors import EXIT_STATUSES, DataError, UsageError

# The Job's name becomes a label of its pods, and label values end at 63 (kubernetes/kubernetes#50850).
LONGEST_NAME = 63
CONTAINER = "job"
DIGEST_NAME = "spec-sha256"
SCRATCH = "/tmp"  # noqa: S108 - in the container
HEARTBEAT = f"{SCRATCH}/heartbeat"
# What may pass without a sign of life is slow, not hung: a wait that a service asked for (10 minutes, and 15 with all
# retries), one SQL statement over a year, one large file to or from S3.
HUNG_AFTER_MINUTES = 30
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


# The key of a label or an annotation, with or without a prefix.
KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class PodOptions:
    """What the pods of several Jobs have in common, and how often and how long they are tried."""

    image: Annotated[str, "Image of the pods; by digest is best."]
    service_account: Annotated[str, "Service account of the pods."]
    image_pull_policy: Annotated[Literal["", "Always", "IfNotPresent", "Never"], "Default: that of Kubernetes."] = ""
    env: Annotated[Mapping[str, str], "Environment of the pods, KEY=VALUE; repeatable."] = field(default_factory=dict)
    env_from: Annotated[tuple[str, ...], "configmap/NAME or secret/NAME, for the pods; repeatable."] = ()
    cpu: Annotated[str, "Requested by each pod."] = "500m"
    memory: Annotated[str, "Requested by each pod, and its limit."] = "512Mi"
    scratch: str = "2Gi"
    # A service mesh's proxy beside a worker outlives it; a label or annotation keeps it out.
    pod_label: Annotated[Mapping[str, str], "Label of the pods, KEY=VALUE; repeatable.", KEY] = field(
        default_factory=dict
    )
    pod_annotation: Annotated[Mapping[str, str], "Annotation of the pods, KEY=VALUE; repeatable.", KEY] = field(
        default_factory=dict
    )
    queue: Annotated[str, "Kueue's LocalQueue in which the Jobs wait."] = ""
    retries: int = 3  # after the first attempt; disruptions do not count
    timeout_hours: Annotated[float, (0.01, None), "A pod that runs longer is ended; it may be retried."] = 6.0
    grace_seconds: int = 60


@dataclass(frozen=True)
class JobSpec:
    """What a Job consists of. ``indexes`` makes it an Indexed Job with that many pods at once.

    ``heartbeat`` is the variable that tells the program which file to touch while its work advances; without it there
    is no liveness probe. ``identity`` names the work. The annotation ``<annotation_prefix>/spec-sha256`` holds the
    digest of ``identity`` and of everything that the Job does; ``name``, ``args``, ``labels``, ``annotations`` and
    ``more_env`` may differ between two Jobs for the same work.
    """

    name: str
    identity: Mapping[str, str]
    args: tuple[str, ...]
    pod: PodOptions
    user_id: int  # also the group; not root
    annotation_prefix: str
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    more_env: Mapping[str, str] = field(default_factory=dict)
    indexes: int | None = None
    max_failed_indexes: int | None = None
    heartbeat: str = ""
    ttl_seconds: int = 6 * 3600  # after its end


def job_name(slug: str, *identity: str) -> str:
    """The name of a Job: a readable slug and a hash of the whole identity, so the same work has the same name."""
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[: LONGEST_NAME - len(digest) - 1].rstrip("-")
    return f"{readable}-{digest}" if readable else f"job-{digest}"


def pod_failure_policy(*, indexed: bool) -> dict[str, Any]:
    """The ``podFailurePolicy``, from the exit-status table. The first matching rule counts.

    A disruption does not count as an attempt. A permanent status ends the Job, or its index, at once.
    After any other status the pod is retried. Only our container's status counts, whatever is beside it.
    """
    codes = sorted(status.code for status in EXIT_STATUSES if not status.retryable)
    permanent = {"containerName": CONTAINER, "operator": "In", "values": codes}
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex" if indexed else "FailJob", "onExitCodes": permanent},
        ]
    }


def label_value(text: str) -> str:
    """``text`` if it can be a label's value.

    Raises:
        DataError: it cannot. Labels select; a value cut to fit would select other objects too.

    """
    if not _LABEL.fullmatch(text):
        raise DataError(f"{text!r} is not a valid Kubernetes label value.")
    return text


def digest_annotation(body: Mapping[str, Any]) -> tuple[str, str]:
    """Name and value of the annotation with the digest of a body that ``job_body`` made."""
    return next(
        (name, value) for name, value in body["metadata"]["annotations"].items() if name.endswith(f"/{DIGEST_NAME}")
    )


def job_body(spec: JobSpec) -> dict[str, Any]:
    """The body to create: hardened, with limits on retries and time, deleted ``ttl_seconds`` after its end."""
    does = _spec_of(spec)
    digest = hashlib.sha256(json.dumps([dict(spec.identity), does], sort_keys=True).encode()).hexdigest()
    (container,) = does["template"]["spec"]["containers"]
    container["args"] = list(spec.args)
    container["env"] += [{"name": name, "value": value} for name, value in sorted(spec.more_env.items())]
    labels = {name: label_value(value) for name, value in spec.labels.items()}
    does["template"]["metadata"]["labels"] |= labels
    queue = {"kueue.x-k8s.io/queue-name": label_value(spec.pod.queue)} if spec.pod.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": spec.name,
            "labels": labels | queue,
            "annotations": {**spec.annotations, f"{spec.annotation_prefix}/{DIGEST_NAME}": digest},
        },
        "spec": does,
    }


def _spec_of(spec: JobSpec) -> dict[str, Any]:
    indexed = spec.indexes is not None
    pod = spec.pod
    seconds = round(pod.timeout_hours * 3600)
    limits: dict[str, Any] = {"backoffLimit": pod.retries}
    if indexed:
        limits = {
            "completionMode": "Indexed",
            "completions": spec.indexes,
            "parallelism": spec.indexes,
            "backoffLimitPerIndex": pod.retries,
            "maxFailedIndexes": spec.indexes if spec.max_failed_indexes is None else spec.max_failed_indexes,
        }
    return {
        **limits,
        # Disruptions do not count as attempts; this ends a Job whose pods are disrupted for ever.
        "activeDeadlineSeconds": (pod.retries + 1) * seconds,
        **({"suspend": True} if pod.queue else {}),  # Kueue starts it when there is room
        "podFailurePolicy": pod_failure_policy(indexed=indexed),
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": spec.ttl_seconds,
        "template": {
            "metadata": {
                "annotations": {"karpenter.sh/do-not-disrupt": "true", **pod.pod_annotation},
                "labels": {name: label_value(value) for name, value in pod.pod_label.items()},
            },
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": pod.service_account,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "activeDeadlineSeconds": seconds,
                "terminationGracePeriodSeconds": pod.grace_seconds,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": spec.user_id,
                    "runAsGroup": spec.user_id,
                    "fsGroup": spec.user_id,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container_of(pod, spec.heartbeat)],
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": pod.scratch}}],
            },
        },
    }


def liveness_probe() -> dict[str, Any]:
    """Fails while the heartbeat is missing or too old. Debian's own ``find``: no shell, and no second Python.

    ``find`` ends with an error if the file is not there, or if a command after ``-exec … +`` does, and ``false`` is run
    for an old file only. A container that is ended of it exits with 137 or 143, so the pod is tried again.
    """
    old = ["-mmin", f"+{HUNG_AFTER_MINUTES}"]
    return {
        "exec": {"command": ["find", HEARTBEAT, *old, "-exec", "false", "{}", "+"]},
        "initialDelaySeconds": 60,
        "periodSeconds": 60,
        # A busy node may be slow to start even that.
        "timeoutSeconds": 10,
        "failureThreshold": 5,
    }


def _container_of(pod: PodOptions, heartbeat: str) -> dict[str, Any]:
    pull = {"imagePullPolicy": pod.image_pull_policy} if pod.image_pull_policy else {}
    sources = [_source_of(text) for text in pod.env_from]
    env = {**pod.env, **({heartbeat: HEARTBEAT} if heartbeat else {})}
    return {
        "name": CONTAINER,
        "image": pod.image,
        **pull,
        "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
        **({"envFrom": sources} if sources else {}),
        # Memory cannot be taken back from a process, so its request is its limit; CPU time can.
        "resources": {"requests": {"cpu": pod.cpu, "memory": pod.memory}, "limits": {"memory": pod.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": SCRATCH}],
        **({"livenessProbe": liveness_probe()} if heartbeat else {}),
    }


def _source_of(text: str) -> dict[str, Any]:
    kind, _, name = text.partition("/")
    fields = {"configmap": "configMapRef", "secret": "secretRef"}
    if kind not in fields or not _NAME.fullmatch(name):
        raise UsageError(f"{text!r} is neither configmap/NAME nor secret/NAME.")
    return {fields[kind]: {"name": name}}

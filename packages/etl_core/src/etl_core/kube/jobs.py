"""A Kubernetes Job as plain dictionaries: names, bodies, what a failed pod means. Touches no cluster.

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
USER = 10001  # of the image; any user but root does
SPEC_DIGEST = "openpayments.io/spec-sha256"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")


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
    queue: Annotated[str, "Kueue's LocalQueue in which the Jobs wait."] = ""
    tries: int = 3  # further ones after the first, not counting disruptions
    timeout_hours: Annotated[float, (0.01, None), "A pod that runs longer is ended; it may be retried."] = 6.0
    grace_seconds: int = 60  # longer than GRACE_SECONDS: what a window takes to finish or be dropped


@dataclass(frozen=True)
class JobSpec:
    """One Job. ``indexes`` makes it an Indexed Job with so many pods at once.

    ``marks`` are labels and ``notes`` annotations that do not change what the Job does, such as the
    run it was created for. They and ``args`` are left out of the digest; ``identity``, what the Job
    produces, is in it.
    """

    name: str
    identity: Mapping[str, str]
    args: tuple[str, ...]
    pod: PodOptions
    labels: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)
    indexes: int | None = None
    max_failed_indexes: int | None = None
    keep_seconds: int = 6 * 3600


def job_name(slug: str, *identity: str) -> str:
    """A name that the same work always has, and no other: a slug for people, a hash of all of it.

    Two long ids may share a prefix, so the hash is of the whole identity, never of the slug.
    """
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:10]
    readable = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")[: LONGEST_NAME - len(digest) - 1].rstrip("-")
    return f"{readable}-{digest}" if readable else f"job-{digest}"


def pod_failure_policy(*, indexed: bool) -> dict[str, Any]:
    """What Kubernetes is to do with a failed pod, from the exit-status table; the first rule that fits counts.

    A disruption is nobody's failure and no try. A status that running again cannot mend ends the
    Job, or the index, at once. Anything else is a try.
    """
    final = sorted(status.code for status in EXIT_STATUSES if not status.again)
    return {
        "rules": [
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
            {"action": "FailIndex" if indexed else "FailJob", "onExitCodes": {"operator": "In", "values": final}},
        ]
    }


def label_value(text: str) -> str:
    """``text`` if it can be a label's value.

    Raises:
        DataError: it cannot. Labels select; a value cut to fit would select what is not meant.

    """
    if not _LABEL.fullmatch(text):
        raise DataError(f"{text!r} can be no label of a Kubernetes object.")
    return text


def spec_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of what a Job body makes Kubernetes do, without what only says for whom."""
    return str(body["metadata"]["annotations"][SPEC_DIGEST])


def job_body(spec: JobSpec) -> dict[str, Any]:
    """The body to create: hardened, bounded in tries and time, and removed some hours after its end."""
    does = _spec_of(spec)
    digest = hashlib.sha256(json.dumps([dict(spec.identity), does], sort_keys=True).encode()).hexdigest()
    does["template"]["spec"]["containers"][0]["args"] = list(spec.args)
    labels = {name: label_value(value) for name, value in {**spec.labels, **spec.marks}.items()}
    does["template"]["metadata"]["labels"] = labels
    queue = {"kueue.x-k8s.io/queue-name": label_value(spec.pod.queue)} if spec.pod.queue else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": spec.name,
            "labels": labels | queue,
            "annotations": {**spec.notes, SPEC_DIGEST: digest},
        },
        "spec": does,
    }


def _spec_of(spec: JobSpec) -> dict[str, Any]:
    indexed = spec.indexes is not None
    pod = spec.pod
    seconds = round(pod.timeout_hours * 3600)
    tries: dict[str, Any] = {"backoffLimit": pod.tries}
    if indexed:
        tries = {
            "completionMode": "Indexed",
            "completions": spec.indexes,
            "parallelism": spec.indexes,
            "backoffLimitPerIndex": pod.tries,
            "maxFailedIndexes": spec.indexes if spec.max_failed_indexes is None else spec.max_failed_indexes,
        }
    return {
        **tries,
        # Disruptions are no tries, so tries do not end a Job whose pods are taken away for ever; this does.
        "activeDeadlineSeconds": (pod.tries + 1) * seconds,
        **({"suspend": True} if pod.queue else {}),  # Kueue starts it when there is room
        "podFailurePolicy": pod_failure_policy(indexed=indexed),
        "podReplacementPolicy": "Failed",
        "ttlSecondsAfterFinished": spec.keep_seconds,
        "template": {
            "metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}},
            "spec": {
                "restartPolicy": "Never",
                "serviceAccountName": pod.service_account,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "activeDeadlineSeconds": seconds,
                "terminationGracePeriodSeconds": pod.grace_seconds,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": USER,
                    "runAsGroup": USER,
                    "fsGroup": USER,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container_of(pod)],
                "volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": pod.scratch}}],
            },
        },
    }


def _container_of(pod: PodOptions) -> dict[str, Any]:
    pull = {"imagePullPolicy": pod.image_pull_policy} if pod.image_pull_policy else {}
    sources = [_source_of(text) for text in pod.env_from]
    return {
        "name": CONTAINER,
        "image": pod.image,
        **pull,
        "env": [{"name": name, "value": value} for name, value in sorted(pod.env.items())],
        **({"envFrom": sources} if sources else {}),
        # Memory is not shared out again once taken, so its request is its limit; a processor is.
        "resources": {"requests": {"cpu": pod.cpu, "memory": pod.memory}, "limits": {"memory": pod.memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "scratch", "mountPath": "/tmp"}],  # noqa: S108 - the container's own
    }


def _source_of(text: str) -> dict[str, Any]:
    kind, _, name = text.partition("/")
    fields = {"configmap": "configMapRef", "secret": "secretRef"}
    if kind not in fields or not _NAME.fullmatch(name):
        raise UsageError(f"{text!r} is neither configmap/NAME nor secret/NAME.")
    return {fields[kind]: {"name": name}}

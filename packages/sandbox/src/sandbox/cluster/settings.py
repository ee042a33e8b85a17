"""Every setting of the stand-in cluster, with its unit and meaning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sandbox.cluster.process import Start, child


@dataclass(frozen=True)
class Instant:
    """How a pod ends that has no process."""

    exit_code: int = 0
    seconds: float = 0.0  # after its start


@dataclass(frozen=True)
class ClusterSettings:
    """What the cluster has, and how long each step takes."""

    # Image name, without tag and digest, to the local command that stands for its ENTRYPOINT.
    images: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # The environment of a process besides its own variables; HOME and TMPDIR are its folder unless given.
    base_environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    start: Start = child  # how a process is started
    # No processes: every pod ends like this, or as the function says of the pod's object.
    instant: Instant | Callable[[Mapping[str, Any]], Instant] | None = None

    namespaces: tuple[str, ...] = ("default",)  # each has what follows; the first is the kubeconfig's
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    service_accounts: tuple[str, ...] = ("default",)
    denied: tuple[str, ...] = ()  # "create jobs", "get pods/log": 403, and so says an access review
    quota_jobs: int | None = None  # per namespace: all Jobs; one more is a 403
    quota_pods: int | None = None  # per namespace: pods that have not ended; one more is a FailedCreate event

    # As of a LimitRange, by "cpu" and "memory": a container that asks for less, or for more, is refused.
    minimum: Mapping[str, str] = field(default_factory=dict)
    maximum: Mapping[str, str] = field(default_factory=dict)
    must_specify: tuple[str, ...] = ()  # "limits.cpu": a quota on it refuses containers without
    denies: Mapping[str, str] = field(default_factory=dict)  # what a webhook says to all "jobs" or "pods"
    sidecars: tuple[str, ...] = ()  # containers that a webhook puts beside each pod's own; they run until it is deleted

    pods_at_once: int = 110  # of the one node; the rest is Unschedulable
    scheduler_seconds: float = 0.0  # until the scheduler looks at a pod; before that a pod has no condition
    count_seconds: float = 0.0  # until an ended pod is in its Job's counts; 1 s and more in a real cluster
    pod_start_seconds: float = 0.0  # ContainerCreating; an image pull and a start take 2 to 60 s in a real cluster
    retry_seconds: float = 0.1  # before a failed pod's successor, doubling; 10 s in a real cluster
    retry_seconds_max: float = 5.0  # 600 s in a real cluster
    probe_seconds: float | None = None  # between liveness probes, and before the first, in place of what a pod says
    continue_seconds: float = 300.0  # how long a list's `continue` token is good, as with etcd; 0 expires all

    port: int = 0  # always on loopback
    seed: int = 7  # of faults
    minor_version: int = 31  # what /version says

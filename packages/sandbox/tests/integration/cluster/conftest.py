"""Stand-in clusters and the official client to ask them with."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from sandbox.cluster import Cluster, ClusterSettings, Instant

NAMESPACE = "etl"


@dataclass
class Bench:
    """A cluster, and the official client's two halves that Jobs need."""

    cluster: Cluster
    batch: Any
    core: Any

    @staticmethod
    def body(name: str, code: str = "pass", **more: Any) -> dict[str, Any]:
        """A Job that runs a line of Python; `pod`, `container`, `labels` and members of the Job's spec may be given."""
        pod, container, labels = (more.pop(part, {}) for part in ("pod", "container", "labels"))
        container = {"name": "main", "image": "registry.test:5000/py:1", "args": ["-c", code], **container}
        pod = {"restartPolicy": "Never", "containers": [container], **pod}
        meta = {"name": name, "labels": {"app.kubernetes.io/name": "py", **labels}}
        template = {"metadata": {"labels": meta["labels"]}, "spec": pod}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template, **more}}

    def create(self, name: str, code: str = "pass", **more: Any) -> Any:
        body = self.body(name, code, **more)
        return self.batch.create_namespaced_job(NAMESPACE, body, field_validation="Strict")

    def delete(self, name: str) -> None:
        self.batch.delete_namespaced_job(name, NAMESPACE, propagation_policy="Background")

    def job(self, name: str) -> Any:
        return next((job for job in self.cluster.jobs() if job["metadata"]["name"] == name), None)

    def status(self, name: str) -> Any:
        return self.job(name)["status"]

    def pods(self, job: str) -> list[dict[str, Any]]:
        """In the order of their making."""
        return [pod for pod in self.cluster.pods() if pod["metadata"]["labels"]["job-name"] == job]

    def pod(self, job: str) -> Any:
        (found,) = self.pods(job)
        return found

    def state(self, job: str) -> Any:
        """Of the container of the only pod; empty as long as there is none."""
        statuses = [pod["status"].get("containerStatuses") for pod in self.pods(job)]
        return statuses[0][0]["state"] if len(statuses) == 1 and statuses[0] else {}

    def log(self, job: str, **options: Any) -> str:
        name = self.pod(job)["metadata"]["name"]
        return str(self.core.read_namespaced_pod_log(name, NAMESPACE, **options))

    def until(self, holds: Callable[[], Any]) -> None:
        assert self.cluster.until(holds), (self.cluster.jobs(), self.cluster.pods())

    def ended(self, name: str) -> Any:
        """A Job's conditions when it has ended, as pairs of type and reason."""
        kinds = {"Complete", "Failed"}
        self.until(lambda: kinds & {one["type"] for one in self.status(name).get("conditions", [])})
        return [(one["type"], one["reason"]) for one in self.status(name)["conditions"]]

    def says(self, job: str, text: str) -> None:
        """Wait until the only pod has written something."""
        self.until(lambda: "running" in self.state(job) and text in self.log(job))

    def messages(self, reason: str) -> list[str]:
        events = self.core.list_namespaced_event(NAMESPACE).items
        return [event.message for event in events if event.reason == reason]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    """Start a cluster with settings of the test's own; none may have met a bug of its own."""
    running: list[Cluster] = []

    def started(**settings: Any) -> Bench:
        chosen = {"images": {"registry.test:5000/py": [sys.executable]}, "namespaces": (NAMESPACE,), **settings}
        running.append(Cluster(ClusterSettings(**chosen)))
        told = client.Configuration()
        path = running[-1].kubeconfig(tmp_path / f"kubeconfig-{len(running)}")
        config.load_kube_config(str(path), client_configuration=told)
        told.retries = False
        api = client.ApiClient(told)
        return Bench(running[-1], client.BatchV1Api(api), client.CoreV1Api(api))

    yield started
    for cluster in running:
        cluster.close()
    assert [bug for cluster in running for bug in cluster.bugs] == []


@pytest.fixture
def bench(start: Callable[..., Bench]) -> Bench:
    """Pods are processes."""
    return start()


@pytest.fixture
def instant(start: Callable[..., Bench]) -> Bench:
    """Pods succeed at once."""
    return start(instant=Instant())


@pytest.fixture
def endless(start: Callable[..., Bench]) -> Bench:
    """Pods run until they are ended."""
    return start(instant=Instant(seconds=3600))

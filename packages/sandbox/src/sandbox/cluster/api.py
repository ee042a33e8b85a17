"""The stand-in cluster as a Python object."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from sandbox.cluster.controller import Controller
from sandbox.cluster.handlers import Handlers
from sandbox.cluster.job import Pod
from sandbox.cluster.kubelet import ENDS, STARTS, Kubelet
from sandbox.cluster.loop import Loop
from sandbox.cluster.objects import ACCOUNTS, CONFIG_MAPS, JOBS, PODS, QUOTAS, SECRETS, KubeObject, Resource, Store
from sandbox.cluster.quantities import canonical
from sandbox.cluster.server import STAGES, Api, Server
from sandbox.cluster.settings import ClusterSettings
from sandbox.faults import Faults


class Cluster(AbstractContextManager["Cluster"]):
    """An API server that listens from its construction until `close`, or for the length of a `with` block."""

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        self.settings = settings or ClusterSettings()
        self._faults = Faults(
            self.settings.seed, {**STAGES, **dict.fromkeys(ENDS, "pod"), **dict.fromkeys(STARTS, "start")}
        )
        self.faults, self.clear_faults = self._faults.listed, self._faults.clear
        self._store, self._loop = Store(), Loop()
        self.bugs = self._loop.bugs  # tracebacks of whatever went wrong inside the stand-in; a test may want none
        self._kubelet = Kubelet(self.settings, self._store, self._loop, self._faults)
        controller = Controller(self.settings, self._store, self._loop, self._kubelet)
        for namespace in self.settings.namespaces:
            self._create_fixed(namespace)
        handlers = Handlers(self.settings, self._store, controller, self._kubelet)
        self._api = Api(handlers, self._loop, self._faults, self.settings.minor_version)
        self._server = Server(self._api, self.settings.port)
        self.url = self._server.url
        self._server.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def calls(self) -> Counter[str]:
        """Requests so far, as "create jobs", "list pods", "get pods/log"."""
        with self._loop.lock:
            return self._api.calls.copy()

    @property
    def peak_pods(self) -> int:
        """The most pods that ran at once."""
        return self._kubelet.peak

    def pods(self) -> list[dict[str, Any]]:
        """All pods as they are now."""
        return self._snapshot(PODS)

    def jobs(self) -> list[dict[str, Any]]:
        """All Jobs as they are now."""
        return self._snapshot(JOBS)

    def fault(self, name: str, **options: Any) -> None:
        """Set a fault, of requests or of pods: `probability`, `count`, `match`, `after`, and parameters of its own."""
        common = {key: options.pop(key) for key in ("probability", "count", "match", "after") if key in options}
        self._faults.add(name, **common, params=options)

    def disrupt(self, pod_name: str, how: str = "disrupted") -> None:
        """End a pod as the cluster does: by the name of a fault of pods. LookupError if it is not there."""
        with self._loop.lock:
            found = {pod.name: pod for pod in self._all(PODS) if isinstance(pod, Pod)}
            self._kubelet.disrupt(found[pod_name], how)

    def until(self, holds: Callable[[], object], seconds: float = 20.0) -> bool:
        """Wait until a condition holds, checked after every event and every 50 ms; False after so many seconds."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() >= deadline:
                return False
            with self._loop.lock:
                self._loop.lock.wait(0.05)  # output of a process wakes nobody
        return True

    def kubeconfig(self, path: Path | str) -> Path:
        """Write a kubeconfig for this server, and say where. JSON is YAML."""
        path, name = Path(path), "stand-in"
        context = {"cluster": name, "user": name, "namespace": self.settings.namespaces[0]}
        document: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": name}
        document["clusters"] = [{"name": name, "cluster": {"server": self.url}}]
        document["users"] = [{"name": name, "user": {"token": "stand-in"}}]
        document["contexts"] = [{"name": name, "context": context}]
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return path

    def close(self) -> None:
        """Stop serving, kill every process and wait for it."""
        self._server.close()
        self._loop.stop()
        self._kubelet.close()

    def _all(self, resource: Resource) -> list[KubeObject]:
        return [item for one in self.settings.namespaces for item in self._store.find(resource, one).values()]

    def _snapshot(self, resource: Resource) -> list[dict[str, Any]]:
        with self._loop.lock:
            found: list[dict[str, Any]] = json.loads(json.dumps([item.to_json() for item in self._all(resource)]))
        return found

    def _create_fixed(self, namespace: str) -> None:
        """What the settings say is in every namespace."""
        limits = {"count/jobs.batch": self.settings.quota_jobs, "pods": self.settings.quota_pods}
        hard = {what: canonical(str(limit)) for what, limit in limits.items() if limit is not None}
        objects: list[tuple[Resource, str, dict[str, Any]]] = [
            (ACCOUNTS, name, {}) for name in self.settings.service_accounts
        ]
        objects += [(CONFIG_MAPS, name, {"data": dict(data)}) for name, data in self.settings.config_maps.items()]
        objects += [(SECRETS, name, {"data": _coded(data)}) for name, data in self.settings.secrets.items()]
        objects += [(QUOTAS, "stand-in", {"spec": {"hard": hard}})] if hard else []
        for resource, name, body in objects:
            self._store.add(KubeObject(resource, {"metadata": {"name": name, "namespace": namespace}, **body}))


def _coded(data: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}

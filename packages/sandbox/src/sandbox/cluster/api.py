"""The stand-in cluster as a Python object."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from sandbox.cluster.controller import Controller
from sandbox.cluster.handlers import Handlers
from sandbox.cluster.kubelet import ENDS, Kubelet
from sandbox.cluster.loop import Loop
from sandbox.cluster.pod import Pod
from sandbox.cluster.resources import ACCOUNTS, CONFIG_MAPS, JOBS, NAMESPACES, PODS, QUOTAS, SECRETS, Resource
from sandbox.cluster.server import STAGES, Api, Server
from sandbox.cluster.settings import ClusterSettings
from sandbox.cluster.store import Store, Thing
from sandbox.faults import Faults


class Cluster:
    """An API server that listens from its making until `close`, or for the length of a `with` block."""

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        self.settings = settings or ClusterSettings()
        self._faults = Faults(self.settings.seed, {**STAGES, **dict.fromkeys(ENDS, "pod")})
        self._store, self._loop = Store(self.settings.seed), Loop()
        self._kubelet = Kubelet(self.settings, self._store, self._loop, self._faults)
        controller = Controller(self.settings, self._store, self._loop, self._kubelet)
        for namespace in self.settings.namespaces:
            self._furnish(namespace)
        handlers = Handlers(self.settings, self._store, controller, self._kubelet)
        self._api = Api(handlers, self._loop, self._faults, self.settings.minor_version)
        self._server = Server(self.settings.port, self._api, self._loop)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.faults, self.clear_faults = self._faults.listed, self._faults.clear
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="cluster")
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def bugs(self) -> list[str]:
        """Tracebacks of whatever went wrong inside the stand-in; a test may want none."""
        return list(self._loop.bugs)

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

    def fault(
        self,
        name: str,
        probability: float = 1.0,
        count: int | None = None,
        match: str = "",
        after: int = 0,
        **params: Any,
    ) -> None:
        """Set a fault, of requests or of pods; ValueError for a name that there is not."""
        self._faults.add(name, probability=probability, count=count, match=match, after=after, params=params)

    def disrupt(self, pod_name: str, how: str = "disrupted") -> None:
        """End a pod as the cluster does: disrupted, preempted, evicted, oom_killed. LookupError if it is not there."""
        if how not in ENDS:
            raise ValueError(f"no way to end a pod: {how!r}; there are: {', '.join(ENDS)}")
        with self._loop.lock:
            found = [thing for thing in self._store.find(PODS, "") if thing.name == pod_name]
            if not found:
                raise LookupError(f"there is no pod {pod_name!r}")
            for pod in found:
                if isinstance(pod, Pod):
                    self._kubelet.disrupt(pod, how)

    def until(self, holds: Callable[[], object], seconds: float = 20.0) -> bool:
        """Wait until something holds, looking when anything has happened here; False if it does not come to that."""
        deadline = time.monotonic() + seconds
        while not holds():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._loop.lock:
                self._loop.lock.wait(min(left, 0.05))  # what a process writes is no happening
        return True

    def kubeconfig(self, path: Path | str) -> Path:
        """Write a kubeconfig for this server, and say where. JSON is YAML."""
        path, name = Path(path), "stand-in"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": "stand-in"}}],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": name, "namespace": self.settings.namespaces[0]}}
            ],
        }
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return path

    def close(self) -> None:
        """Stop serving, kill every process and wait for it."""
        self._server.stop()
        self._thread.join()
        self._loop.stop()
        self._kubelet.close()

    def _snapshot(self, resource: Resource) -> list[dict[str, Any]]:
        with self._loop.lock:
            items = [thing.item() for thing in self._store.find(resource, "")]
        return [json.loads(item) for item in items]

    def _furnish(self, namespace: str) -> None:
        """What the settings say is in every namespace."""

        def add(resource: Resource, name: str, **body: Any) -> None:
            where = {"name": name} | ({"namespace": namespace} if resource.namespaced else {})
            self._store.add(Thing(resource, {"metadata": where, **body}))

        add(NAMESPACES, namespace, status={"phase": "Active"})
        for name in self.settings.service_accounts:
            add(ACCOUNTS, name)
        for name, data in self.settings.config_maps.items():
            add(CONFIG_MAPS, name, data=dict(data))
        for name, data in self.settings.secrets.items():
            coded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
            add(SECRETS, name, type="Opaque", data=coded)
        limits = {"count/jobs.batch": self.settings.quota_jobs, "pods": self.settings.quota_pods}
        hard = {what: str(limit) for what, limit in limits.items() if limit is not None}
        if hard:
            add(QUOTAS, "stand-in", spec={"hard": hard})

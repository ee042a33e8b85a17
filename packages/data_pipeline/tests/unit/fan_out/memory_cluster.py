"""The Jobs API in memory, as far as a submitter uses it: no network, no time, nothing changes but by ``step``.

It stands where ``Cluster`` has its connections. The sandbox's cluster cannot replace it here: its
pods run in real time, while these tests kill a submitter at each of its calls and wait for hours.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import urllib3

from data_pipeline.fan_out.submit import JOB_OF_POD
from etl_core.kube.client import Cluster
from etl_core.retry import Retry, RetryPolicy

Json = dict[str, Any]
# The program of a pod: arguments and index to exit code; None while it runs.
Program = Callable[[list[str], int], int | None]
ENDED = ("Succeeded", "Failed")


@dataclass(frozen=True)
class Answer:
    """The part of a ``urllib3`` response that ``Cluster`` reads."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return json.dumps(self.body).encode()


def refused(status: int, reason: str, message: str) -> Answer:
    return Answer(status, {"kind": "Status", "reason": reason, "message": message})


class MemoryCluster:
    """``requests`` lists the calls; ``stuck`` holds, by unit, the status in which pods stay that do not start.

    ``proxy`` puts a container before ours into each pod; it runs until the pod is deleted. ``endings`` holds, by
    unit, what the kubelet says of a container that ends.
    """

    def __init__(self, program: Program, on_call: Callable[[], None] = lambda: None) -> None:
        self.program = program
        self.on_call = on_call
        self.jobs: dict[str, Json] = {}
        self.pods: dict[str, Json] = {}
        self.events: list[tuple[str, Json]] = []
        self.requests: list[str] = []
        self.created: list[str] = []
        self.peak_open = 0
        self.quota_jobs: int | None = None
        self.quota_pods: int | None = None
        self.stuck: dict[str, Json] = {}
        self.proxy = False
        self.endings: dict[str, Json] = {}
        self.before_create: list[Callable[[Json], None]] = []
        self._numbers = itertools.count(1)

    def cluster(self, sleep: Callable[[float], None]) -> Cluster:
        retry = Retry(RetryPolicy(attempts=3), sleep=sleep, clock=lambda: 0.0)
        return Cluster(
            "http://api.test", "team", pool=cast("urllib3.PoolManager", self), retry=retry, user_agent="etl/1.0"
        )

    def request(self, method: str, url: str, *, body: str | None = None, **_more: object) -> Answer:
        self.on_call()
        assert len(url) < 8192, "some proxies refuse it"
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        match = re.search(r"/namespaces/team/(jobs|pods|events)(?:/([^/]+))?$", parts.path)
        assert match, url
        kind, name = match[1], match[2]
        self.requests.append(f"{method} {kind}")
        if method == "POST":
            return self._create(json.loads(body or ""))
        if kind == "events":
            about = query["fieldSelector"].removeprefix("involvedObject.name=")
            known = [event | {"involvedObject": {"name": of}} for of, event in self.events if of == about]
            return Answer(200, {"items": known})
        objects = getattr(self, kind)
        found = [objects[name]] if name in objects else []
        if name is None:
            found = [one for one in objects.values() if selected(one, query["labelSelector"])]
        elif not found:
            return refused(404, "NotFound", f'{kind} "{name}" not found')
        answer = Answer(200, json.loads(json.dumps({"items": found} if name is None else found[0])))
        if method == "DELETE":
            self._delete(objects, found)
        return answer

    def _create(self, body: Json) -> Answer:
        if self.before_create:
            self.before_create.pop(0)(body)
        name = body["metadata"]["name"]
        if name in self.jobs:
            return refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        if self.quota_jobs is not None and len(self.jobs) >= self.quota_jobs:
            return refused(403, "Forbidden", f'jobs.batch "{name}" is forbidden: exceeded quota: small')
        self.add(body)
        return Answer(201, body)

    def add(self, body: Json) -> None:
        """Somebody created this Job."""
        name = body["metadata"]["name"]
        self.jobs[name] = {**json.loads(json.dumps(body)), "status": {}}
        self.created.append(name)
        self.peak_open = max(self.peak_open, sum(not ended(job) for job in self.jobs.values()))

    def _delete(self, objects: dict[str, Json], found: list[Json]) -> None:
        """Delete these, and the pods of Jobs."""
        for one in found:
            name = one["metadata"]["name"]
            del objects[name]
            if objects is self.pods:
                self._count_deleted(one)
            self.pods = {key: pod for key, pod in self.pods.items() if pod["metadata"]["labels"][JOB_OF_POD] != name}

    def _count_deleted(self, pod: Json) -> None:
        """The Job of a pod that is deleted counts it by the exit code of our container."""
        job = self.jobs.get(pod["metadata"]["labels"][JOB_OF_POD])
        if job is not None:
            job.setdefault("gone", []).append(pod["status"] | {"phase": "Failed"})
            self._summarise(job, self._pods_of(job["metadata"]["name"]))

    def step(self) -> None:
        """Every Job advances by one stage: pods are created, started, run to their end."""
        for name, job in list(self.jobs.items()):
            if not ended(job) and not job["spec"].get("suspend") and name in self.jobs:
                for index in range(job["spec"].get("completions", 1)):
                    self._step(name, job, index)
                self._summarise(job, self._pods_of(name))

    def _pods_of(self, name: str) -> list[Json]:
        return [pod for pod in self.pods.values() if pod["metadata"]["labels"][JOB_OF_POD] == name]

    def _step(self, name: str, job: Json, index: int) -> None:
        pods = {pod["status"]["phase"]: pod for pod in self._pods_of(name) if pod["metadata"]["index"] == index}
        if "Running" in pods:
            self._run(job, pods["Running"], index)
        elif "Pending" in pods:
            stuck = self.stuck.get(job["metadata"]["labels"]["openpayments.io/unit"])
            pods["Pending"]["status"] = {"phase": "Pending", **stuck} if stuck else {"phase": "Running"}
        elif "Succeeded" not in pods:
            self._create_pod(name, job, index)

    def _create_pod(self, name: str, job: Json, index: int) -> None:
        open_pods = sum(pod["status"]["phase"] not in ENDED for pod in self.pods.values())
        if self.quota_pods is not None and open_pods >= self.quota_pods:
            message = f'Error creating: pods "{name}-x" is forbidden: exceeded quota: small'
            self.events.append((name, {"reason": "FailedCreate", "message": message}))
            return
        number = next(self._numbers)
        meta = {
            "name": f"{name}-{number}",
            "index": index,
            "labels": job["metadata"]["labels"] | {JOB_OF_POD: name},
            "creationTimestamp": f"2026-07-14T12:00:00.{number:06}Z",
        }
        self.pods[meta["name"]] = {"metadata": meta, "status": {"phase": "Pending", "conditions": []}}

    def _run(self, job: Json, pod: Json, index: int) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        if pod["status"].get("containerStatuses"):
            return  # our container has ended, the proxy continues
        code = self.program(container["args"], index)
        if code is not None:
            state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
            state["terminated"] |= self.endings.get(job["metadata"]["labels"]["openpayments.io/unit"], {})
            beside = [{"name": "a-proxy", "state": {"running": {}}}] if self.proxy else []
            statuses = [*beside, {"name": container["name"], "state": state}]
            phase = "Running" if self.proxy else "Failed" if code else "Succeeded"
            pod["status"] = {"phase": phase, "containerStatuses": statuses}

    def _summarise(self, job: Json, pods: list[Json]) -> None:
        spec = job["spec"]
        statuses = [pod["status"] for pod in pods] + job.get("gone", [])
        phases = Counter(status["phase"] for status in statuses)
        ready = sum(one["phase"] == "Running" and not one.get("containerStatuses") for one in statuses)
        job["status"] = {
            "active": phases["Pending"] + phases["Running"],
            "ready": ready,
            "succeeded": phases["Succeeded"],
            "failed": phases["Failed"],
        }
        final = set(spec["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"])
        ours = [one["containerStatuses"][-1]["state"] for one in statuses if one["phase"] == "Failed"]
        codes = [state["terminated"]["exitCode"] for state in ours]
        if final & set(codes) or len(codes) > spec.get("backoffLimit", spec.get("backoffLimitPerIndex")):
            job["status"]["conditions"] = [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]
        elif phases["Succeeded"] == spec.get("completions", 1):
            job["status"]["conditions"] = [{"type": "Complete", "status": "True"}]


def ended(job: Json) -> bool:
    return bool(job["status"].get("conditions"))


def selected(one: Json, selector: str) -> bool:
    """Whether the labels match ``a=b,c in (d,e)``."""
    terms = re.findall(r"([^,=\s]+)(?:=([^,]*)| in \(([^)]*)\))", selector)
    return all(one["metadata"]["labels"].get(name) in (value or values).split(",") for name, value, values in terms)

"""An API server with its controller and kubelet in memory, as far as a submitter asks it: no network, no time.

``MemoryApi`` stands where ``Cluster`` has its connections, so ``Cluster`` runs as it is. It keeps the
rules our code leans on: a name is given once, a list is by labels, a Job whose pods fail is tried
again as its policy says, deleting a Job deletes its pods. Nothing moves but by ``step``.
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

from etl_core.kube.client import Cluster
from etl_core.retry import Retry, RetryPolicy

Json = dict[str, Any]
# What the program of a pod does: its arguments and index in, its exit status out; None if it is still at it.
Program = Callable[[list[str], int], int | None]


@dataclass(frozen=True)
class Answer:
    """What a caller of ``urllib3`` looks at."""

    status: int
    body: Json
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> bytes:
        return json.dumps(self.body).encode()


def refused(status: int, reason: str, message: str) -> Answer:
    return Answer(status, {"kind": "Status", "reason": reason, "message": message})


class MemoryApi:
    """``asked`` lists the calls. ``holds`` says, by unit, in what state pods stay that do not begin."""

    def __init__(self, program: Program, on_call: Callable[[], None] = lambda: None) -> None:
        self.program = program
        self.on_call = on_call
        self.jobs: dict[str, Json] = {}
        self.pods: dict[str, Json] = {}
        self.events: list[tuple[str, Json]] = []
        self.asked: list[str] = []
        self.created: list[str] = []
        self.most_open = 0
        self.most_jobs: int | None = None
        self.most_pods: int | None = None
        self.holds: dict[str, Json] = {}
        self.before_create: list[Callable[[Json], None]] = []
        self.after_list_of_pods: list[Callable[[], None]] = []
        self._numbers = itertools.count(1)

    def cluster(self, sleep: Callable[[float], None]) -> Cluster:
        retry = Retry(RetryPolicy(attempts=3), sleep=sleep, clock=lambda: 0.0)
        return Cluster("http://api.test", "team", pool=cast("urllib3.PoolManager", self), retry=retry)

    # ---------------------------------------------------------------------------------------- as asked

    def request(self, method: str, url: str, *, body: str | None = None, **_more: object) -> Answer:
        self.on_call()
        assert len(url) < 8192, "some proxy will not take this"
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        match = re.search(r"/namespaces/team/(jobs|pods|events)(?:/([^/]+))?$", parts.path)
        assert match, url
        kind, name = match[1], match[2]
        self.asked.append(f"{method} {kind}")
        if method == "POST":
            return self._create(json.loads(body or ""))
        if kind == "events":
            name = query["fieldSelector"].removeprefix("involvedObject.name=")
            return Answer(200, {"items": [event for about, event in self.events if about == name]})
        if name is not None:
            return self._one(method, name)
        found = [one for one in getattr(self, kind).values() if selected(one, query["labelSelector"])]
        if method == "DELETE":
            for one in found:
                self._delete(kind, one["metadata"]["name"])
        items = json.loads(json.dumps(found))
        if kind == "pods" and method == "GET" and self.after_list_of_pods:
            self.after_list_of_pods.pop(0)()
        return Answer(200, {"items": items})

    def _create(self, body: Json) -> Answer:
        if self.before_create:
            self.before_create.pop(0)(body)
        name = body["metadata"]["name"]
        if name in self.jobs:
            return refused(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        if self.most_jobs is not None and len(self.jobs) >= self.most_jobs:
            return refused(403, "Forbidden", f'jobs.batch "{name}" is forbidden: exceeded quota: small')
        self.add(body)
        return Answer(201, body)

    def add(self, body: Json) -> None:
        """Somebody created this Job."""
        name = body["metadata"]["name"]
        self.jobs[name] = {**json.loads(json.dumps(body)), "status": {}}
        self.created.append(name)
        self.most_open = max(self.most_open, sum(not ended(job) for job in self.jobs.values()))

    def _one(self, method: str, name: str) -> Answer:
        job = self.jobs.get(name)
        if job is None:
            return refused(404, "NotFound", f'jobs.batch "{name}" not found')
        if method == "DELETE":
            self._delete("jobs", name)
        return Answer(200, job)

    def _delete(self, kind: str, name: str) -> None:
        if kind == "jobs":
            del self.jobs[name]
            for pod in [one for one in self.pods.values() if job_of(one) == name]:
                del self.pods[pod["metadata"]["name"]]
        else:
            del self.pods[name]

    # --------------------------------------------------------------------------------------- as it works

    def step(self) -> None:
        """Every Job gets on by one stage: pods made, pods begun, programs run to their end."""
        for name, job in list(self.jobs.items()):
            if not ended(job) and not job["spec"].get("suspend") and name in self.jobs:
                self._step(name, job)

    def _step(self, name: str, job: Json) -> None:
        of = [pod for pod in self.pods.values() if job_of(pod) == name]
        for index in range(job["spec"].get("completions", 1)):
            mine = [pod for pod in of if pod["metadata"]["annotations"]["index"] == index]
            if any(pod["status"]["phase"] == "Succeeded" for pod in mine):
                continue
            at_work = next((pod for pod in mine if pod["status"]["phase"] in ("Pending", "Running")), None)
            if at_work is None:
                self._make_pod(name, job, index)
            elif at_work["status"]["phase"] == "Pending":
                self._begin(job, at_work)
            else:
                self._run(job, at_work, index)
        self._sum_up(name, job)

    def _make_pod(self, name: str, job: Json, index: int) -> None:
        open_pods = sum(pod["status"]["phase"] in ("Pending", "Running") for pod in self.pods.values())
        if self.most_pods is not None and open_pods >= self.most_pods:
            message = f'Error creating: pods "{name}-x" is forbidden: exceeded quota: small'
            self.events.append((name, {"reason": "FailedCreate", "message": message}))
            return
        number = next(self._numbers)
        meta = job["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name}
        self.pods[f"{name}-{number}"] = {
            "metadata": {
                "name": f"{name}-{number}",
                "labels": meta,
                "annotations": {"index": index},
                "creationTimestamp": f"2026-07-14T12:00:00.{number:06}Z",
            },
            "status": {"phase": "Pending", "conditions": []},
        }

    def _begin(self, job: Json, pod: Json) -> None:
        held = self.holds.get(job["metadata"]["labels"]["openpayments.io/unit"])
        pod["status"] = {"phase": "Pending", **held} if held else {"phase": "Running"}

    def _run(self, job: Json, pod: Json, index: int) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        code = self.program(container["args"], index)
        if code is None:
            return
        state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}
        pod["status"] = {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"state": state}]}

    def _sum_up(self, name: str, job: Json) -> None:
        pods = [pod for pod in self.pods.values() if job_of(pod) == name]
        phases = Counter(pod["status"]["phase"] for pod in pods)
        job["status"] = {
            "active": phases["Pending"] + phases["Running"],
            "ready": phases["Running"],
            "succeeded": phases["Succeeded"],
            "failed": phases["Failed"],
        }
        final = job["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
        codes = [pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"]
                 for pod in pods if pod["status"]["phase"] == "Failed"]  # fmt: skip
        tries = job["spec"].get("backoffLimit", job["spec"].get("backoffLimitPerIndex"))
        if any(code in final for code in codes) or len(codes) > tries:
            job["status"]["conditions"] = [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]
        elif phases["Succeeded"] == job["spec"].get("completions", 1):
            job["status"]["conditions"] = [{"type": "Complete", "status": "True"}]


def ended(job: Json) -> bool:
    return bool(job["status"].get("conditions"))


def job_of(pod: Json) -> str:
    return str(pod["metadata"]["labels"]["batch.kubernetes.io/job-name"])


def selected(one: Json, selector: str) -> bool:
    """Whether ``a=b,c in (d,e)`` fits the labels."""
    labels = one["metadata"]["labels"]
    for term in re.split(r",(?![^(]*\))", selector):
        name, values = (term.split(" in ")[0], term.split(" in ")[1].strip("()").split(",")) if " in " in term else (
            term.split("=")[0], [term.split("=")[1]]
        )  # fmt: skip
        if labels.get(name) not in values:
            return False
    return True

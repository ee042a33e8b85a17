"""What each request does to the objects. Every function here is called with the lock held."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.cluster.admission import causes, fill_in, unknown
from sandbox.cluster.controller import Controller
from sandbox.cluster.job import Job, Pod
from sandbox.cluster.kubelet import Kubelet
from sandbox.cluster.lists import page, selected
from sandbox.cluster.objects import JOBS, QUOTAS, REVIEWS, KubeObject, Resource, Store
from sandbox.cluster.pod_admission import WEBHOOK
from sandbox.cluster.problems import Problem, over_quota
from sandbox.cluster.quantities import canonical
from sandbox.cluster.settings import ClusterSettings


class Call(NamedTuple):
    """One request for a resource."""

    verb: str
    resource: Resource
    namespace: str
    name: str
    sub: str
    query: Mapping[str, str]
    body: dict[str, Any]

    @property
    def what(self) -> str:
        """As the ledger and the list of denied rights name it: create jobs, get pods/log."""
        return f"{self.verb} {self.resource.plural}{self.sub}"


class Answer(NamedTuple):
    """Body, status, what is left of the head."""

    body: bytes
    code: int = 200
    kind: str = "application/json"
    retry_after: int = 0


def answer_json(data: Mapping[str, Any], code: int = 200, retry_after: int = 0) -> Answer:
    return Answer(json.dumps(data, separators=(",", ":")).encode(), code, retry_after=retry_after)


class Handlers:
    """The API's verbs."""

    def __init__(self, settings: ClusterSettings, store: Store, controller: Controller, kubelet: Kubelet) -> None:
        self._settings, self._store, self._controller, self._kubelet = settings, store, controller, kubelet

    def answer(self, call: Call) -> Answer:
        """Do what is asked; Problem if that cannot be."""
        if call.what in self._settings.denied:
            raise Problem(403, "Forbidden", f'forbidden: User "stand-in" cannot {call.what} in "{call.namespace}"')
        if call.verb not in call.resource.verbs.split() or "watch" in call.query or call.sub not in {"", "/log"}:
            raise Problem(405, "MethodNotAllowed", f"{call.what}: not in this stand-in, which is not Kubernetes")
        if call.resource is REVIEWS:
            return self._review(call)
        if call.resource is QUOTAS:
            self._count_quotas(call.namespace)
        if call.verb == "create":
            return self._create(call)
        return self._many(call) if call.verb in {"list", "deletecollection"} else self._one(call)

    def _one(self, call: Call) -> Answer:
        item = self._store.find(call.resource, call.namespace).get(call.name)
        if item is None:
            title = ".".join(filter(None, (call.resource.plural, call.resource.group)))
            raise Problem(404, "NotFound", f'{title} "{call.name}" not found')
        if isinstance(item, Pod) and call.sub:
            return _log(item, call)
        if call.verb == "delete":
            self._drop(item, call)
        return answer_json(call.resource.head | item.to_json())

    def _many(self, call: Call) -> Answer:
        objects = selected(self._store.find(call.resource, call.namespace), call.query)
        if call.verb == "deletecollection":
            for item in objects:
                self._drop(item, call)
            return answer_json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"})
        objects, meta = page(objects, call.query, self._settings.continue_seconds)
        head = call.resource.head | {"kind": f"{call.resource.kind}List", "metadata": meta}
        return answer_json(head | {"items": [item.to_json() for item in objects]})

    def _count_quotas(self, namespace: str) -> None:
        pods = self._controller.pods_in_use(namespace)
        used = {"count/jobs.batch": len(self._store.find(JOBS, namespace)), "pods": pods}
        for quota in self._store.find(QUOTAS, namespace).values():
            hard = quota.body["spec"]["hard"]
            quota.body["status"] = {"hard": hard, "used": {name: canonical(str(used[name])) for name in hard}}

    def _create(self, call: Call) -> Answer:
        if strange := [f'unknown field "{path}"' for path in unknown(call.body)]:
            raise Problem(400, "BadRequest", f"strict decoding error: {', '.join(strange)}")
        body: dict[str, Any] = {key: call.body[key] for key in ("metadata", "spec")}
        fill_in(body, call.namespace)
        name = body["metadata"]["name"]
        if wrong := causes(body):
            raise Problem(422, "Invalid", f'Job.batch "{name}" is invalid: [{", ".join(wrong)}]')
        if denied := self._settings.denies.get("jobs"):
            raise Problem(403, "Forbidden", WEBHOOK.format(denied))
        jobs, limit = self._store.find(JOBS, call.namespace), self._settings.quota_jobs
        if limit is not None and len(jobs) >= limit:
            raise over_quota(f'jobs.batch "{name}"', "count/jobs.batch", len(jobs), limit)
        if name in jobs:
            raise Problem(409, "AlreadyExists", f'jobs.batch "{name}" already exists')
        job = Job(body)
        if call.query.get("dryRun") != "All":
            self._controller.add(job)
        return answer_json(JOBS.head | job.to_json(), 201)

    def _review(self, call: Call) -> Answer:
        asked = call.body["spec"]["resourceAttributes"]
        what = "/".join(filter(None, (f"{asked['verb']} {asked['resource']}", asked.get("subresource"))))
        status = {"allowed": what not in self._settings.denied}
        return answer_json({**REVIEWS.head, "spec": call.body["spec"], "status": status}, 201)

    def _drop(self, item: KubeObject, call: Call) -> None:
        if isinstance(item, Pod):
            self._kubelet.delete(item)
        elif isinstance(item, Job):
            # The real default for batch/v1 is Orphan; a caller that forgets to choose is refused here.
            if "Background" not in {call.query.get("propagationPolicy"), call.body.get("propagationPolicy")}:
                raise Problem(405, "MethodNotAllowed", "this stand-in has only propagationPolicy=Background")
            self._controller.delete(item)


def _log(pod: Pod, call: Call) -> Answer:
    if not pod.started_at:
        raise Problem(400, "BadRequest", f'container in pod "{pod.name}" is waiting to start')
    return Answer(b"".join(pod.log(int(call.query.get("tailLines", 1_000_000)))), kind="text/plain")

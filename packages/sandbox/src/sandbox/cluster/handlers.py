"""What each request does to the objects. Every function here is called with the lock held."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sandbox.cluster import validation
from sandbox.cluster.controller import Controller
from sandbox.cluster.defaults import fill_in, fill_in_spec
from sandbox.cluster.job import Job
from sandbox.cluster.kubelet import Kubelet
from sandbox.cluster.lists import Pages, select
from sandbox.cluster.pod import Pod
from sandbox.cluster.problems import (
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    not_found,
    not_supported,
    status_object,
)
from sandbox.cluster.resources import JOBS, NAMESPACES, QUOTAS, REVIEWS, SECRETS, Resource
from sandbox.cluster.settings import ClusterSettings
from sandbox.cluster.shape import take_unknown
from sandbox.cluster.store import Store, Thing

_USER = 'User "stand-in" cannot'


@dataclass
class Call:
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
        return f"{self.verb} {self.resource.plural}{self.sub and f'/{self.sub}'}"

    def option(self, name: str) -> Any:
        """An option of a deletion, from the query or the body."""
        return self.query.get(name, self.body.get(name))

    @property
    def dry(self) -> bool:
        asked = self.query.get("dryRun") or ",".join(self.body.get("dryRun") or [])
        if asked not in {"", "All"}:
            raise bad_request(f'dryRun: Unsupported value: "{asked}": supported values: "All"')
        return asked == "All"


@dataclass
class Answer:
    """Status, body, headers."""

    body: bytes
    code: int = 200
    kind: str = "application/json"
    warnings: list[str] = field(default_factory=list)


def answer_json(data: Any, code: int = 200) -> Answer:
    return Answer(json.dumps(data, separators=(",", ":")).encode(), code)


class Handlers:
    """The API's verbs."""

    def __init__(self, settings: ClusterSettings, store: Store, controller: Controller, kubelet: Kubelet) -> None:
        self._settings, self._store, self._controller, self._kubelet = settings, store, controller, kubelet
        self._pages = Pages(settings.continue_seconds)
        self._verbs: dict[str, Callable[[Call], Answer]] = {
            "get": self._get,
            "list": self._list,
            "create": self._create,
            "patch": self._patch,
            "delete": self._delete,
            "deletecollection": self._delete_all,
        }

    def answer(self, call: Call) -> Answer:
        """Do what is asked; Problem if that cannot be."""
        if call.what in self._settings.denied:
            where = f'in API group "{call.resource.group}" in the namespace "{call.namespace}"'
            asked = call.what.partition(" ")[2]
            raise forbidden(call.resource, call.name, f'{_USER} {call.verb} resource "{asked}" {where}')
        if call.verb not in call.resource.verbs.split() or call.query.get("watch") in {"true", "1"}:
            raise not_supported(f"{call.verb} {call.resource.title}")
        if call.sub and call.what != "get pods/log":
            raise not_supported(call.what)
        return self._verbs[call.verb](call)

    def _there(self, call: Call) -> Thing:
        thing = self._store.get(call.resource, call.namespace if call.resource.namespaced else "", call.name)
        if thing is None:
            raise not_found(call.resource, call.name)
        if call.resource is QUOTAS:
            self._count_quota(thing)
        return thing

    def _get(self, call: Call) -> Answer:
        thing = self._there(call)
        if call.sub == "log" and isinstance(thing, Pod):
            return self._log(thing, call)
        return Answer(thing.whole())

    def _log(self, pod: Pod, call: Call) -> Answer:
        if not pod.started_at:
            why = f"is waiting to start: {pod.waiting[0]}" if pod.scheduled_at else "does not have a host assigned"
            raise bad_request(f'container "{pod.container["name"]}" in pod "{pod.name}" {why}')
        text = pod.log()
        if "tailLines" in call.query:
            lines = text.splitlines(keepends=True)
            text = b"".join(lines[max(len(lines) - _number(call, "tailLines"), 0) :])
        if "limitBytes" in call.query:
            text = text[: _number(call, "limitBytes")]
        return Answer(text, kind="text/plain")

    def _list(self, call: Call) -> Answer:
        limit = _number(call, "limit")
        if call.query.get("continue"):
            items, meta = self._pages.further(call.query["continue"], limit)
        else:
            things = self._selected(call)
            items, meta = self._pages.first(things, self._store.revision, limit)
        head = {"kind": f"{call.resource.kind}List", "apiVersion": call.resource.version, "metadata": meta}
        text = json.dumps(head, separators=(",", ":"))[:-1].encode()
        return Answer(b'%s,"items":[%s]}' % (text, b",".join(items)))

    def _selected(self, call: Call) -> list[Thing]:
        labels, fields = call.query.get("labelSelector", ""), call.query.get("fieldSelector", "")
        things = select(self._store, call.resource, call.namespace, labels, fields)
        for thing in things if call.resource is QUOTAS else ():
            self._count_quota(thing)
        return things

    def _count_quota(self, quota: Thing) -> None:
        used = {
            "count/jobs.batch": self._store.count(JOBS, quota.namespace),
            "pods": self._controller.pods_in_use.get(quota.namespace, 0),
        }
        hard = quota.body["spec"]["hard"]
        quota.body["status"] = {"hard": hard, "used": {name: str(used[name]) for name in hard}}
        self._store.touch(quota)

    def _create(self, call: Call) -> Answer:
        if call.resource is REVIEWS:
            return self._review(call)
        if self._store.get(NAMESPACES, "", call.namespace) is None:
            raise not_found(NAMESPACES, call.namespace)
        body, warnings = self._decoded(call)
        meta = body["metadata"]
        if not meta.get("name"):
            if not meta.get("generateName"):
                raise invalid(
                    call.resource, "", [("metadata.name", "Required value: name or generateName is required")]
                )
            meta["name"] = meta["generateName"] + self._store.suffix()
        if meta.get("namespace", call.namespace) != call.namespace:
            raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
        thing = self._job(call, body) if call.resource is JOBS else self._plain(call, body)
        there = self._store.get(call.resource, call.namespace, thing.name)
        if there is not None:
            raise already_exists(call.resource, thing.name, deleting=there.deleting)
        if not call.dry:
            if isinstance(thing, Job):
                self._controller.add(thing)
            else:
                self._store.add(thing)
        return Answer(thing.whole(), 201, warnings=warnings)

    def _decoded(self, call: Call) -> tuple[dict[str, Any], list[str]]:
        body, resource = call.body, call.resource
        if body.pop("kind", resource.kind) != resource.kind or body.pop("apiVersion", None) not in {
            None,
            resource.version,
        }:
            raise bad_request(f"the object provided is no {resource.kind} of {resource.version}")
        body["metadata"] = body.get("metadata") or {}
        if resource is not JOBS:
            return body, []
        unknown = [f'unknown field "{path}"' for path in take_unknown(body)]
        asked = call.query.get("fieldValidation") or "Warn"
        if asked not in {"Ignore", "Warn", "Strict"}:
            raise bad_request(f'fieldValidation: Unsupported value: "{asked}"')
        if unknown and asked == "Strict":
            what = f'Job in version "v1" cannot be handled as a Job: strict decoding error: {", ".join(unknown)}'
            raise bad_request(what)
        return body, unknown if asked == "Warn" else []

    def _job(self, call: Call, body: dict[str, Any]) -> Job:
        spec = body["spec"] = body.get("spec") or {}
        spec["template"] = spec.get("template") or {}
        spec["template"]["spec"] = spec["template"].get("spec") or {}
        fill_in(body, call.namespace)
        found = list(validation.causes(body))
        name = body["metadata"]["name"]
        if found:
            raise invalid(JOBS, name, found)
        limit, used = self._settings.quota_jobs, self._store.count(JOBS, call.namespace)
        if limit is not None and used >= limit:
            raise forbidden(JOBS, name, quota_text(used, limit))
        return Job(body)

    def _plain(self, call: Call, body: dict[str, Any]) -> Thing:
        if call.resource is SECRETS:
            given: dict[str, str] = body.pop("stringData", None) or {}
            encoded = {key: base64.b64encode(text.encode()).decode() for key, text in given.items()}
            body["data"] = (body.get("data") or {}) | encoded
        body["metadata"]["namespace"] = call.namespace
        return Thing(call.resource, body)

    def _review(self, call: Call) -> Answer:
        asked = (call.body.get("spec") or {}).get("resourceAttributes") or {}
        sub = asked.get("subresource")
        what = f"{asked.get('verb')} {asked.get('resource')}{f'/{sub}' if sub else ''}"
        allowed = what not in self._settings.denied
        told: dict[str, Any] = {
            "kind": REVIEWS.kind,
            "apiVersion": REVIEWS.version,
            "metadata": {},
            "spec": call.body.get("spec"),
        }
        return answer_json(told | {"status": {"allowed": allowed}}, 201)

    def _patch(self, call: Call) -> Answer:
        """A merge of what can be changed in a Job: its labels, its annotations, and five members of its spec."""
        job = self._there(call)
        changes = {member: call.body[member] or {} for member in ("metadata", "spec") if member in call.body}
        list(take_unknown(changes))  # for the types
        may = {"parallelism", "suspend", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "backoffLimit"}
        wanted = changes.get("spec", {})
        wrong = sorted(set(wanted) - may)
        if wrong or not isinstance(job, Job):
            raise invalid(
                call.resource, call.name, [(f"spec.{name}", "Invalid value: field is immutable") for name in wrong]
            )
        if call.dry:
            return Answer(job.whole())
        self._store.remove(job)  # its labels lead to it
        for member in ("labels", "annotations"):
            merged = (job.meta.get(member) or {}) | (changes.get("metadata", {}).get(member) or {})
            job.meta[member] = {key: value for key, value in merged.items() if value is not None}
        job.spec.update(wanted)
        fill_in_spec(job.spec)
        job.meta["generation"] += 1
        self._controller.add(job)
        return Answer(job.whole())

    def _delete(self, call: Call) -> Answer:
        thing = self._there(call)
        wanted = (call.body.get("preconditions") or {}).get("uid")
        if wanted not in {None, thing.uid}:
            why = f"Precondition failed: UID in precondition: {wanted}, UID in object meta: {thing.uid}"
            raise conflict(call.resource, call.name, why)
        warnings = self._drop(thing, call)
        details = {"name": thing.name, "kind": call.resource.plural, "uid": thing.uid}
        details |= {"group": call.resource.group} if call.resource.group else {}
        answer = answer_json(status_object("Success", details=details)) if _gone(thing) else Answer(thing.whole())
        answer.warnings = warnings
        return answer

    def _delete_all(self, call: Call) -> Answer:
        warnings: list[str] = []
        for thing in self._selected(call):
            warnings = self._drop(thing, call)
        answer = answer_json(status_object("Success", code=200))
        answer.warnings = warnings
        return answer

    def _drop(self, thing: Thing, call: Call) -> list[str]:
        """Delete an object, and say what the API server warns of."""
        if call.dry:
            return []
        grace = call.option("gracePeriodSeconds")
        if isinstance(thing, Pod):
            self._kubelet.delete(thing, None if grace is None else float(grace))
        elif isinstance(thing, Job):
            chosen = call.option("propagationPolicy")
            if chosen not in {None, "Background", "Foreground", "Orphan"}:
                raise bad_request(f'propagationPolicy: Unsupported value: "{chosen}"')
            # The version's own default, kept since the days before garbage collection.
            self._controller.delete(thing, chosen or "Orphan")
            if chosen is None:
                return ["child pods are preserved by default when jobs are deleted; set propagationPolicy=Background"]
        else:
            self._store.remove(thing)
        return []


def quota_text(used: int, limit: int) -> str:
    name = "count/jobs.batch"
    return f"exceeded quota: stand-in, requested: {name}=1, used: {name}={used}, limited: {name}={limit}"


def _gone(thing: Thing) -> bool:
    return thing.gone if isinstance(thing, Job) else not isinstance(thing, Pod)


def _number(call: Call, name: str) -> int:
    text = call.query.get(name) or "0"
    if not text.isdecimal():
        raise bad_request(f"{name}: Invalid value: {text!r}")
    return int(text)

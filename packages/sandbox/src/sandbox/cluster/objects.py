"""Kinds of objects, one object, and the store of all."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class Resource:
    """A kind of object and what can be done with it."""

    group: str
    plural: str
    kind: str
    verbs: str = "get list"

    @property
    def head(self) -> dict[str, Any]:
        """Kind and apiVersion of an object; in a list only the list has them."""
        return {"kind": self.kind, "apiVersion": f"{self.group}/v1" if self.group else "v1"}


JOBS = Resource("batch", "jobs", "Job", "create delete deletecollection get list")
PODS = Resource("", "pods", "Pod", "delete deletecollection get list")
EVENTS = Resource("", "events", "Event")
QUOTAS = Resource("", "resourcequotas", "ResourceQuota")
ACCOUNTS = Resource("", "serviceaccounts", "ServiceAccount")
CONFIG_MAPS = Resource("", "configmaps", "ConfigMap")
SECRETS = Resource("", "secrets", "Secret")
REVIEWS = Resource("authorization.k8s.io", "selfsubjectaccessreviews", "SelfSubjectAccessReview", "create")
RESOURCES = (JOBS, PODS, EVENTS, QUOTAS, ACCOUNTS, CONFIG_MAPS, SECRETS, REVIEWS)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def suffix() -> str:
    return uuid.uuid4().hex[:5]


class KubeObject:
    """One object. `body` is as requested, without kind and apiVersion."""

    def __init__(self, resource: Resource, body: dict[str, Any]) -> None:
        self.resource, self.body = resource, body
        self.meta: dict[str, Any] = {"uid": str(uuid.uuid4()), **body["metadata"], "creationTimestamp": now()}
        body["metadata"] = self.meta
        self.name, self.namespace, self.uid = (str(self.meta[key]) for key in ("name", "namespace", "uid"))
        self.labels: dict[str, str] = self.meta.get("labels") or {}

    def to_json(self) -> dict[str, Any]:
        """The object as it is now, with its status."""
        return self.body


class Store:
    """All objects. Not locked: callers hold the cluster's lock."""

    def __init__(self) -> None:
        self._objects: defaultdict[tuple[Resource, str], dict[str, KubeObject]] = defaultdict(dict)

    def find(self, resource: Resource, namespace: str) -> dict[str, KubeObject]:
        """The objects of a kind in a namespace, by name."""
        return self._objects[resource, namespace]

    def add(self, item: KubeObject) -> None:
        self.find(item.resource, item.namespace)[item.name] = item

    def note(self, about: KubeObject, reason: str, message: str, kind: str = "Normal") -> None:
        """Keep an event."""
        meta = {"name": f"{about.name}.{suffix()}{suffix()}", "namespace": about.namespace}
        involved = {**about.resource.head, "name": about.name, "namespace": about.namespace, "uid": about.uid}
        event: dict[str, Any] = {"type": kind, "reason": reason, "message": message, "count": 1}
        event |= {"firstTimestamp": now(), "lastTimestamp": now()}
        self.add(KubeObject(EVENTS, {"metadata": meta, "involvedObject": involved, **event}))

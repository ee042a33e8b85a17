"""The objects: found by name and by label without looking at the others, their JSON kept until they change."""

from __future__ import annotations

import json
import random
import uuid
from collections import OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sandbox.cluster.resources import EVENTS, Resource

_EVENTS_KEPT = 20_000  # the oldest go first; etcd keeps them for an hour
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # what Kubernetes makes suffixes of: no words


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Thing:
    """One object. `body` has all members but kind and apiVersion, which lists leave out."""

    def __init__(self, resource: Resource, body: dict[str, Any]) -> None:
        self.resource, self.body = resource, body
        self.meta: dict[str, Any] = body["metadata"]
        self.name, self.namespace = str(self.meta["name"]), str(self.meta.get("namespace", ""))
        self.uid = str(self.meta.setdefault("uid", str(uuid.uuid4())))
        self.meta.setdefault("creationTimestamp", now())
        self._json: bytes | None = None

    @property
    def labels(self) -> dict[str, str]:
        found: dict[str, str] = self.meta.get("labels") or {}
        return found

    @property
    def deleting(self) -> bool:
        return "deletionTimestamp" in self.meta

    def render(self) -> None:
        """Bring `body` up to date before somebody reads it."""

    def changed(self, revision: int) -> None:
        self.meta["resourceVersion"] = str(revision)
        self._json = None

    def item(self) -> bytes:
        """As it stands in a list."""
        if self._json is None:
            self.render()
            self._json = json.dumps(self.body, separators=(",", ":")).encode()
        return self._json

    def whole(self) -> bytes:
        """As it is answered alone."""
        head = json.dumps({"kind": self.resource.kind, "apiVersion": self.resource.version}, separators=(",", ":"))
        return head[:-1].encode() + b"," + self.item()[1:]


class Store:
    """All objects. Not locked: whoever calls holds the cluster's lock."""

    def __init__(self, seed: int) -> None:
        self.revision = 1
        self._random = random.Random(f"names/{seed}")
        self._events: OrderedDict[tuple[str, str], Thing] = OrderedDict()  # forgets its first without a search
        self._things: dict[str, dict[tuple[str, str], Thing]] = {EVENTS.plural: self._events}
        self._labelled: dict[tuple[str, str, str], dict[tuple[str, str], Thing]] = {}

    def suffix(self) -> str:
        return "".join(self._random.choices(_LETTERS, k=5))

    def get(self, resource: Resource, namespace: str, name: str) -> Thing | None:
        return self._things.get(resource.plural, {}).get((namespace, name))

    def add(self, thing: Thing) -> None:
        self._things.setdefault(thing.resource.plural, {})[thing.namespace, thing.name] = thing
        for key, value in thing.labels.items():
            self._labelled.setdefault((thing.resource.plural, key, value), {})[thing.namespace, thing.name] = thing
        self.touch(thing)

    def remove(self, thing: Thing) -> None:
        self.revision += 1
        self._things[thing.resource.plural].pop((thing.namespace, thing.name), None)
        for key, value in thing.labels.items():
            bearers = self._labelled.get((thing.resource.plural, key, value), {})
            bearers.pop((thing.namespace, thing.name), None)
            if not bearers:
                self._labelled.pop((thing.resource.plural, key, value), None)

    def touch(self, thing: Thing) -> None:
        """An object has changed."""
        self.revision += 1
        thing.changed(self.revision)

    def find(self, resource: Resource, namespace: str, equal: Iterable[tuple[str, str]] = ()) -> list[Thing]:
        """The objects of a namespace, or of all for "", in order; `equal` are labels they must have."""
        sets = [self._labelled.get((resource.plural, key, value), {}) for key, value in equal]
        few = min(sets, key=len, default=self._things.get(resource.plural, {}))
        return [
            few[at]
            for at in sorted(few)
            if (not namespace or at[0] == namespace) and all(at in bearers for bearers in sets)
        ]

    def count(self, resource: Resource, namespace: str) -> int:
        return sum(at[0] == namespace for at in self._things.get(resource.plural, {}))

    def event(self, about: Thing, kind: str, reason: str, message: str) -> None:
        """Note an event; one that repeats itself is counted, not kept twice."""
        source = "job-controller" if about.resource.kind == "Job" else "kubelet"
        name = f"{about.name}.{uuid.uuid5(uuid.NAMESPACE_OID, f'{about.uid}/{reason}/{message}').hex[:16]}"
        events = self._events
        event = events.get((about.namespace, name))
        if event is None:
            involved = {"kind": about.resource.kind, "apiVersion": about.resource.version, "name": about.name}
            involved |= {"namespace": about.namespace, "uid": about.uid}
            body: dict[str, Any] = {
                "metadata": {"name": name, "namespace": about.namespace},
                "involvedObject": involved,
            }
            body |= {"type": kind, "reason": reason, "message": message, "firstTimestamp": now(), "count": 0}
            event = Thing(EVENTS, body | {"source": {"component": source}})
            if len(events) >= _EVENTS_KEPT:
                events.popitem(last=False)
            self.add(event)
        event.body |= {"count": event.body["count"] + 1, "lastTimestamp": now()}
        self.touch(event)

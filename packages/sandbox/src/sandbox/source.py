"""The whole site behind one method: edge, catalogue, datastore, entities, script."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sandbox.catalogue import script
from sandbox.columns import load_json
from sandbox.datastore import Datastore
from sandbox.edge import ANSWERS, Copies, denied
from sandbox.errors import ApiError
from sandbox.faults import Faults, Luck
from sandbox.ledger import Ledger
from sandbox.payload import php_arrays, read_json
from sandbox.reply import Reply, body_reply, json_reply
from sandbox.settings import Settings
from sandbox.world import World


@dataclass(frozen=True)
class Request:
    """One request as it was read; `target` is the path with its query, byte for byte."""

    method: str
    target: str
    body: bytes
    user_agent: str

    @property
    def path(self) -> list[str]:
        """The path's segments."""
        return [part for part in self.target.partition("?")[0].split("/") if part]

    @property
    def query_string(self) -> str:
        return self.target.partition("?")[2]


class Source:
    """The simulated site and its present condition."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.world = World(settings)
        self.faults = Faults(settings.seed)
        self.ledger = Ledger()
        self.copies = Copies()
        self._datastore = Datastore(self.world)
        self._lock = threading.Lock()

    def switch(self, **changes: Any) -> None:
        """Change run-time settings."""
        with self._lock:
            self.settings = self.settings.switched(changes)

    def answer(self, request: Request, luck: Luck) -> Reply:
        """The answer to a request, up to its body's first byte."""
        settings = self.settings
        if any(word.lower() in request.user_agent.lower() for word in settings.blocked_agents):
            return denied()
        if request.method == "GET" and (copy := self.copies.find(request.target)):
            return copy
        delay = settings.latency_seconds
        if fault := luck.meet("edge"):
            if fault.name in ANSWERS:
                return ANSWERS[fault.name](fault)
            if fault.name == "slow_start":
                delay += fault.param("seconds", 1.0)
            else:
                self.world.republish(**{"year": max(self.world.releases), **fault.params})
        try:
            reply = self._route(settings, request, luck)
        except ApiError as problem:
            body = problem.body(datetime.now(UTC).isoformat(timespec="seconds"))
            reply = json_reply(body, problem.status, headers=problem.headers)
        paid = reply.cost.skipped * settings.seconds_per_million_skipped
        paid += reply.cost.scanned * settings.seconds_per_million_scanned
        paid += reply.cost.sorted * settings.seconds_per_million_sorted
        reply.delay = delay + paid / 1e6
        return reply

    def _route(self, settings: Settings, request: Request, luck: Luck) -> Reply:
        get = request.method == "GET"
        match request.path:
            case ["api", "1", "datastore", "query", *target] if len(target) <= 3:
                download = target[-1:] == ["download"]
                payload = php_arrays(request.query_string) if get else read_json(request.body)
                target = target[: len(target) - download]
                return self._datastore.answer(settings, target, payload, luck, download=download)
            case ["api", "1", "metastore", "schemas", schema, "items", *identifier] if get:
                return self._metastore(schema, identifier, request.query_string)
            case ["api", "1", "entities", "companies", company] if get:
                return self._company(company)
            case ["frontend", "build", "static", "js", "index.js"] if get:
                return body_reply(script(settings).encode(), "application/javascript")
        raise ApiError(f'No route found for "{request.method} /{"/".join(request.path)}"', 404)

    def _metastore(self, schema: str, identifier: list[str], query_string: str) -> Reply:
        dictionary = load_json("dictionary.json")
        if schema == "data-dictionary" and identifier == [dictionary["identifier"]]:
            data = {"title": dictionary["title"], "fields": dictionary["fields"]}
            return json_reply({"identifier": dictionary["identifier"], "data": data})
        # Any value switches the reference ids on, even "false" (facts 1.8).
        with_ids = bool({"show-reference-ids", "show_reference_ids"} & php_arrays(query_string).keys())
        entries = self.world.entries() if schema == "dataset" else []
        chosen = [entry for entry in entries if identifier in ([], [entry.dataset_id])]
        if identifier and not chosen:
            raise ApiError(f"Error retrieving metadata: {schema} {identifier[0]} not found.", 404)
        items = [entry.item(self.settings, reference_ids=with_ids) for entry in chosen]
        return json_reply(items[0] if identifier else items)

    def _company(self, company: str) -> Reply:
        """The company page's numbers; only two of its members are known (facts 2.4)."""
        years = self.world.transactions(company)
        if years is None:
            raise ApiError(f"Entity {company} not found.", 404)
        summary = [{"programYear": str(year), "generalTransactions": count} for year, count in sorted(years.items())]
        latest = str(max(years, default=max(self.settings.years)))
        return json_reply({"summaryByAvailableYear": summary, "currentFilters": {"year": latest}})

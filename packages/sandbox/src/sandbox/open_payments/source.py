"""The whole site behind one method: edge, catalogue, datastore, entities, script."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from sandbox.faults import FaultDraw, Faults
from sandbox.open_payments.catalogue import script
from sandbox.open_payments.datastore import Datastore
from sandbox.open_payments.edge import BLOCKED_AGENTS, answer_to, denied
from sandbox.open_payments.errors import ApiError, not_simulated
from sandbox.open_payments.ledger import Ledger
from sandbox.open_payments.payload import payload, php_arrays
from sandbox.open_payments.query_schema import query_schema
from sandbox.open_payments.reply import Data, End, Reply, body_reply, json_reply
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.world import World

# The stage of a request at which each fault applies. A request that does not get there is spared.
_FAULTS = {
    "edge": "http_500 http_502 http_503 http_504 http_429 waf_403 waf_200 slow_start republish",
    "conditions": "conditions_ignored",
    "count": "wrong_count",
    "header": "header_drift text_line",
    "body": "cut_body short_body short_rows error_row repeated_row foreign_row cached_bad json_garbage reset "
    "stall drip",
}
STAGES = {name: stage for stage, names in _FAULTS.items() for name in names.split()}


class Source:
    """The simulated site and its state."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.url = ""  # where it is served
        self.world = World(settings)
        self.faults = Faults(settings.seed, STAGES)
        self.ledger = Ledger()
        self._copies: dict[str, tuple[Reply, float, float]] = {}  # the CDN's, by URL: stored at, kept until
        self._datastore = Datastore(self.world)
        self._lock = threading.Lock()

    def switch(self, **changes: Any) -> None:
        """Change run-time settings."""
        with self._lock:
            self.settings = self.world.settings = self.settings.switched(changes)

    def answer(self, method: str, target: str, user_agent: str, draw: FaultDraw, body: bytes = b"") -> Reply:
        """The answer to a request, up to its body's first byte; `target` is the path with its query as it came."""
        settings = self.settings
        if any(word in user_agent.lower() for word in BLOCKED_AGENTS):
            return denied()
        copy, stored, until = self._copies.get(target, (None, 0.0, 0.0))
        if copy is not None and method == "GET" and monotonic() < until:
            return replace(copy, headers=(*copy.headers, ("Age", f"{monotonic() - stored:.0f}")))
        delay = settings.latency_seconds
        if fault := draw.take("edge"):
            if fault.name == "slow_start":
                delay += fault.param("seconds", 1.0)
            elif fault.name == "republish":
                self.world.republish(**{"year": max(settings.years), **fault.params})
            else:
                return answer_to(fault)
        try:
            reply = self._route(settings, method, target, draw, body)
        except ApiError as problem:
            error = {"message": str(problem), "status": problem.status}
            error |= {"timestamp": datetime.now(UTC).isoformat(timespec="seconds"), **problem.data}
            reply = json_reply(error, problem.status, headers=problem.headers)
        for name, rows in reply.cost.items():
            delay += getattr(settings, name.replace("rows", "seconds_per_million")) * rows / 1e6
        reply.delay = delay
        seconds = reply.keep_seconds or settings.cache_seconds
        if seconds and reply.status == 200 and method == "GET":
            self._keep(target, reply, seconds)
        return reply

    def _keep(self, target: str, reply: Reply, seconds: float) -> None:
        """Store a copy of an answer, unless it will be broken off; it is made as a whole for that."""
        reply.chunks = chunks = list(reply.chunks)
        parts = [chunk for chunk in chunks if isinstance(chunk, Data)]
        whole = Data(b"".join(part.body for part in parts), sum(part.rows for part in parts))
        if not any(isinstance(chunk, End) for chunk in chunks):
            copy = Reply(reply.status, reply.headers, [whole], reply.length, cached=True)
            self._copies[target] = copy, monotonic(), monotonic() + seconds

    def _route(self, settings: Settings, method: str, target: str, draw: FaultDraw, body: bytes) -> Reply:
        address = urlsplit(target)
        match [method, *filter(None, address.path.split("/"))]:
            case ["GET", "api", "1", "datastore", "query", "schema"]:
                return json_reply(query_schema(settings.dialect, settings.rows_limit))
            case ["GET" | "POST", "api", "1", "datastore", "query", *path] if _is_query(path):
                asked = payload(method, address.query, body, settings.dialect)
                return self._datastore.answer(settings, path, asked, draw)
            case ["GET", "api", "1", "metastore", "schemas", "dataset", "items", *identifier] if len(identifier) < 2:
                return self._items(settings, address.query, *identifier)
            case ["GET", "api", "1", "entities", "companies", company]:
                return self._company(company)
            case ["GET", "openpayments", _, _]:
                return self._datastore.file(settings, address.path)
            case ["GET", "frontend", "build", "static", "js", "index.js"]:
                return body_reply(script(settings).encode(), "application/javascript")
        raise not_simulated(f"{method} {address.path}")

    def _items(self, settings: Settings, query: str, identifier: str | None = None) -> Reply:
        """The catalogue, or one dataset of it."""
        references = not {"show-reference-ids", "show_reference_ids"}.isdisjoint(php_arrays(query))
        shown = [entry for entry in self.world.entries() if identifier in {None, entry.dataset_id}]
        items = [entry.item(settings, self.url, references=references) for entry in shown]
        if identifier is None:
            return json_reply(items)
        if not items:
            raise ApiError(f"Error retrieving metadata: dataset {identifier} not found.", 404)
        return json_reply(items[0])

    def _company(self, company: str) -> Reply:
        """The company page's numbers; only two of its members are known (facts 2.4)."""
        years = self.world.transactions(company)
        if years is None:
            raise ApiError(f"Entity {company} not found.", 404)
        summary = [{"programYear": str(year), "generalTransactions": count} for year, count in sorted(years.items())]
        latest = str(max(years, default=max(self.settings.years)))
        return json_reply({"summaryByAvailableYear": summary, "currentFilters": {"year": latest}})


def _is_query(path: Sequence[str]) -> bool:
    """Whether a path after `/query` is one of its routes: an id, or two, or none, and then perhaps `download`."""
    return len(path) < (4 if path[-1:] == ["download"] else 3)

"""The API over HTTP, with what a fault does to an answer, and a ledger of what was asked."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Self, cast
from urllib.parse import parse_qs, urlsplit

from sandbox.crm.settings import CrmSettings
from sandbox.crm.world import Record, World
from sandbox.faults import Fault, FaultDraw, Faults
from sandbox.http import Connection, LoopbackServer

PATH = "/api/v1/customers"
# The stage of a request at which each fault applies.
_FAULTS = {
    "edge": "http_401 http_403 http_404 http_429 http_500 http_502 http_503 redirect reset silence inserted deleted",
    "page": "short_page empty_page repeated_page wrong_page moved_rows shuffled lowered",
    "body": "no_total no_pages odd_total json_garbage cut_body html_page not_objects",
}
STAGES = {name: stage for stage, names in _FAULTS.items() for name in names.split()}


class Crm:
    """A CRM that listens from its construction until ``close``, or for the length of a ``with`` block."""

    def __init__(self, settings: CrmSettings | None = None) -> None:
        self.settings = settings or CrmSettings()
        self.world = World(self.settings)
        self.faults = Faults(self.settings.seed, STAGES)
        self.fault = self.faults.add
        self.clear_faults = self.faults.clear
        self.truth = self.world.truth
        self.token = self.settings.token
        self.stopping = threading.Event()
        self._entries: list[dict[str, Any]] = []
        self._server = _Server(self)
        self.url = self._server.url
        self._server.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; what waits ends."""
        self.stopping.set()
        self._server.close()

    def ledger(self) -> list[dict[str, Any]]:
        """The requests for pages so far: page, per_page, status, fault, and whether a token was sent."""
        return list(self._entries)

    def clear_ledger(self) -> None:
        """Forget them."""
        self._entries.clear()

    def note(self, **entry: Any) -> None:
        """Add to the ledger."""
        self._entries.append(entry)

    def page(self, number: int, per_page: int, draw: FaultDraw) -> dict[str, Any]:
        """The answer to a page, with what a fault does to it."""
        fault = draw.take("page")
        size = min(per_page, self.settings.largest_page)
        if fault and fault.name == "lowered":
            size = max(1, min(size, fault.param("per_page", 10)))
        shown = number - (1 if fault and fault.name in ("repeated_page", "wrong_page") and number > 1 else 0)
        start = (shown - 1) * size + (size // 2 if fault and fault.name == "moved_rows" else 0)
        rows = _harmed(self.world.rows(start, start + size), fault, draw.random)
        said: dict[str, Any] = {"page": shown if fault and fault.name == "wrong_page" else number, "per_page": size}
        if self.settings.states_pages:
            said["total_pages"] = max(1, -(-self.world.places // size))
        if self.settings.states_total:
            said["total"] = self.world.total
        return {"data": rows, "metadata": said}


def _harmed(rows: list[Record], fault: Fault | None, chance: random.Random) -> list[Record]:
    if fault is None or not rows:
        return rows
    if fault.name == "short_page":
        return rows[: chance.randrange(len(rows))]
    if fault.name == "empty_page":
        return []
    if fault.name == "shuffled":
        return chance.sample(rows, len(rows))
    return rows


class _Server(LoopbackServer):
    def __init__(self, crm: Crm) -> None:
        self.crm = crm
        super().__init__(crm.settings.port, _Handler)


class _Handler(Connection):
    server_version, sys_version = "crm", ""
    _draw: FaultDraw | None = None

    def respond(self, body: bytes) -> None:
        crm = self._crm = cast("_Server", self.server).crm
        address = urlsplit(self.path)
        if address.path.startswith("/_sandbox/"):
            self._draw = None
            self._control(address.path.removeprefix("/_sandbox/"), body)
            return
        crm.stopping.wait(crm.settings.latency_seconds)
        asked = {name: values[-1] for name, values in parse_qs(address.query).items()}
        self._asked = {name: int(text) if text.isdecimal() else 0 for name, text in asked.items()}
        self._draw = draw = FaultDraw(crm.faults, self.path)
        self._answer(address.path, draw)

    def _answer(self, path: str, draw: FaultDraw) -> None:
        """Answer one request for a page."""
        crm = self._crm
        if self.headers.get("Authorization") != f"Bearer {crm.token}":
            return self._send(401, _problem("invalid or expired token"))
        if fault := draw.take("edge"):
            happens = {"inserted": crm.world.insert, "deleted": crm.world.delete}.get(fault.name)
            if happens is None:
                return self._fail(fault)
            happens()
        number, per_page = self._asked.get("page", 1), self._asked.get("per_page", 100)
        if path != PATH:
            return self._send(404, _problem("no such resource"))
        if not (number and per_page):
            return self._send(422, _problem("page and per_page are numbers from 1"))
        return self._send_page(crm.page(number, per_page, draw), draw.take("body"))

    def _send_page(self, answer: dict[str, Any], fault: Fault | None) -> None:
        name = fault.name if fault else ""
        if name in ("no_total", "no_pages"):
            answer["metadata"].pop("total" if name == "no_total" else "total_pages", None)
        if name == "odd_total":
            answer["metadata"]["total"] = "many"
        if name == "not_objects":
            answer["data"] = [*answer["data"], "null"]
        if name == "html_page":
            return self._send(200, b"<html><body>Scheduled maintenance</body></html>", content_type="text/html")
        raw = json.dumps(answer).encode()
        if name == "json_garbage":
            return self._send(200, raw[: len(raw) // 2])
        return self._send(200, raw, cut=name == "cut_body")

    def _fail(self, fault: Fault) -> None:
        if fault.name in ("reset", "silence"):
            self._note(0)
            self._crm.stopping.wait(fault.param("seconds", 60.0) if fault.name == "silence" else 0)
            self.close_connection = True
            return None
        if fault.name == "redirect":
            return self._send(302, b"", headers={"Location": fault.param("to", "/") + self.path})
        status = int(fault.name[-3:])
        headers = {}
        if "retry_after" in fault.params:
            headers["Retry-After"] = f"{fault.param('retry_after', 1.0):g}"
        told = self.headers.get("Authorization", "") if fault.param("repeats_token", default=False) else ""
        return self._send(status, _problem(f"{HTTPStatus(status).phrase} {told}".strip()), headers=headers)

    def _send(
        self,
        status: int,
        raw: bytes,
        *,
        headers: dict[str, str] | None = None,
        content_type: str = "application/json",
        cut: bool = False,
    ) -> None:
        """Head and body. The ledger is complete before the last bytes leave: a client can rely on it."""
        self._note(status)
        self.send_response(status)
        for name, value in {"Content-Type": content_type, **(headers or {}), "Content-Length": str(len(raw))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if cut else raw)
        self.close_connection = self.close_connection or cut

    def _note(self, status: int) -> None:
        """Control requests leave no trace."""
        if self._draw is not None:
            page = {name: self._asked.get(name, 0) for name in ("page", "per_page")}
            fault, has_token = self._draw.fault, "Authorization" in self.headers
            self._crm.note(**page, status=status, fault=fault and fault.name, has_token=has_token)

    def _control(self, name: str, body: bytes) -> None:
        crm = self._crm
        given = json.loads(body or b"{}")
        actions: dict[str, Callable[[], Any]] = {
            "GET truth": lambda: crm.truth(records=True),
            "GET ledger": crm.ledger,
            "GET faults": crm.faults.listed,
            "POST faults": lambda: crm.fault(**given),
            "DELETE faults": crm.clear_faults,
            "GET settings": lambda: asdict(crm.settings),
        }
        action = actions.get(f"{self.command} {name}")
        if action is None:
            self._send(404, _problem(f"no such control; there are: {', '.join(actions)}"))
            return
        try:
            self._send(200, json.dumps(action()).encode())
        except (TypeError, ValueError) as problem:
            self._send(400, _problem(str(problem)))


def _problem(message: str) -> bytes:
    return json.dumps({"message": message}).encode()

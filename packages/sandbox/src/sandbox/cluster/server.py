"""From a request to its handler, with the faults on the way, and the count of calls."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from sandbox.cluster.handlers import Answer, Call, Handlers, answer_json
from sandbox.cluster.loop import Loop
from sandbox.cluster.objects import RESOURCES, REVIEWS
from sandbox.cluster.problems import EXPIRED, Problem, over_quota
from sandbox.faults import FaultDraw, Faults
from sandbox.http import Connection, LoopbackServer

_REFUSALS = {
    "http_409": (409, "Conflict", "the object has been modified; please apply your changes to the latest version"),
    "http_410": EXPIRED,
    "http_429": (429, "TooManyRequests", "too many requests, please try again later"),
    "http_500": (500, "InternalError", "Internal error occurred: etcdserver: request timed out"),
    "webhook_500": (
        500,
        "InternalError",
        'Internal error occurred: failed calling webhook "policy.stand-in": context deadline exceeded',
    ),
    "http_503": (503, "ServiceUnavailable", "the server is currently unable to handle the request"),
}
STAGES = {**dict.fromkeys((*_REFUSALS, "quota_403", "reset"), "edge"), "lost_answer": "answer"}
_VERBS = {"GET": ("get", "list"), "POST": ("create", "create"), "DELETE": ("delete", "deletecollection")}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v1/(?:namespaces/(?P<namespace>[^/]+)/)?(?P<plural>[^/]+)"
    r"(?:/(?P<name>[^/]+)(?P<sub>/[^/]+)?)?"
)


class Api:
    """From a request line and a body to an answer."""

    def __init__(self, handlers: Handlers, loop: Loop, faults: Faults, minor_version: int) -> None:
        self._handlers, self._loop, self._faults, self._minor = handlers, loop, faults, str(minor_version)
        self.calls: Counter[str] = Counter()

    def answer(self, method: str, target: str, body: bytes) -> Answer | None:
        """The answer to a request; None if a fault keeps it back."""
        if target == "/version":
            return answer_json({"major": "1", "minor": self._minor, "gitVersion": f"v1.{self._minor}.0-stand-in"})
        with self._loop.lock:
            try:
                return self._answer(_call(method, target, body), f"{method} {target}")
            except Problem as problem:
                return answer_json(problem.status, problem.code, problem.retry_after)
            except Exception as error:  # noqa: BLE001 - a bug of ours is an answer, too
                self._loop.note_bug()
                return answer_json(Problem(500, "InternalError", f"bug in the stand-in: {error!r}").status, 500)

    def _answer(self, call: Call, line: str) -> Answer | None:
        self.calls[call.what] += 1
        name = call.name or call.body.get("metadata", {}).get("name", "")
        draw = FaultDraw(self._faults, f"{call.what} {line} {name}")
        fault = draw.take("edge", lambda fault: fault.name != "quota_403" or call.what == "create jobs")
        if fault is None:
            answer = self._handlers.answer(call)
            return None if draw.take("answer") else answer
        if fault.name == "quota_403":
            raise over_quota(f'jobs.batch "{name}"', "count/jobs.batch", 10, 10)
        if fault.name in _REFUSALS:
            wait = fault.param("retry_after", 1) if fault.name == "http_429" else 0
            raise Problem(*_REFUSALS[fault.name], retry_after=wait)
        return None


def _call(method: str, target: str, body: bytes) -> Call:
    """The call that a request makes; Problem if there is no such resource."""
    address = urlsplit(target)
    found = _PATH.fullmatch(address.path)
    group, namespace, plural, name, sub = found.groups(default="") if found else [""] * 5
    for resource in RESOURCES:
        if (resource.group, resource.plural) == (group, plural) and (resource is REVIEWS) != bool(namespace):
            verb, query = _VERBS[method][0 if name else 1], dict(parse_qsl(address.query))
            return Call(verb, resource, namespace, name, sub, query, json.loads(body or b"{}"))
    raise Problem(404, "NotFound", "the server could not find the requested resource")


class Server(LoopbackServer):
    """Serves the API on loopback until it is closed."""

    def __init__(self, api: Api, port: int) -> None:
        self.api = api
        super().__init__(port, Handler)


class Handler(Connection):
    """One connection."""

    wbufsize = -1  # head and body leave together

    def respond(self, body: bytes) -> None:
        answer = cast("Server", self.server).api.answer(self.command, self.path, body)
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.retry_after:
            self.send_header("Retry-After", str(answer.retry_after))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

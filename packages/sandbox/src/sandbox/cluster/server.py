"""HTTP/1.1 over threads: a request's way to its handler, the faults that it meets on it, the ledger."""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from sandbox.cluster.handlers import Answer, Call, Handlers, answer_json, quota_text
from sandbox.cluster.loop import Loop
from sandbox.cluster.problems import Problem, bad_request, conflict, expired, forbidden
from sandbox.cluster.resources import JOBS, QUOTAS, RESOURCES, discovery
from sandbox.faults import Fault, Faults, Luck

_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)
_LARGEST_BODY = 3 * 1024 * 1024  # of the API server; etcd takes half of that
_IDLE_SECONDS = 300
STAGES = {
    **dict.fromkeys(("http_409", "http_410", "http_429", "http_500", "http_503", "quota_403", "reset"), "edge"),
    "lost_answer": "answer",
}
_VERBS = {"GET": ("get", "list"), "POST": ("create", "create"), "DELETE": ("delete", "deletecollection")}


class Dropped(Exception):
    """The connection is to be closed without an answer."""


class Api:
    """From a request line and a body to an answer."""

    def __init__(self, handlers: Handlers, loop: Loop, faults: Faults, minor_version: int) -> None:
        self._handlers, self._loop, self._faults, self._minor = handlers, loop, faults, minor_version
        self.calls: Counter[str] = Counter()

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """The answer to a request; Dropped if a fault keeps it back."""
        address = urlsplit(target)
        fixed = self._fixed(address.path.rstrip("/"))
        if method == "GET" and fixed is not None:
            return fixed
        call = _call(method, address.path, dict(parse_qsl(address.query)), body)
        if call is None:
            raise Problem(404, "NotFound", "the server could not find the requested resource")
        with self._loop.lock:
            self.calls[call.what] += 1
        name = call.name or str((call.body.get("metadata") or {}).get("name", ""))
        luck = Luck(self._faults, f"{call.what} {method} {target} {name}")
        fault = luck.meet("edge", lambda fault: fault.name != "quota_403" or call.what == "create jobs")
        if fault is not None:
            raise _refusal(fault, call, name)
        with self._loop.lock:
            answer = self._handlers.answer(call)
        if luck.meet("answer") is not None:
            raise Dropped
        return answer

    def _fixed(self, path: str) -> Answer | None:
        if path in {"/readyz", "/livez", "/healthz"}:
            return Answer(b"ok", kind="text/plain")
        if path == "/version":
            minor = str(self._minor)
            return answer_json({"major": "1", "minor": minor, "gitVersion": f"v1.{minor}.0-stand-in"})
        found = discovery(path)
        return None if found is None else answer_json(found)


def _call(method: str, path: str, query: dict[str, str], body: bytes) -> Call | None:
    """What a request asks for, if it is anything that is here."""
    parts = path.strip("/").split("/")
    prefix, group, rest = parts[:1], "", parts[2:]
    if prefix == ["apis"]:
        group, rest = "".join(parts[1:2]), parts[3:]
    version = parts[len(parts) - len(rest) - 1 :][:1]
    if prefix not in (["api"], ["apis"]) or version != ["v1"]:
        return None
    namespace = ""
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    plural, name, sub = [*rest, "", "", ""][:3]
    resource = RESOURCES.get((group, plural))
    if resource is None or len(rest) > 3 or (resource.namespaced and not namespace and (name or method == "POST")):
        return None
    verb = {"PATCH": "patch"}.get(method) or _VERBS[method][0 if name else 1]
    try:
        given = json.loads(body or b"{}")
    except ValueError as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {error}") from None
    if not isinstance(given, dict):
        raise bad_request("the object provided is unrecognized: it is no JSON object")
    return Call(verb, resource, namespace, name, sub, query, given)


def _refusal(fault: Fault, call: Call, name: str) -> Exception:
    if fault.name == "reset":
        return Dropped()
    if fault.name == "quota_403":
        return forbidden(JOBS, name, quota_text(10, 10))
    if fault.name == "http_409":
        return conflict(
            QUOTAS, "stand-in", "the object has been modified; please apply your changes to the latest version"
        )
    if fault.name == "http_410":
        return expired()
    if fault.name == "http_429":
        wait = fault.param("retry_after", 1)
        return Problem(429, "TooManyRequests", "too many requests, please try again later", retry_after=wait)
    if fault.name == "http_500":
        return Problem(500, "InternalError", "Internal error occurred: etcdserver: request timed out")
    why = f"the server is currently unable to handle the request ({call.what})"
    return Problem(503, "ServiceUnavailable", why)


class Server(ThreadingHTTPServer):
    """Serves the API on loopback until it is told to stop."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int, api: Api, loop: Loop) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.api, self.loop = api, loop
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one that is dropped without the orderly shutdown, which would send a FIN first."""
        self._open.discard(request)
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_CLOSE_WITH_RESET)) == _CLOSE_WITH_RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS
    wbufsize = -1  # head and body leave together

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing goes to stderr: `calls` is the log."""

    def _serve(self) -> None:
        server = cast("Server", self.server)
        length = int(self.headers.get("Content-Length") or 0)
        wait: int | None = None
        try:
            if length > _LARGEST_BODY:
                self.close_connection = True
                raise Problem(413, "RequestEntityTooLarge", "limit is 3145728")
            answer = server.api.answer(self.command, self.path, self.rfile.read(length))
        except Dropped:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
            self.close_connection = True
            return
        except Problem as problem:
            answer, wait = answer_json(problem.status, problem.code), problem.retry_after
        except Exception as error:  # noqa: BLE001 - a bug of ours is an answer, too
            server.loop.note_bug()
            answer = answer_json(Problem(500, "InternalError", f"bug in the stand-in: {error!r}").status, 500)
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        if wait is not None:
            self.send_header("Retry-After", str(wait))
        for text in answer.warnings:
            self.send_header("Warning", f'299 - "{text.replace(chr(34), chr(92) + chr(34))}"')
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()

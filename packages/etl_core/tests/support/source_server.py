"""A real HTTP server in a thread on loopback that answers as told and remembers what it was asked."""

from __future__ import annotations

import gzip
import json
import socket
import struct
import threading
from collections import deque
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Behaviour = Callable[["Handler"], None]


@dataclass(frozen=True)
class Asked:
    """One request; ``connection`` numbers the TCP connections in the order they were made."""

    path: str
    params: list[tuple[str, str]]
    headers: dict[str, str]
    connection: int
    method: str = "GET"
    body: bytes = b""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: SourceServer

    def setup(self) -> None:
        super().setup()
        self.number = self.server.next_connection()

    def do_GET(self) -> None:
        self._behave()

    def do_PUT(self) -> None:
        self._behave()

    def do_HEAD(self) -> None:
        self._behave()

    def do_DELETE(self) -> None:
        self._behave()

    def _behave(self) -> None:
        parts = urlsplit(self.path)
        params = parse_qsl(parts.query, keep_blank_values=True)
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.rfile.read(int(headers.get("content-length", "0")))
        self.server.asked.append(Asked(parts.path, params, headers, self.number, self.command, body))
        behaviour = self.server.behaviours.popleft() if self.server.behaviours else answer(404, b"nothing planned")
        behaviour(self)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        pass


class SourceServer(ThreadingHTTPServer):
    """``behaviours`` are used up one a request; ``released`` is set when the test is over."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviours: deque[Behaviour] = deque()
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self._connections = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def plan(self, *behaviours: Behaviour) -> None:
        self.behaviours.extend(behaviours)

    def next_connection(self) -> int:
        with self._lock:
            self._connections += 1
            return self._connections

    def handle_error(self, request: object, client_address: object) -> None:
        """The client went away; that is what many tests do."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


def answer(status: int, body: bytes = b"", *, kind: str = "text/plain", **headers: str) -> Behaviour:
    """A whole answer with its length; underscores in the names of headers stand for dashes."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    return behave


def json_answer(value: object, status: int = 200, **headers: str) -> Behaviour:
    return answer(status, json.dumps(value).encode(), kind="application/json", **headers)


def gzipped(body: bytes, kind: str) -> Behaviour:
    return answer(200, gzip.compress(body), kind=kind, Content_Encoding="gzip")


def chunked(pieces: Iterable[bytes], *, kind: str = "text/csv", end: bool = True, hold: bool = False) -> Behaviour:
    """A body in chunks; without ``end`` it breaks off, with ``hold`` it then says nothing more for a while."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.flush()
        if hold:
            handler.server.released.wait(60)
        if end:
            handler.wfile.write(b"0\r\n\r\n")
        else:
            handler.close_connection = True

    return behave


def drip(piece: bytes, *, every: float, status: int = 200, kind: str = "text/csv", **headers: str) -> Behaviour:
    """A body without end: ``piece`` every so many seconds, until the client goes away or the test is over."""

    def behave(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(2**40))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        while not handler.server.released.wait(every):
            handler.wfile.write(piece)
            handler.wfile.flush()
        handler.close_connection = True

    return behave


def drip_headers(start: bytes, piece: bytes, *, every: float) -> Behaviour:
    """Headers that do not end: ``start``, then 100 times ``piece`` every so many seconds."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(start)
        for _ in range(100):
            handler.server.released.wait(every)
            handler.wfile.write(piece)
        handler.close_connection = True

    return behave


def short(body: bytes, *, promised: int, kind: str = "text/csv", **headers: str) -> Behaviour:
    """Fewer bytes than the length says, then the end of the connection."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(promised))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return behave


def raw(text: bytes) -> Behaviour:
    """Whatever bytes, then the end of the connection."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(text)
        handler.close_connection = True

    return behave


def reset(after: bytes = b"") -> Behaviour:
    """Some bytes, then a reset of the connection."""

    def behave(handler: Handler) -> None:
        handler.wfile.write(after)
        handler.wfile.flush()
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.close()
        handler.close_connection = True

    return behave


def silent(handler: Handler) -> None:
    """No answer for as long as the test lasts."""
    handler.server.released.wait(60)
    handler.close_connection = True

"""HTTP/1.1 over threads: reads requests, sends answers at the pace they are allowed, keeps the ledger."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from sandbox.control import control
from sandbox.faults import Luck
from sandbox.ledger import Entry
from sandbox.pacing import Bucket, Pace
from sandbox.reply import Reply, json_reply
from sandbox.result import Data, End, Pause
from sandbox.source import Request, Source

_IDLE_SECONDS = 300  # without a request, or with a client that reads nothing
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)
_ONE_WRITE = 64 * 1024  # below this, copying is cheaper than another call


class Server(ThreadingHTTPServer):
    """Serves a source on loopback until it is told to stop."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, source: Source) -> None:
        super().__init__((source.settings.host, source.settings.port), Handler)
        self.source = source
        self.bucket = Bucket(None)
        self.stopping = threading.Event()
        self._slots = threading.Semaphore(source.settings.max_connections)
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]!s}:{self.server_address[1]}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection once there is a slot for it."""
        while not self._slots.acquire(timeout=0.1):
            if self.stopping.is_set():
                self.close_request(request)
                return
        self._open.add(request)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._slots.release()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one to be reset without the orderly shutdown, which would send a FIN first."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_CLOSE_WITH_RESET)) == _CLOSE_WITH_RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is a bug, and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def stop(self) -> None:
        """Stop listening and drop the open connections."""
        self.stopping.set()
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

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def version_string(self) -> str:
        return "Apache"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing goes to stderr: the ledger is the log."""

    @property
    def _server(self) -> Server:
        return cast("Server", self.server)

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, body, self.headers.get("User-Agent", ""))
        source = self._server.source
        if request.path[:1] == ["_sandbox"]:
            status, data = control(source, request)
            self._send(json_reply(data, status), Entry(0, 0, "", "", "", 0), None)
            return
        entry = source.ledger.begin(request.method, request.target, request.user_agent)
        luck = Luck(source.faults, request.target)
        try:
            reply = source.answer(request, luck)
            entry.status, entry.cached, entry.fault = (
                reply.status,
                reply.cached,
                luck.fault.name if luck.fault else None,
            )
            entry.rows_skipped, entry.rows_scanned = reply.cost.skipped, reply.cost.scanned
            entry.rows_sorted = reply.cost.sorted
            self._send(reply, entry, request)
        finally:
            source.ledger.end(entry)

    def _send(self, reply: Reply, entry: Entry, request: Request | None) -> None:
        if reply.delay:
            self._server.stopping.wait(reply.delay)
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        framing = ("Transfer-Encoding", "chunked") if reply.length is None else ("Content-Length", str(reply.length))
        self.send_header(*framing)
        self.end_headers()
        copy: list[Data] | None = [] if self._seconds_to_keep(reply, request) else None
        if reply.length is not None:
            reply.chunks = list(reply.chunks)
            if copy is not None and not any(isinstance(chunk, End) for chunk in reply.chunks):
                self._keep(reply, request, [chunk for chunk in reply.chunks if isinstance(chunk, Data)])
        if self._send_body(reply, entry, copy, paced=request is not None) and reply.length is None:
            self._keep(reply, request, copy)
            self._server.source.ledger.end(entry)
            self.wfile.write(b"0\r\n\r\n")

    def _seconds_to_keep(self, reply: Reply, request: Request | None) -> float:
        plain = request is not None and request.method == "GET" and reply.status == 200 and not reply.cached
        return (reply.cache_for or self._server.source.settings.cache_seconds) if plain else 0.0

    def _keep(self, reply: Reply, request: Request | None, parts: list[Data] | None) -> None:
        """Give the CDN its copy before the last byte leaves: the next request may come at once."""
        if parts is not None and request is not None:
            body, rows = b"".join(part.body for part in parts), sum(part.rows for part in parts)
            self._server.source.copies.keep(request.target, reply, body, rows, self._seconds_to_keep(reply, request))

    def _send_body(self, reply: Reply, entry: Entry, copy: list[Data] | None, *, paced: bool) -> bool:
        """Send all chunks; False if the connection was dropped on purpose."""
        settings = self._server.source.settings
        if self._server.bucket.rate != settings.bytes_per_second:
            self._server.bucket = Bucket(settings.bytes_per_second)
        pace = Pace(self._server.bucket, settings)
        for chunk in reply.chunks:
            if isinstance(chunk, Pause):
                self._server.stopping.wait(chunk.seconds)
            elif isinstance(chunk, End):
                self._drop(chunk, entry, chunked=reply.length is None)
                return False
            elif chunk.body:
                if copy is not None:
                    copy.append(Data(bytes(chunk.body), chunk.rows))
                for wait, data in pace.portions(chunk) if paced else [(0.0, chunk)]:
                    if wait:
                        self._server.stopping.wait(wait)
                    self._write(data, entry, reply)
        return True

    def _write(self, data: Data, entry: Entry, reply: Reply) -> None:
        entry.bytes += len(data.body)
        entry.rows_returned += data.rows
        if reply.length is not None:
            if entry.n and entry.bytes >= reply.length:
                self._server.source.ledger.end(entry)
            self.wfile.write(data.body)
        elif len(data.body) < _ONE_WRITE:
            self.wfile.write(b"".join((b"%x\r\n" % len(data.body), data.body, b"\r\n")))
        else:
            self.wfile.write(b"%x\r\n" % len(data.body))
            self.wfile.write(data.body)
            self.wfile.write(b"\r\n")

    def _drop(self, end: End, entry: Entry, *, chunked: bool) -> None:
        self._server.source.ledger.end(entry)
        if chunked and not end.reset:
            self.wfile.write(b"1000\r\n")  # a chunk is announced, and does not come
        if end.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        self.close_connection = True

"""Sends answers at the pace they are allowed, with what a fault does to the connection, and keeps the ledger."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any, cast

from sandbox.faults import FaultDraw
from sandbox.http import Connection, LoopbackServer
from sandbox.open_payments.control import control
from sandbox.open_payments.ledger import Entry
from sandbox.open_payments.pacing import Bucket, portions
from sandbox.open_payments.reply import End, Pause, Reply, json_reply
from sandbox.open_payments.source import Source

_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)
_ONE_WRITE = 64 * 1024  # below this, copying is cheaper than another call


class Server(LoopbackServer):
    """Serves a source on loopback until it is closed."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.bucket = Bucket(None)
        self.stopping = threading.Event()
        super().__init__(source.settings.port, Handler)
        source.url = self.url

    def shutdown_request(self, request: Any) -> None:
        """Close a connection; one to be reset without the orderly shutdown, which would send a FIN first."""
        if request.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_CLOSE_WITH_RESET)) == _CLOSE_WITH_RESET:
            self.close_request(request)
        else:
            super().shutdown_request(request)

    def close(self) -> None:
        """Stop listening, and answer no further request on connections that are open."""
        self.stopping.set()
        super().close()


class Handler(Connection):
    """One connection."""

    server_version, sys_version = "Apache", ""

    def respond(self, body: bytes) -> None:
        """Answer one request; the control interface leaves no trace in the ledger and is not paced."""
        self._server = cast("Server", self.server)
        source, settings = self._server.source, self._server.source.settings
        if self._server.stopping.is_set():
            self.close_connection = True
            return
        if self.path.startswith("/_sandbox/"):
            status, data = control(source, self.command, self.path, body)
            self._send(json_reply(data, status), Entry(ended=0.0), [])
            return
        entry = source.ledger.begin(self.command, self.path, self.headers.get("User-Agent", ""))
        draw = FaultDraw(source.faults, f"{self.path} {body.decode(errors='replace')}" if body else self.path)
        try:
            reply = source.answer(self.command, self.path, entry.user_agent, draw, body)
            entry.note(reply, draw.fault)
            if self._server.bucket.rate != settings.bytes_per_second:
                self._server.bucket = Bucket(settings.bytes_per_second)
            self._send(reply, entry, [self._server.bucket, Bucket(settings.bytes_per_second_per_stream)])
        finally:
            source.ledger.end(entry)

    def _send(self, reply: Reply, entry: Entry, buckets: list[Bucket]) -> None:
        """Head and body. The ledger's entry is complete before the last bytes leave: a client can rely on it."""
        self._server.stopping.wait(reply.delay)
        self.send_response(reply.status)
        framing = ("Transfer-Encoding", "chunked") if reply.length is None else ("Content-Length", str(reply.length))
        for name, value in (*reply.headers, framing):
            self.send_header(name, value)
        self.end_headers()
        for chunk in reply.chunks:
            if isinstance(chunk, Pause):
                self._server.stopping.wait(chunk.seconds)
            elif isinstance(chunk, End):
                self._drop(chunk, entry, chunked=reply.length is None)
                return
            else:
                entry.rows_returned += chunk.rows
                for wait, part in portions(chunk.body, buckets):
                    self._server.stopping.wait(wait)
                    self._write(part, entry, reply.length)
        if reply.length is None:
            self._server.source.ledger.end(entry)
            self.wfile.write(b"0\r\n\r\n")

    def _write(self, part: bytes | memoryview, entry: Entry, length: int | None) -> None:
        entry.bytes += len(part)
        if length is not None:
            if entry.bytes >= length:
                self._server.source.ledger.end(entry)
            self.wfile.write(part)
        elif len(part) < _ONE_WRITE:
            self.wfile.write(b"".join((b"%x\r\n" % len(part), part, b"\r\n")))
        else:
            for piece in (b"%x\r\n" % len(part), part, b"\r\n"):
                self.wfile.write(piece)

    def _drop(self, end: End, entry: Entry, *, chunked: bool) -> None:
        self._server.source.ledger.end(entry)
        if chunked and not end.reset:
            self.wfile.write(b"1000\r\n")  # a chunk is announced, and does not come
        if end.reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_WITH_RESET)
        self.close_connection = True

"""HTTP/1.1 over threads: reads requests, sends answers at the pace they are allowed, keeps the ledger."""

from __future__ import annotations

import socket
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from sandbox.faults import Luck
from sandbox.open_payments.control import control
from sandbox.open_payments.ledger import Entry
from sandbox.open_payments.pacing import Bucket, portions
from sandbox.open_payments.reply import End, Pause, Reply, json_reply
from sandbox.open_payments.source import Source

_IDLE_SECONDS = 300  # without a request, or with a client that reads nothing
_CLOSE_WITH_RESET = struct.pack("ii", 1, 0)
_ONE_WRITE = 64 * 1024  # below this, copying is cheaper than another call


class Server(ThreadingHTTPServer):
    """Serves a source on loopback until it is told to stop."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, source: Source) -> None:
        super().__init__(("127.0.0.1", source.settings.port), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.source = source
        self.bucket = Bucket(None)
        self.stopping = threading.Event()

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
        """Stop listening, wait for nothing, and answer no further request on connections that are open."""
        self.stopping.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version, sys_version = "Apache", ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer one request; the control interface leaves no trace in the ledger and is not paced."""
        self._server = cast("Server", self.server)
        source, settings = self._server.source, self._server.source.settings
        if self._server.stopping.is_set():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.startswith("/_sandbox/"):
            status, data = control(source, self.command, self.path, body)
            self._send(json_reply(data, status), Entry(ended=0.0), [])
            return
        entry = source.ledger.begin(self.command, self.path, self.headers.get("User-Agent", ""))
        luck = Luck(source.faults, self.path)
        try:
            reply = source.answer(self.command, self.path, entry.user_agent, luck)
            entry.note(reply, luck.fault)
            if self._server.bucket.rate != settings.bytes_per_second:
                self._server.bucket = Bucket(settings.bytes_per_second)
            self._send(reply, entry, [self._server.bucket, Bucket(settings.bytes_per_second_per_stream)])
        finally:
            source.ledger.end(entry)

    do_POST = do_DELETE = do_GET  # noqa: N815 - http.server wants them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing goes to stderr: the ledger is the log."""

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

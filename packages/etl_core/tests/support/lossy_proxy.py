"""An HTTP proxy in a thread between a client and a server that loses some answers on their way back."""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LossyProxy

    def _forward(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length)
        kept = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "expect")}
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.port_behind)
        try:
            upstream.request(self.command, self.path, body=body, headers=kept)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if self.server.loses(self.command):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.headers.get("Content-Length", str(len(content))))
        self.end_headers()
        self.wfile.write(content)

    def do_GET(self) -> None:
        self._forward()

    def do_PUT(self) -> None:
        self._forward()

    def do_HEAD(self) -> None:
        self._forward()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


class LossyProxy(ThreadingHTTPServer):
    """Drops that share of the answers to ``methods``, after the server behind has done its work."""

    daemon_threads = True

    def __init__(self, port_behind: int, *, share: float, methods: tuple[str, ...] = ("PUT",), seed: int = 1) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.port_behind = port_behind
        self.lost = 0
        self._share = share
        self._methods = methods
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def loses(self, method: str) -> bool:
        with self._lock:
            lost = method in self._methods and self._chance.random() < self._share
            self.lost += lost
            return lost

    def handle_error(self, request: object, client_address: object) -> None:
        """The client went away; many do when an answer is lost."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

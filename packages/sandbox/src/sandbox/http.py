"""HTTP/1.1 on loopback with a thread per connection, as every stand-in serves it."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class LoopbackServer(ThreadingHTTPServer):
    """Serves in a thread of its own, from `start` until `close`."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int, connection: type[Connection]) -> None:
        super().__init__(("127.0.0.1", port), connection)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True, name=self.url)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop listening and free the port; open connections are not waited for."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else is a bug, and is shown."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Connection(BaseHTTPRequestHandler):
    """One connection; a subclass answers its requests in `respond`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 300  # seconds without a request, or with a client that reads nothing

    def respond(self, body: bytes) -> None:
        """Answer `self.command` of `self.path`."""
        raise NotImplementedError

    def do_GET(self) -> None:
        if "Transfer-Encoding" in self.headers:  # the chunks would be read as the next request
            self.close_connection = True
            self.send_error(501, "The sandbox does not simulate request bodies in chunks")
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) == length:
            self.respond(body)
        else:  # the client was killed while it sent the request
            self.close_connection = True

    do_POST = do_DELETE = do_GET  # noqa: N815 - http.server wants them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing goes to stderr: a stand-in has a ledger of its own."""

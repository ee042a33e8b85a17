"""What every stand-in does with a connection."""

from __future__ import annotations

import socket

from sandbox.http import Connection, LoopbackServer

ANSWERED: list[bytes] = []


class Answering(Connection):
    def respond(self, body: bytes) -> None:
        ANSWERED.append(body)
        self.send_response(204)
        self.end_headers()


def answer_to(server: LoopbackServer, body: bytes, header: bytes = b"Content-Length: 10") -> bytes:
    """What comes back for a request of 10 bytes of which only ``body`` arrives."""
    with socket.create_connection(("127.0.0.1", server.server_address[1])) as client:
        client.sendall(b"POST / HTTP/1.1\r\n" + header + b"\r\n\r\n" + body)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


def test_a_request_that_its_client_did_not_finish_is_not_answered():
    server = LoopbackServer(0, Answering)
    server.start()
    try:
        assert answer_to(server, b"half") == b""
        assert answer_to(server, b"0123456789").startswith(b"HTTP/1.1 204")
        assert ANSWERED == [b"0123456789"]
    finally:
        server.close()


def test_a_body_in_chunks_is_no_next_request():
    server = LoopbackServer(0, Answering)
    server.start()
    try:
        answer = answer_to(server, b"5\r\nabcde\r\n0\r\n\r\n", b"Transfer-Encoding: chunked")
        assert answer.startswith(b"HTTP/1.1 501 The sandbox does not simulate request bodies in chunks")
        assert answer.count(b"HTTP/1.1") == 1
    finally:
        server.close()

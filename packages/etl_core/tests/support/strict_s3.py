"""moto with rules of S3 that it does not keep: preconditions of copies, denied keys, answers that fail.

moto 5.2.5 ignores ``If-None-Match`` on CopyObject and ``x-amz-copy-source-if-match`` everywhere, knows no denial,
takes keys of any length, and lets two threads create one key: it looks whether it is there, and stores it a moment
later. Of three who put 17 MB at once, two and three were told they had created it in 9 of 20 tries. S3 has one winner;
here requests go one by one.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.test import Client
from werkzeug.wrappers import Response

from packages.etl_core.tests.support.serving import Serving

# moto checks no signature, and wants one.
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20261129/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
Answer = tuple[int, str]  # status, and S3's code
CHANGED, EXISTS = (412, "PreconditionFailed"), (412, "PreconditionFailed")
DENIED, TOO_LONG = (403, "AccessDenied"), (400, "KeyTooLongError")


@dataclass(frozen=True)
class Asked:
    """One request: ``path`` is ``bucket/key``, ``source`` likewise where it copies."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]

    @property
    def source(self) -> str:
        return unquote(self.headers.get("x-amz-copy-source", "")).lstrip("/")

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "/" not in self.path.rstrip("/")

    @property
    def copies(self) -> bool:
        return bool(self.source)

    @property
    def creates(self) -> bool:
        """Whether an object appears by it."""
        return (self.method == "PUT" and "partNumber" not in self.query) or (
            self.method == "POST" and "uploadId" in self.query
        )


class StrictS3(Serving):
    """A server on loopback; ``reset`` says what a test may change."""

    def __init__(self) -> None:
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._direct = Client(self._moto, Response)
        self._one_write = threading.Lock()
        server = make_server("127.0.0.1", 0, self, threaded=True, request_handler=MotoRequestHandler)
        super().__init__(server)
        self.port = server.server_port
        self.reset()

    def reset(self) -> None:
        """As S3 without faults; what was asked is forgotten, what is stored is not."""
        self.asked: list[Asked] = []
        # Paths that may not be read or written, buckets that may not be listed.
        self.denied: set[str] = set()
        self.unlistable: set[str] = set()
        # Given in order to copies, in place of what they ask for.
        self.answers: deque[Answer] = deque()
        # What it picks is carried out, and answered with 500.
        self.loses: Callable[[Asked], bool] = lambda _asked: False
        self.before: Callable[[Asked], None] = lambda _asked: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def copies(self) -> list[Asked]:
        return [one for one in self.asked if one.copies]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        asked = Asked(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"].encode("latin-1").decode().lstrip("/"),
            parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True),
            {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")},
        )
        self.asked.append(asked)
        self.before(asked)
        with self._one_write:
            refused = self._planned(asked) or self._refused(asked)
            if refused is not None:
                return self._error(*refused)(environ, start_response)
            if not self.loses(asked):
                return list(self._moto(environ, start_response))
            list(self._moto(environ, lambda *_: None))
        return self._error(500, "InternalError")(environ, start_response)

    @staticmethod
    def _error(status: int, code: str) -> Response:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>as the test wants it</Message></Error>"
        return Response(body, status=status, content_type="application/xml")

    def _planned(self, asked: Asked) -> Answer | None:
        return self.answers.popleft() if self.answers and asked.copies else None

    def _refused(self, asked: Asked) -> Answer | None:
        bucket, _, key = asked.path.partition("/")
        if len(key.encode()) > 1024:
            return TOO_LONG
        if asked.is_listing:
            return DENIED if bucket in self.unlistable else None
        read = asked.source or (asked.path if asked.method in ("GET", "HEAD") else "")
        if read in self.denied or (asked.method != "GET" and asked.path in self.denied):
            return DENIED
        if read and read.partition("/")[0] in self.unlistable and self._etag(read) is None:
            return DENIED  # S3 says only to who may list a bucket that a key is free
        wanted = asked.headers.get("x-amz-copy-source-if-match")
        if wanted is not None and self._etag(asked.source) not in (None, wanted.strip('"')):
            return CHANGED
        if asked.creates and asked.headers.get("if-none-match") == "*" and self._etag(asked.path) is not None:
            return EXISTS
        return None

    def _etag(self, path: str) -> str | None:
        answer = self._direct.head(f"/{quote(path)}", base_url="http://127.0.0.1", headers={"Authorization": SIGNED})
        return answer.headers["ETag"].strip('"') if answer.status_code == 200 else None

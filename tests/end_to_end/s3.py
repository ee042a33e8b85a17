"""An S3 server on loopback (moto, in a process of its own), and a proxy before it that notes and loses."""

import base64
import contextlib
import hashlib
import http.client
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import boto3
import botocore.config

from packages.etl_core.tests.support.serving import Serving

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

ROOT = Path(__file__).resolve().parents[2]
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
SETTINGS = {
    **CREDENTIALS,
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "NO_PROXY": "127.0.0.1",
}
SERVER = """
import sys
from packages.etl_core.tests.support.strict_s3 import StrictS3
with StrictS3() as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def s3_server(**environment: str) -> Iterator[str]:
    """The address of a fresh server."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=os.environ | SETTINGS | environment,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()
        process.kill()


class Bucket:
    """A bucket, seen without the product."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.name = name
        self.client: S3Client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=botocore.config.Config(max_pool_connections=4),
        )
        self.client.create_bucket(Bucket=name)

    def listed(self, prefix: str = "") -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def write(self, key: str, body: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def copy_to(self, folder: Path, prefix: str = "") -> None:
        """Every object below ``prefix`` as a file."""
        for key in self.listed(prefix):
            path = folder / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(key))

    def empty(self) -> None:
        for key in self.listed():
            self.client.delete_object(Bucket=self.name, Key=key)

    def close(self) -> None:
        self.client.close()


@dataclass(frozen=True)
class Asked:
    """One request as it came: bucket and key, the SHA-256 of the body that was really sent."""

    method: str
    bucket: str
    key: str
    query: str
    headers: Mapping[str, str]
    body_sha256: str
    call: bytes = b""
    """The body of a call to a service other than S3, which its headers name."""

    @property
    def is_listing(self) -> bool:
        return self.method == "GET" and "list-type=2" in self.query

    @property
    def is_create_only(self) -> bool:
        return self.headers.get("if-none-match") == "*"

    @property
    def checksum(self) -> str:
        """What the client says the body's SHA-256 is, as hex; empty where it does not say."""
        return base64.b64decode(self.headers.get("x-amz-checksum-sha256", "")).hex()


@dataclass(frozen=True)
class Answered:
    """A request with the status the server gave and whether the client ever saw it."""

    asked: Asked
    status: int
    lost: bool


class Proxy(Serving):
    """Between a job and an S3 server.

    What ``loses`` picks is carried out by the server, and its answer thrown away. What
    ``answers`` gives is answered here, and never reaches the server: (status, S3's code).
    """

    def __init__(self, server: str) -> None:
        self.upstream = urlsplit(server).netloc
        self.seen: list[Answered] = []
        self.loses: Callable[[Asked], bool] = lambda _asked: False
        self.answers: Callable[[Asked], tuple[int, str] | None] = lambda _asked: None
        self.lock = threading.Lock()
        own = _Server(self)
        super().__init__(own)
        self.url = f"http://127.0.0.1:{own.server_address[1]}"

    def puts(self) -> list[Answered]:
        return [one for one in self.seen if one.asked.method == "PUT"]


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):  # clients are killed here
            super().handle_one_request()

    def handle_expect_100(self) -> bool:
        answer = super().handle_expect_100()
        self.wfile.flush()
        return answer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the standard library
        pass

    def forward(self) -> None:
        proxy, length = self.server.proxy, int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:  # the client died; a real server stores nothing then
            self.close_connection = True
            return
        asked = self._asked(body)
        with proxy.lock:
            given = proxy.answers(asked)
        if given is not None:
            status, code = given
            headers = {"Content-Type": "application/xml"}
            payload = f"<Error><Code>{code}</Code><Message>as the test wants it</Message></Error>".encode()
        else:
            status, headers, payload = self._carried_out(body)
        with proxy.lock:
            lost = given is None and proxy.loses(asked)
            proxy.seen.append(Answered(asked, status, lost))
        if lost:
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(payload)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(payload)

    def _asked(self, body: bytes) -> Asked:
        parts = urlsplit(self.path)
        return Asked(
            self.command,
            *unquote(parts.path).lstrip("/").partition("/")[::2],
            unquote(parts.query),
            {name.lower(): value for name, value in self.headers.items()},
            hashlib.sha256(body).hexdigest(),
            body if "X-Amz-Target" in self.headers else b"",
        )

    def _carried_out(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        del self.headers["Expect"]  # it was answered here
        proxy = self.server.proxy
        with contextlib.closing(http.client.HTTPConnection(proxy.upstream, timeout=60)) as connection:
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            payload = answer.read()
        of_the_connection = ("connection", "transfer-encoding")
        kept = {name: value for name, value in answer.getheaders() if name.lower() not in of_the_connection}
        return answer.status, kept, payload


for _method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
    setattr(_Handler, f"do_{_method}", _Handler.forward)

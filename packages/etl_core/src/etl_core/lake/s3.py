"""A lake on S3 or a server that speaks its protocol.

Creating is a conditional write (``If-None-Match: *``): 412 means somebody was first, and what
they wrote is compared; 409 means a race that nobody has won yet, and we try again. A lost
answer needs no special case: the repeated write meets our own object, finds its content
equal, and that is success. Head-then-put is a race and is not used.

SHA-256 goes with every object twice: as a checksum that S3 verifies, and as metadata for
servers that keep no checksums.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import botocore.config
import botocore.exceptions
import botocore.loaders
import botocore.session
import botocore.utils

from etl_core.errors import AccessError, ChangedError, ConfigError, NotFoundError, PermanentError, UnavailableError
from etl_core.lake.parallel import REQUESTS
from etl_core.lake.port import Body, CopyResult, ObjectInfo, PutResult, checked_key, content_of
from etl_core.lake.resumed import resumed
from etl_core.lake.s3_copy import CopyLimits, ServerSideCopy, digest_of
from etl_core.lake.s3_errors import answered, status_of, translate_errors, without_conditional_writes
from etl_core.least_rate import LeastRate
from etl_core.printable import without_password
from etl_core.retry import Retry, RetryPolicy
from etl_core.scratch import Scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")

READ_BYTES = 1024 * 1024
# Without a byte; and how long an object may come slower than the least rate.
READ_SECONDS = 60
# 412 or 409 on a conditional write; the latter while another write of the key is under way.
PRECONDITION_FAILED, CONFLICT = 412, 409
# A store without conditional writes answers one so.
UNCONDITIONAL = (400, 501)
# Larger objects are not sent twice to see whether the store keeps the first.
PROBE_BYTES = 1_000_000
# The SDK stops retrying once a hundred retries in a row met no success, and 412 is no success to it. So every
# request has tries of its own as well.
POLICY = RetryPolicy(attempts=8, total_seconds=60, first_wait_seconds=0.1, longest_wait_seconds=5)


def _moment(text: str) -> datetime:
    """A time as S3 writes it. The SDK's parser guesses the format, which is most of the work of a listing."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):  # of a header, or of a server that writes it otherwise
        found: datetime = botocore.utils.parse_timestamp(text)
        return found


def make_session() -> botocore.session.Session:
    """What clients are made from; its settings are the standard AWS ones."""
    session = botocore.session.Session()
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return session


@functools.cache
def _loader(folders: str | None) -> botocore.loaders.Loader:
    """Reads the SDK's description of S3, half of the time that a client takes, once for all clients of a process."""
    return botocore.loaders.create_loader(folders)


def make_client(pool_size: int = REQUESTS) -> S3Client:
    """A client from the standard AWS settings: role, profile, ``AWS_*``, ``AWS_ENDPOINT_URL`` for other servers."""
    config = botocore.config.Config(
        retries={"mode": "standard", "max_attempts": 6},
        max_pool_connections=pool_size,
        connect_timeout=10,
        read_timeout=READ_SECONDS,
        # Checksums of our own choice go with each write; answers that carry none are not an error.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    with translate_errors("set up the S3 client"):
        # A session of its own: boto3's shared one keeps the first credentials it met.
        client = boto3.session.Session(botocore_session=make_session()).client("s3", config=config)
    shown = without_password(client.meta.endpoint_url)
    if shown != client.meta.endpoint_url:
        client.close()
        raise ConfigError(
            f"the endpoint of S3, {shown}, holds a user name or a password.",
            advice="It would be in logs and in Jobs: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return client


@dataclass(frozen=True)
class S3Access:
    """What another S3 client needs to read the same bucket. ``endpoint`` is an address with its scheme."""

    bucket: str
    endpoint: str
    region: str
    key_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)


class S3Store:
    """Objects under ``s3://bucket/prefix``.

    The first small object that it creates is created a second time, which the server must refuse: some ignore
    ``If-None-Match``, and would let two runs overwrite each other. ``is_known`` says that this one does not.
    """

    def __init__(
        self,
        client: S3Client,
        *,
        bucket: str,
        prefix: str = "",
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        is_known: bool = False,
        copy_limits: CopyLimits | None = None,
    ) -> None:
        self._client = client
        self._keeps_the_first = is_known
        self._copy_limits = copy_limits or CopyLimits()
        self._clock = clock
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._scratch = Scratch(Path(tempfile.gettempdir()) / f"etl-core-{os.getuid()}", is_private=True)
        self._retry = Retry(POLICY, sleep=sleep)

    @property
    def url(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def uri(self, key: str) -> str:
        return f"{self.url}/{checked_key(key)}"

    def local_path(self, key: str) -> None:
        checked_key(key)

    def access(self) -> S3Access:
        """How another client reaches the bucket now: credentials of a role expire. Without any, they are empty."""
        with translate_errors("find the credentials of S3"):
            found = boto3.session.Session().get_credentials()
            keys = found.get_frozen_credentials() if found else None
        meta = self._client.meta
        secrets = (keys.access_key, keys.secret_key, keys.token) if keys else ("", "", "")
        return S3Access(self._bucket, meta.endpoint_url, meta.region_name, *(one or "" for one in secrets))

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        digest = sha256 or content_of(body)
        try:
            result = self._retry.call(lambda _attempt: self._create(key, body, digest))
            if result.created and not self._keeps_the_first and _size_of(body) <= PROBE_BYTES:
                self._require_that_the_first_is_kept(key, body, digest)
            return result
        finally:
            if isinstance(body, Path):
                body.unlink(missing_ok=True)

    def put(self, key: str, body: Body) -> None:
        try:
            request = self._write(key, content_of(body))
            self._send(f"write {self.url}/{key}", lambda: self._put_object(body, **request))
        finally:
            if isinstance(body, Path):
                body.unlink(missing_ok=True)

    def get(self, key: str) -> bytes | None:
        try:
            return b"".join(self.read(key))
        except NotFoundError:
            return None

    def read(self, key: str) -> Iterator[bytes]:
        # What is missing after an error must be of the object that was begun.
        pinned: dict[str, str] = {}
        return resumed(lambda offset: self._read_from(offset, key, pinned), self._retry)

    def head(self, key: str) -> ObjectInfo | None:
        answer = self._head(key)
        if answer is None:
            return None
        said = answer["ContentLength"], answer["LastModified"], answer.get("ETag", "")
        return ObjectInfo(key, *said, digest=digest_of(answer))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        request: dict[str, Any] = {"Bucket": self._bucket, "Prefix": self._prefix + prefix}
        while True:
            page = self._send(f"list {self.url}/{prefix}", lambda: self._client.list_objects_v2(**request))
            for entry in page.get("Contents", ()):
                said = entry["Size"], entry["LastModified"], entry.get("ETag", "")
                yield ObjectInfo(entry["Key"].removeprefix(self._prefix), *said)
            if not page.get("IsTruncated"):
                return
            request["ContinuationToken"] = page["NextContinuationToken"]

    def delete(self, key: str) -> None:
        request = self._named(key)
        self._send(f"delete {self.url}/{key}", lambda: self._client.delete_object(**request))

    def copy_new(self, source: S3Store, found: ObjectInfo, key: str) -> CopyResult:
        """``copying.copy_new`` by the server. The copy has the source's content type, metadata and tags."""
        doing = f"copy {source.url}/{found.key} to {self.url}/{key}"
        send = functools.partial(self._send, doing, passing=(PRECONDITION_FAILED,))
        named = source._named(found.key), self._named(key)
        try:
            answer = ServerSideCopy(self._client, *named, found, send, self._copy_limits).make()
        except botocore.exceptions.ClientError as error:
            existing = self.head(key)
            if existing is None:  # S3 does not say which of the two conditions failed
                raise ChangedError(f"{source.url}/{found.key} changed while it was copied.") from error
            return CopyResult(created=False, source=found, copy=existing)
        modified = answer.get("LastModified", found.modified)
        copied = ObjectInfo(key, found.size, modified, answer["ETag"], digest_of(answer))
        return CopyResult(created=True, source=found, copy=copied)

    def scratch_file(self) -> Path:
        try:
            return self._scratch.new()
        except (OSError, PermanentError) as error:
            reason = str(error).rstrip(".")
            raise AccessError(
                f"cannot create a temporary file: {reason}.", advice="Set TMPDIR to a folder of your own."
            ) from error

    def close(self) -> None:
        self._scratch.close()
        self._client.close()

    def _send(self, doing: str, request: Callable[[], T], *, passing: tuple[int, ...] = ()) -> T:
        def attempt(_number: int) -> T:
            with translate_errors(doing, passing=passing):
                return request()

        return self._retry.call(attempt)

    def _read_from(self, offset: int, key: str, pinned: dict[str, str]) -> Generator[bytes]:
        doing, received = f"read {self.url}/{key}", offset
        request = self._named(key) | pinned | ({"Range": f"bytes={offset}-"} if offset else {})
        with translate_errors(doing):
            answer = self._client.get_object(**request)
        if offset and "ContentRange" not in answer:
            raise PermanentError(f"cannot {doing}: it broke off after {offset} bytes, and the store gives no range.")
        if "ETag" in answer:
            pinned["IfMatch"] = answer["ETag"]
        promised = answer.get("ContentLength", -1)  # unknown if it comes in chunks
        rate = LeastRate(f"{self.url}/{key}", seconds=READ_SECONDS, clock=self._clock)
        # The SDK's own stream waits for all bytes of a read, and is the only one that checks their number.
        body: Any = answer["Body"]
        with body as stream:
            while chunk := _chunk(stream.read1, rate, doing):
                received += len(chunk)
                yield chunk
        if promised not in (-1, received - offset):
            raise UnavailableError(f"cannot {doing}: it broke off after {received} of {offset + promised} bytes.")

    def _named(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._prefix + checked_key(key)}

    def _write(self, key: str, digest: str) -> dict[str, Any]:
        return self._named(key) | {
            "ChecksumSHA256": base64.b64encode(bytes.fromhex(digest)).decode(),
            "Metadata": {"sha256": digest},
        }

    def _put_object(self, body: Body, **request: Any) -> None:  # noqa: ANN401 - the SDK's own
        with contextlib.ExitStack() as stack:
            payload = stack.enter_context(body.open("rb")) if isinstance(body, Path) else body
            self._client.put_object(Body=payload, **request)

    def _create(self, key: str, body: Body, digest: str) -> PutResult:
        if self._is_created(key, body, digest):
            return PutResult(created=True, sha256=digest)
        existing = self._existing(key)
        if existing is None:  # deleted between the two requests
            raise UnavailableError(f"{self.url}/{key} was there and is gone")
        return existing

    def _is_created(self, key: str, body: Body, digest: str) -> bool:
        doing = f"create {self.url}/{key}"
        try:
            with translate_errors(doing, passing=(PRECONDITION_FAILED, CONFLICT, *UNCONDITIONAL)):
                self._put_object(body, IfNoneMatch="*", **self._write(key, digest))
        except botocore.exceptions.ClientError as error:
            if status_of(error) in UNCONDITIONAL:
                raise (without_conditional_writes(error, doing) or answered(error, doing)) from error
            if status_of(error) == CONFLICT:
                raise UnavailableError(f"another write of {self.url}/{key} is under way") from error
            return False
        return True

    def _require_that_the_first_is_kept(self, key: str, body: Body, digest: str) -> None:
        """Only by creating: a role that may write the key may not be allowed to read it."""
        for _ in range(2):  # another process may have deleted it in between, but not twice
            if not self._retry.call(lambda _attempt: self._is_created(key, body, digest)):
                self._keeps_the_first = True
                return
        raise ConfigError(
            f"{self.url} ignores If-None-Match: it let {key} be created twice.",
            advice="Two runs could overwrite each other's proofs: use a store that honours it, or a folder.",
        )

    def _existing(self, key: str) -> PutResult | None:
        answer = self._head(key)
        if answer is None:
            return None
        digest = answer.get("Metadata", {}).get("sha256")
        if answer.get("ChecksumSHA256") and answer.get("ChecksumType", "FULL_OBJECT") == "FULL_OBJECT":
            digest = base64.b64decode(answer["ChecksumSHA256"]).hex()
        if digest is None:
            found = hashlib.sha256()
            for chunk in self.read(key):
                found.update(chunk)
            digest = found.hexdigest()
        return PutResult(created=False, sha256=digest)

    def _head(self, key: str) -> Any | None:  # noqa: ANN401 - the SDK's own dictionary
        try:
            return self._send(
                f"read {self.url}/{key}", lambda: self._client.head_object(**self._named(key), ChecksumMode="ENABLED")
            )
        except NotFoundError:
            return None


def _chunk(read_available: Callable[[int], bytes], rate: LeastRate, doing: str) -> bytes:
    """Up to ``READ_BYTES``, fewer only at the end."""
    pieces: list[bytes] = []
    left = READ_BYTES
    with translate_errors(doing):
        while left and (piece := rate.read(read_available, left)):
            pieces.append(piece)
            left -= len(piece)
    return b"".join(pieces)


def _size_of(body: Body) -> int:
    return body.stat().st_size if isinstance(body, Path) else len(body)

"""One copy within S3: in one request up to 5 GB, above that in parts. Create-only, of one version of the source.

An upload in parts takes none of the source's headers, metadata and tags by itself, so they are read and given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlencode

import botocore.exceptions

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

    from etl_core.lake.port import ObjectInfo

MIB = 1024 * 1024
# The most that one request copies.
LARGEST_IN_ONE = 5 * 1024 * MIB
# A request copies some 100 MB a second. S3 takes 10,000 parts of at most 5 GiB, so larger ones above 5 TB.
PART_BYTES, MOST_PARTS = 512 * MIB, 10_000
# Parts of one object at a time.
WORKERS = 8
ALGORITHM: Literal["CRC64NVME"] = "CRC64NVME"
KEPT = (
    "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Metadata",
    "WebsiteRedirectLocation",
)  # fmt: skip


@dataclass(frozen=True)
class CopyLimits:
    """In bytes: what one request copies at most, and the parts of what is larger."""

    in_one: int = LARGEST_IN_ONE
    part: int = PART_BYTES


# Sends a request, translates its errors and repeats it, except for failed preconditions, which are botocore's.
Send = Callable[[Callable[[], Any]], Any]


def ranges(size: int, part: int) -> Iterator[str]:
    """The parts of an object of that many bytes, as HTTP ranges; larger ones where S3 would not take so many."""
    step = max(part, -(-size // (MOST_PARTS * MIB)) * MIB)
    return (f"bytes={start}-{min(start + step, size) - 1}" for start in range(0, size, step))


def digest_of(answer: Mapping[str, Any]) -> str:
    """The digest of the whole content that S3 says in an answer; empty if it says none."""
    if answer.get("ChecksumType", "FULL_OBJECT") != "FULL_OBJECT" or not answer.get(f"Checksum{ALGORITHM}"):
        return ""
    return f"{ALGORITHM.lower()}:{answer[f'Checksum{ALGORITHM}']}"


@dataclass(frozen=True)
class ServerSideCopy:
    """``source`` and ``target`` are bucket and key; ``found`` is the version of the source."""

    client: S3Client
    source: Mapping[str, Any]
    target: Mapping[str, Any]
    found: ObjectInfo
    send: Send
    limits: CopyLimits

    def make(self) -> Mapping[str, Any]:
        """Create the copy; its ETag and checksum, as S3 answers them.

        Raises:
            ClientError: 412 or 409. Others as ``send`` translates them.

        """
        if self.found.size > self.limits.in_one:
            return self._in_parts()
        answer = self.send(
            lambda: self.client.copy_object(**self._pinned, **self.target, IfNoneMatch="*", ChecksumAlgorithm=ALGORITHM)
        )
        return dict(answer["CopyObjectResult"])

    @property
    def _pinned(self) -> dict[str, Any]:
        # As a dictionary: the SDK then encodes the key.
        return {"CopySource": dict(self.source), "CopySourceIfMatch": self.found.etag}

    def _in_parts(self) -> Mapping[str, Any]:
        head = self.send(
            lambda: self.client.head_object(**self.source, IfMatch=self.found.etag, ChecksumMode="ENABLED")
        )
        tags = self.send(lambda: self.client.get_object_tagging(**self.source))["TagSet"]
        said: dict[str, Any] = {name: head[name] for name in KEPT if name in head}
        if tags:
            said["Tagging"] = urlencode({one["Key"]: one["Value"] for one in tags})
        created = self.send(
            lambda: self.client.create_multipart_upload(
                **self.target, **said, ChecksumAlgorithm=ALGORITHM, ChecksumType="FULL_OBJECT"
            )
        )
        upload = {**self.target, "UploadId": created["UploadId"]}
        try:
            return self._completed(upload, digest_of(head))
        except BaseException:
            # Where this fails, too, the bucket's lifecycle rule removes the parts.
            with contextlib.suppress(botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
                self.client.abort_multipart_upload(**upload)
            raise

    def _completed(self, upload: dict[str, Any], digest: str) -> Mapping[str, Any]:
        parts_of = enumerate(ranges(self.found.size, self.limits.part), 1)
        pool = ThreadPoolExecutor(WORKERS)
        try:
            parts: list[Any] = list(pool.map(lambda part: self._part(upload, *part), parts_of))
        finally:
            pool.shutdown(cancel_futures=True)
        # S3 then compares them itself, and refuses a copy of another size or content.
        expected: dict[str, Any] = {f"Checksum{ALGORITHM}": digest.partition(":")[2]} if digest else {}
        return dict(
            self.send(
                lambda: self.client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*", MpuObjectSize=self.found.size,
                    ChecksumType="FULL_OBJECT", **expected,
                )
            )
        )  # fmt: skip

    def _part(self, upload: dict[str, Any], number: int, byte_range: str) -> dict[str, Any]:
        answer = self.send(
            lambda: self.client.upload_part_copy(
                **self._pinned, **upload, PartNumber=number, CopySourceRange=byte_range
            )
        )["CopyPartResult"]
        said = {name: value for name, value in answer.items() if name == "ETag" or name.startswith("Checksum")}
        return {"PartNumber": number, **said}

"""The port of a lake: what every store promises.

Keys are relative, with ``/`` between their parts. An object appears whole or not at all.
``put_new`` is create-only: of concurrent writers of one key exactly one creates it, and the
others get the hash of what is there. ``put`` replaces, for caches and where somebody asked for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import shutil
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from etl_core.errors import ConflictError, DataError
from etl_core.files import sha256_of, translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LONGEST_KEY_BYTES = 1024
# Bytes in memory, or a file of the caller, which the store consumes: it is gone afterwards.
Body = bytes | Path


@dataclass(frozen=True)
class ObjectInfo:
    """One object: its key, its size in bytes, and when it was written.

    ``etag`` names the version on S3; other stores have none. ``digest`` is ``algorithm:value`` of the whole content,
    where a request for this object alone told it.
    """

    key: str
    size: int
    modified: datetime
    etag: str = ""
    digest: str = field(default="", compare=False)


@dataclass(frozen=True)
class PutResult:
    """The SHA-256 (hex) of the object after ``put_new``; ``created`` says whether this call wrote it."""

    created: bool
    sha256: str


@dataclass(frozen=True)
class CopyResult:
    """What stands under the key after ``copy_new``; ``created`` says whether this call wrote it.

    ``source`` is what was copied, with its digest if the copy came to know it.
    """

    created: bool
    source: ObjectInfo
    copy: ObjectInfo


class ObjectStore(Protocol):
    """The port. Methods raise ``UnavailableError``, ``PermanentError`` or a kind of it, nothing foreign."""

    @property
    def url(self) -> str:
        """Where the store is, without secrets: ``file:///…`` or ``s3://bucket/prefix``."""
        ...

    def uri(self, key: str) -> str:
        """Where one object is, for other programs: ``file:///…/key`` or ``s3://bucket/prefix/key``."""
        ...

    def local_path(self, key: str) -> Path | None:
        """The file of an object, for programs that open paths; None where objects are no files.

        Raises:
            DataError: a link, device or pipe has its place. What is missing is not looked for.

        """
        ...

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        """Create ``key``, or give the hash of what is there. ``sha256`` (hex) saves hashing the body."""
        ...

    def put(self, key: str, body: Body) -> None:
        """Create or replace ``key``: at every moment either the old object is there or the new one."""
        ...

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None if there is none."""
        ...

    def read(self, key: str) -> Iterator[bytes]:
        """The object's bytes in chunks; raises ``NotFoundError`` if there is none."""
        ...

    def head(self, key: str) -> ObjectInfo | None:
        """Key, size and time, or None if there is none."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """All objects whose key starts with ``prefix``, in ascending key order."""
        ...

    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens if it is not there."""
        ...

    def scratch_file(self) -> Path:
        """A path for a file under construction, from which ``put_new`` is cheapest."""
        ...

    def close(self) -> None:
        """Free scratch space and close connections."""
        ...


def checked_key(key: str) -> str:
    """``key`` if it stays inside the lake; keys are partly built from untrusted data."""
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") for part in parts) or "\\" in key or not key.isprintable():
        raise DataError(f"{key!r} is not a valid key")
    return key


def key_below(folder: str, name: str) -> str:
    """The key below ``folder`` of an object whose name is from outside: the name itself in Unicode's normal form C.

    Raises:
        DataError: the name could mean another place, or is no text that a key can hold; it says why.

    """
    key = folder + unicodedata.normalize("NFC", name)
    if not name.isprintable():
        raise DataError("it has a control character or a space of another kind")
    if "\\" in name or any(part in ("", ".", "..") for part in name.split("/")):
        raise DataError("it is no plain path: a part of it is empty, '.', '..' or has a backslash")
    if len(key.encode()) > LONGEST_KEY_BYTES:
        raise DataError(f"its key would have {len(key.encode()):,} bytes, S3 takes {LONGEST_KEY_BYTES:,}")
    return key


def content_of(body: Body) -> str:
    """SHA-256 (hex) of a body."""
    return sha256_of(body) if isinstance(body, Path) else hashlib.sha256(body).hexdigest()


@contextlib.contextmanager
def scratch_folder(store: ObjectStore) -> Iterator[Path]:
    """A folder for files that are made before they are put into the store; it is removed with all it holds.

    Raises:
        AccessError: it cannot be created, or what is written there fails for the machine's sake.
        PermanentError: any other error of the file system within the block.

    """
    folder = store.scratch_file()
    try:
        with translate_os_errors(f"work in {folder}"):
            folder.mkdir()
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def put_new_numbered(store: ObjectStore, key_of: Callable[[int], str], path: Path) -> str:
    """The key under which a file is now: the first of ``key_of(1)``, ``key_of(2)`` … that is free or holds the same.

    A process that died may have left other content under the first ones. ``path`` stays.
    """
    sha256 = content_of(path)
    for number in itertools.count(1):
        copy = store.scratch_file()
        shutil.copyfile(path, copy)
        if store.put_new(key_of(number), copy, sha256=sha256).sha256 == sha256:
            break
    return key_of(number)


def put_or_agree(store: ObjectStore, key: str, body: bytes) -> PutResult:
    """Create ``key``, or find the same content there; raises ``ConflictError`` otherwise."""
    result = store.put_new(key, body)
    mine = content_of(body)
    if result.sha256 != mine:
        raise ConflictError(
            f"{store.url}/{key} already holds other content: there sha256 {result.sha256}, here {mine}.",
            advice="Nothing was overwritten.",
        )
    return result

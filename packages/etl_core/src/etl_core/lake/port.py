"""What a lake promises, whatever it stands on.

Keys are relative, with ``/`` between their parts. An object appears whole or not at all.
``put_new`` is create-only: of any number of writers of one key exactly one creates it, and
each of the others is told what is there. ``put`` replaces and is for caches only.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from etl_core.errors import ConflictError, DataError
from etl_core.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator

# Bytes held in memory, or a file of the caller's whose content is read (a directory may take the
# file itself, so the caller must not use it afterwards).
Body = bytes | Path


@dataclass(frozen=True)
class ObjectInfo:
    """One object: its key, its size in bytes, and when it was written."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class PutResult:
    """What lies under the key after ``put_new``: ours (``created``) or an earlier writer's."""

    created: bool
    sha256: str


class ObjectStore(Protocol):
    """The port. Methods raise ``UnavailableError``, ``AccessError`` or ``NotFoundError``, nothing foreign."""

    @property
    def url(self) -> str:
        """Where the store is, without secrets: ``file:///…`` or ``s3://bucket/prefix``."""
        ...

    def uri(self, key: str) -> str:
        """Where one object is, for other programs: ``file:///…/key`` or ``s3://bucket/prefix/key``."""
        ...

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        """Create ``key``, or tell what is there. ``sha256`` saves hashing a file once more."""
        ...

    def put(self, key: str, body: bytes) -> None:
        """Create or replace ``key``: for caches, never for facts."""
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
        """Release scratch space and connections."""
        ...


def checked_key(key: str) -> str:
    """``key`` if it stays inside the lake; keys are built from outside data, so this is the last gate."""
    parts = key.split("/")
    if not key or any(part in ("", ".", "..") for part in parts) or "\\" in key or not key.isprintable():
        raise DataError(f"{key!r} is no key of a lake")
    return key


def content_of(body: Body) -> str:
    """SHA-256 (hex) of a body."""
    return sha256_of(body) if isinstance(body, Path) else hashlib.sha256(body).hexdigest()


def put_or_agree(store: ObjectStore, key: str, body: bytes) -> PutResult:
    """Create ``key``, or find the same content there; raises ``ConflictError`` that names both hashes."""
    result = store.put_new(key, body)
    mine = content_of(body)
    if result.sha256 != mine:
        raise ConflictError(
            f"{store.url}/{key} already holds other content: there sha256 {result.sha256}, here {mine}.",
            advice="Nothing was overwritten.",
        )
    return result

"""Documents: versioned pydantic models stored in a lake, each as one JSON line.

A field is never renamed or reused: a new meaning is a new field and a new ``schema_version``. What was
stored is passed on byte for byte: a document remembers the bytes it was parsed from, so that a version
with a new field, copying an old document, writes the old bytes.
"""

from __future__ import annotations

from typing import Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from etl_core.errors import DataError
from etl_core.logs import get_logger

_log = get_logger()


class Value(BaseModel):
    """A frozen value that takes no field it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Document(Value):
    """An object of the lake."""

    # No field: it is neither compared nor copied, so that a changed copy is written as it is.
    __slots__ = ("_stored",)

    schema_version: Literal[1] = 1

    def to_bytes(self) -> bytes:
        """One JSON line; of a parsed document the very bytes it was parsed from."""
        stored: bytes | None = getattr(self, "_stored", None)
        return self.model_dump_json().encode() + b"\n" if stored is None else stored

    @classmethod
    def parse(cls, raw: bytes, key: str) -> Self:
        """The document of these bytes, which lay under ``key``; raises ``DataError`` if they are none."""
        try:
            return cls.model_validate_json(raw).stored_as(raw)
        except ValidationError as error:
            message = f"{key} is no {cls.__name__} of schema version 1: {error.errors()[0]['msg']}"
            advice = "It is damaged, or a newer version wrote it: restore it or move it away, or use that version."
            raise DataError(message, advice=advice) from error

    def is_at(self, key: str) -> bool:  # noqa: ARG002 - a document without ids of its own may lie anywhere
        """Whether what the document says of itself is the place ``key``: it may be a copy under another name."""
        return True

    def stored_as(self, raw: bytes) -> Self:
        """The same document, remembering the bytes it was parsed from."""
        object.__setattr__(self, "_stored", raw)
        return self


D = TypeVar("D", bound=Document)


class Readable(Protocol):
    """The part of a store that reading a document needs."""

    def get(self, key: str) -> bytes | None:
        """The bytes under a key, or None."""
        ...


def read(kind: type[D], store: Readable, key: str) -> D | None:
    """The document under ``key``, or None.

    Raises:
        DataError: what lies there is no such document, or is one of another place.

    """
    raw = store.get(key)
    if raw is None:
        return None
    found = kind.parse(raw, key)
    if not found.is_at(key):
        raise DataError(
            f"{key} is the {kind.__name__} of another place.",
            advice="It was copied or renamed: move it away, and restore what belongs here.",
        )
    return found


def read_or_skip(kind: type[D], store: Readable, key: str) -> D | None:
    """As ``read``; what cannot be read is named in the log, and counts as not there."""
    try:
        return read(kind, store, key)
    except DataError as error:
        _log.warning("skipped what cannot be read", key=key, error=str(error))
        return None

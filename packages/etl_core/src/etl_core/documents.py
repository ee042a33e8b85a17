"""Documents: versioned pydantic models stored in a lake, each as one JSON line.

A field is never renamed or reused: a new meaning is a new field and a new ``schema_version``. What was
stored is passed on byte for byte: a document remembers the bytes it was parsed from, so that a version
with a new field, copying an old document, writes the old bytes.
"""

from __future__ import annotations

from typing import Literal, Protocol, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from etl_core.errors import DataError


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
    """The document under ``key``, or None; raises ``DataError`` if what lies there is no such document."""
    raw = store.get(key)
    return None if raw is None else kind.parse(raw, key)

"""Documents: versioned pydantic models stored as JSON objects in a lake.

A field is never renamed or reused: a new meaning is a new field and a new ``schema_version``.
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

    schema_version: Literal[1] = 1

    def to_bytes(self) -> bytes:
        """One JSON document, readable by people."""
        return self.model_dump_json(indent=1).encode() + b"\n"

    def to_line(self) -> bytes:
        """One JSON line."""
        return self.model_dump_json().encode() + b"\n"

    @classmethod
    def parse(cls, raw: bytes, key: str) -> Self:
        """The document of these bytes, which lay under ``key``; raises ``DataError`` if they are none."""
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            message = f"{key} is no {cls.__name__} of schema version 1: {error.errors()[0]['msg']}"
            advice = "It is damaged, or a newer version wrote it: restore it or move it away, or use that version."
            raise DataError(message, advice=advice) from error


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

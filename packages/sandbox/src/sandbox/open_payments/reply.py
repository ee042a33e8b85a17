"""What goes back to a client: status, headers and a body in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Data:
    """Bytes to send, and how many rows they hold."""

    body: bytes | memoryview
    rows: int = 0


@dataclass(frozen=True)
class Pause:
    """Send nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class End:
    """Drop the connection here: closed, or reset by a TCP RST."""

    reset: bool = False


Chunk = Data | Pause | End


@dataclass
class Reply:
    """An answer. Without `length` it is sent in chunks, and only the last chunk marks its end."""

    status: int
    headers: Headers
    chunks: Iterable[Chunk]
    length: int | None = None
    cost: Mapping[str, int] = field(default_factory=dict)  # what the ledger notes of rows skipped, scanned and sorted
    delay: float = 0.0  # seconds before the first byte
    keep_seconds: float = 0.0  # how long the CDN repeats it, beyond what the settings say
    cached: bool = False


def body_reply(body: bytes, content_type: str, status: int = 200, *, rows: int = 0, headers: Headers = ()) -> Reply:
    """An answer whose length is known."""
    return Reply(status, (("Content-Type", content_type), *headers), [Data(body, rows)], len(body))


def json_reply(data: Any, status: int = 200, *, rows: int = 0, headers: Headers = ()) -> Reply:
    """A JSON answer; like PHP's `json_encode`, with everything beyond ASCII escaped."""
    body = json.dumps(data, separators=(",", ":")).encode()
    return body_reply(body, "application/json", status, rows=rows, headers=headers)

"""What goes back to a client: status, headers and a body in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import Headers
from sandbox.result import Chunk, Data
from sandbox.statement import Cost


@dataclass
class Reply:
    """An answer. Without `length` it is sent in chunks, and nothing but the last one tells where it ends."""

    status: int
    headers: Headers
    chunks: Iterable[Chunk]
    length: int | None = None
    cost: Cost = field(default_factory=Cost)
    delay: float = 0.0  # seconds before the first byte, beyond what the settings charge
    cache_for: float = 0.0  # seconds the CDN keeps a copy, beyond what the settings say
    cached: bool = False


def body_reply(body: bytes, content_type: str, status: int = 200, *, rows: int = 0, headers: Headers = ()) -> Reply:
    """An answer whose length is known."""
    return Reply(status, (("Content-Type", content_type), *headers), [Data(body, rows)], len(body))


def json_reply(data: Any, status: int = 200, *, rows: int = 0, headers: Headers = ()) -> Reply:
    """A JSON answer."""
    return body_reply(to_json(data), "application/json", status, rows=rows, headers=headers)


def to_json(data: Any) -> bytes:
    """Compact JSON; like PHP's `json_encode`, with everything beyond ASCII escaped."""
    return json.dumps(data, separators=(",", ":")).encode()

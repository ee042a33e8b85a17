"""What one answer of the API says. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from etl_core.documents import Value
from etl_core.errors import UnavailableError
from etl_core.json_text import parse_json
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

Record = dict[str, Any]


class Fields(Value):
    """Where an answer has its rows and its metadata, and a row its id; dots lead inward."""

    rows: str
    metadata: str
    id: str


class Metadata(NamedTuple):
    """What the API says of a page; None where it says nothing."""

    page: int | None
    per_page: int | None
    total_pages: int | None
    total: int | None


@dataclass(frozen=True)
class Page:
    """One answer that is stored under ``key``. ``content`` is the same for the same rows in any order."""

    key: str
    sweep: int
    number: int
    rows: int
    content: str
    said: Metadata


class WrongPageError(UnavailableError):
    """An answer with status 200 that is not the page asked for: asked again, it may come."""


def parse(body: bytes, fields: Fields) -> tuple[Metadata, list[Record]]:
    """The metadata and the rows of an answer; raises ``WrongPageError`` if it has no such things."""
    try:
        answer = parse_json(body)
    except ValueError as error:
        raise WrongPageError(f"{len(body)} bytes of invalid JSON") from error
    rows, said = _at(answer, fields.rows), _at(answer, fields.metadata)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise WrongPageError(f"no list of objects at {fields.rows!r}")
    return Metadata(*(_number(said, name) for name in Metadata._fields)), rows


def _at(answer: Any, path: str) -> Any:  # noqa: ANN401 - JSON
    return reduce(lambda inner, name: inner.get(name) if isinstance(inner, dict) else None, path.split("."), answer)


def _number(said: Any, name: str) -> int | None:  # noqa: ANN401 - JSON
    value = said.get(name) if isinstance(said, dict) else None
    if value is None:
        return None
    text = json.dumps(value).strip('"')
    if isinstance(value, bool) or not text.isdecimal() or len(text) > 18:
        raise WrongPageError(f"{name} is {printable(text, 40)}, not a number")
    return int(text)


def last_of(said: Metadata) -> int | None:
    """The number of the last page by what one answer says: total_pages may not know that per_page was lowered."""
    needed = [-(-said.total // said.per_page)] if said.total is not None and said.per_page else []
    stated = [one for one in (said.total_pages, *needed) if one is not None]
    return max(1, *stated) if stated else None


def content_of(rows: Sequence[Record]) -> str:
    """A hash of the rows that does not depend on their order."""
    texts = (json.dumps(row, sort_keys=True).encode() for row in rows)
    return f"{sum(int.from_bytes(hashlib.sha256(text).digest()) for text in texts) % (1 << 256):064x}"

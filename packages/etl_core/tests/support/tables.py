"""Tables written as a PHP source writes them, and read by means that are not ours.

Nothing here imports ``etl_core``: what it says is compared with what ``etl_core`` says.
"""

from __future__ import annotations

import csv
import hashlib
import io
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Row = Sequence[str]


def php_line(fields: Row, *, backslash: bool) -> str:
    """One record as PHP's fputcsv writes it, without line end.

    ``backslash`` is its default escape: a backslash forces quoting, and the quote after one is
    not doubled. Without it (escape ``''``) the result is RFC 4180. Written after main/file.c.
    """
    return ",".join(_php_field(field, backslash=backslash) for field in fields)


def _php_field(field: str, *, backslash: bool) -> str:
    special = ',"\n\r\t ' + ("\\" if backslash else "")
    if not any(character in field for character in special):
        return field
    written = ""
    escaped = False
    for character in field:
        if backslash and character == "\\":
            escaped = True
        elif character == '"' and not escaped:
            written += '"'
        else:
            escaped = False
        written += character
    return f'"{written}"'


def php_csv(header: Row, rows: Iterable[Row], *, backslash: bool) -> bytes:
    lines = [php_line(row, backslash=backslash) + "\n" for row in [header, *rows]]
    return "".join(lines).encode()


def content_hash(rows: Iterable[Row], leaving_out: Iterable[int]) -> str:
    """The sum of the SHA-256 of each record's other columns as RFC 4180, modulo 2**256."""
    absent = set(leaving_out)
    total = 0
    for row in rows:
        steady = [field for index, field in enumerate(row) if index not in absent]
        total += int(hashlib.sha256(php_line(steady, backslash=False).encode()).hexdigest(), 16)
    return f"{total % 2**256:064x}"


def python_csv(body: bytes) -> list[list[str]] | None:
    """What Python's csv module reads, header included; None if it refuses. Bytes are taken one to one."""
    try:
        return list(csv.reader(io.StringIO(body.decode("latin-1"), newline=""), strict=True))
    except csv.Error:
        return None


def possible_counts(body: bytes, width: int, *, backslash: bool) -> frozenset[int]:
    """How many records ``body`` (without header) may hold, in RFC 4180 without its liberties.

    With ``backslash`` every reading is followed in which a quote after a backslash is part of its
    field, or ends it, or is the first of a doubled one.
    """
    return _Readings(body.decode("latin-1"), width, backslash=backslash).field_at(0, 0)


class _Readings:
    """Counts of records from some place on, with so many fields of a record before it."""

    def __init__(self, text: str, width: int, *, backslash: bool) -> None:
        self._text = text
        self._width = width
        self._backslash = backslash
        self.field_at = cache(self._field_at)
        self.after_field = cache(self._after_field)
        self.inside = cache(self._inside)

    def _field_at(self, at: int, fields: int) -> frozenset[int]:
        if at == len(self._text):
            return frozenset({0}) if fields == 0 else frozenset()
        if fields == self._width:
            return frozenset()
        if self._text[at] == '"':
            return self.inside(at + 1, fields)
        stop = at
        while stop < len(self._text) and self._text[stop] not in ',"\r\n':
            stop += 1
        return self.after_field(stop, fields + 1)

    def _after_field(self, at: int, fields: int) -> frozenset[int]:
        follows = self._text[at : at + 1]
        if follows == ",":
            return self.field_at(at + 1, fields)
        if follows == "\n" and fields == self._width:
            return frozenset(count + 1 for count in self.field_at(at + 1, 0))
        return frozenset()

    def _inside(self, at: int, fields: int) -> frozenset[int]:
        found: frozenset[int] = frozenset()
        while (at := self._text.find('"', at)) >= 0:
            found |= self.after_field(at + 1, fields + 1)
            if self._text[at + 1 : at + 2] == '"':
                found |= self.inside(at + 2, fields)
            if not self._backslash or self._text[at - 1] != "\\":
                return found
            at += 1
        return found

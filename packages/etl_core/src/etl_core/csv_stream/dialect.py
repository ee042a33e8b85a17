r"""The two CSV dialects of a PHP source, and how one record of either is read and written.

*rfc4180*: a quote inside a quoted field is doubled, nothing else is special.
*backslash*: PHP's default escape. A quote right after a backslash is **not** doubled, and a
backslash forces quoting: the field ``5\" x`` is written ``"5\" x"``. A field that ends in a
backslash is written ``"C:\"``, which PHP itself cannot read back; the width of the record
decides between the readings, of which there is one at most.

Both quote a field that holds a comma, quote, space, tab or line break. Where a file holds
no backslash the two are the same, byte for byte.
"""

from __future__ import annotations

import re
from typing import Final, Literal, NamedTuple

Dialect = Literal["rfc4180", "backslash"]

# One field as both dialects write it, so without a backslash: one of them quotes it, the other may not.
BARE_FIELD: Final = rb'[^", \t\r\n\\]*+'
QUOTED_FIELD: Final = rb'"[^", \t\r\n\\]*+(?:[, \t\r\n]|"")[^"\\]*+(?:""[^"\\]*+)*+"'

_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n]*)')
# With literal quotes marked: a backslash forces quoting, so there is none in an unquoted field.
_MARKED_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n\xff]*)')
_NEEDS_QUOTES: Final = re.compile(rb'[," \t\r\n]')
# Stands for a quote that does not end its field. No UTF-8 text holds this byte.
_LITERAL_QUOTE: Final = b"\xff"

# A group of lines that is still no record after this many is given up.
LONGEST_RECORD_LINES = 1000


class FoundRecord(NamedTuple):
    """A record in a buffer: where it ends, its text without the line end, its fields; None if it has no reading.

    ``too_long`` says that it has no end within ``LONGEST_RECORD_LINES`` lines.
    """

    end: int
    raw: bytes
    fields: list[bytes] | None
    dialect: Dialect = "rfc4180"
    too_long: bool = False


def next_record(lines: bytes, start: int, width: int) -> FoundRecord | None:
    r"""The record that starts at ``start`` of whole lines, in either dialect; None if it does not end there.

    RFC 4180 comes first. If that does not give ``width`` fields and the text holds ``\\"``, the shortest
    group of lines that is a record of the backslash dialect counts.
    """
    end = end_by_quotes(lines, start)
    if end:
        raw = lines[start : end - 1]
        fields = _parse_rfc4180(raw, width, _FIELD)
        if fields is not None or b'\\"' not in raw:
            return FoundRecord(end, raw, fields)
    end, count = start, 0
    while (end := lines.find(b"\n", end) + 1) and count <= LONGEST_RECORD_LINES:
        count += 1
        raw = lines[start : end - 1]
        fields = _parse_backslash(raw, width)
        if fields is not None:
            return FoundRecord(end, raw, fields, "backslash")
    return FoundRecord(end, lines[start:end], None, too_long=True) if count > LONGEST_RECORD_LINES else None


def end_by_quotes(lines: bytes, start: int) -> int:
    """Where the record at ``start`` ends by RFC 4180, after its line end; 0 if it does not."""
    end = start
    quotes = 0
    while after := lines.find(b"\n", end) + 1:
        quotes += lines.count(b'"', end, after)
        if quotes % 2 == 0:
            return after
        end = after
    return 0


def parse_record(raw: bytes, width: int) -> list[bytes] | None:
    """Read one record without its line end, in whichever dialect gives ``width`` fields; None if neither does.

    There is never a second reading: after the first backslash with a quote the readings stand on
    different sides of a quoted field, and every quote that follows turns both over, to the end.
    """
    plain = _parse_rfc4180(raw, width, _FIELD)
    return _parse_backslash(raw, width) if plain is None else plain


def _parse_backslash(raw: bytes, width: int) -> list[bytes] | None:
    if b'\\"' not in raw or _LITERAL_QUOTE in raw:
        return None
    for marked in (
        raw.replace(b'\\"', b"\\" + _LITERAL_QUOTE),
        re.sub(rb'\\"(?!,|$)', b"\\\\" + _LITERAL_QUOTE, raw),
    ):
        fields = _parse_rfc4180(marked, width, _MARKED_FIELD)
        if fields is not None:
            return [field.replace(_LITERAL_QUOTE, b'"') for field in fields]
    return None


def _parse_rfc4180(raw: bytes, width: int, field: re.Pattern[bytes]) -> list[bytes] | None:
    fields: list[bytes] = []
    position, end = 0, len(raw)
    while True:
        match = field.match(raw, position)
        if match is None:  # pragma: no cover - the second branch matches the empty string
            return None
        quoted = match.group(1)
        fields.append(match.group(2) if quoted is None else quoted.replace(b'""', b'"'))
        position = match.end()
        if position == end:
            return fields if len(fields) == width else None
        if raw[position] != 0x2C or len(fields) == width:
            return None
        position += 1


def write_fields(fields: list[bytes]) -> bytes:
    """Fields as a record in RFC 4180, without a line end."""
    return b",".join(
        b'"' + field.replace(b'"', b'""') + b'"' if _NEEDS_QUOTES.search(field) else field for field in fields
    )

r"""The two CSV dialects of a PHP source, and how one record of either is read.

*RFC 4180*: a quote inside a quoted field is doubled, nothing else is special.
*Backslash*: PHP's default escape. A quote right after a backslash is **not** doubled, and a
backslash forces quoting: the field ``5\" x`` is written ``"5\" x"``. A field that ends in a
backslash is written ``"C:\"``, which PHP itself cannot read back; the width of the record
decides between the readings, and a record with two possible readings is refused.

Both quote a field if it holds a comma, quote, space, tab or line break. Where a file holds
no backslash the two are the same, byte for byte.
"""

from __future__ import annotations

import re
from typing import Final

_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n]*)')
# With literal quotes marked: a backslash forces quoting, so there is none in an unquoted field.
_MARKED_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n\xff]*)')
_NEEDS_QUOTES: Final = re.compile(rb'[," \t\r\n]')
# Stands for a quote that does not end its field. No UTF-8 text holds this byte.
_LITERAL_QUOTE: Final = b"\xff"


def parse_record(raw: bytes, width: int) -> list[bytes] | None:
    """Read one record without its line end, in whichever dialect gives ``width`` fields.

    Returns None if no reading, or more than one reading, does.
    """
    plain = _parse_rfc4180(raw, width, _FIELD)
    if b'\\"' not in raw or _LITERAL_QUOTE in raw:
        return plain
    readings = [plain] if plain is not None else []
    for escaped in (
        raw.replace(b'\\"', b"\\" + _LITERAL_QUOTE),
        re.sub(rb'\\"(?!,|$)', b"\\\\" + _LITERAL_QUOTE, raw),
    ):
        fields = _parse_rfc4180(escaped, width, _MARKED_FIELD)
        if fields is not None:
            fields = [field.replace(_LITERAL_QUOTE, b'"') for field in fields]
            if fields not in readings:
                readings.append(fields)
    return readings[0] if len(readings) == 1 else None


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
    """Fields as the RFC 4180 dialect of the source writes them, without a line end."""
    return b",".join(
        b'"' + field.replace(b'"', b'""') + b'"' if _NEEDS_QUOTES.search(field) else field for field in fields
    )

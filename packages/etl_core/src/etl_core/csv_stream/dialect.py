r"""The two CSV dialects of a PHP source, and how one record of either is read.

*RFC 4180*: a quote inside a quoted field is doubled, nothing else is special.
*Backslash*: PHP's default escape. A quote right after a backslash is **not** doubled, and a
backslash forces quoting: the field ``5\" x`` is written ``"5\" x"``. A field that ends in a
backslash is written ``"C:\"``, which PHP itself cannot read back; the width of the record
decides between the readings, of which there is one at most.

Both quote a field if it holds a comma, quote, space, tab or line break. Where a file holds
no backslash the two are the same, byte for byte.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n]*)')
# With literal quotes marked: a backslash forces quoting, so there is none in an unquoted field.
_MARKED_FIELD: Final = re.compile(rb'"([^"]*(?:""[^"]*)*)"|([^",\r\n\xff]*)')
_NEEDS_QUOTES: Final = re.compile(rb'[," \t\r\n]')
# Stands for a quote that does not end its field. No UTF-8 text holds this byte.
_LITERAL_QUOTE: Final = b"\xff"

# A group of lines that has not become a record after this many is given up.
LONGEST_RECORD_LINES = 1000


def records_of(lines: Sequence[bytes], width: int) -> tuple[list[bytes], list[bytes]]:
    r"""Lines without their ends, joined to records; and those at the end that do not yet make one.

    Lines that RFC 4180 explains are read so; only where it does not is ``\\"`` looked at line by
    line, in either dialect. More than ``LONGEST_RECORD_LINES`` left over never become a record.
    """
    records, open_lines = _by_quotes(lines)
    if not any(b'\\"' in line for line in lines):
        return records, open_lines
    fits = _whole(width).fullmatch
    # Those with the sign first: where RFC 4180 fails, it fails there.
    doubtful = [raw for raw in records if b'\\"' in raw]
    if open_lines or not all(map(fits, doubtful)) or not all(map(fits, records)):
        return _line_by_line(lines, width)
    return records, open_lines


def _by_quotes(lines: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """By RFC 4180."""
    records: list[bytes] = []
    group: list[bytes] = []
    inside = 0
    for line in lines:
        group.append(line)
        inside ^= line.count(b'"') & 1
        if not inside:
            records.append(b"\n".join(group))
            group.clear()
    return records, group


def _line_by_line(lines: Sequence[bytes], width: int) -> tuple[list[bytes], list[bytes]]:
    """In either dialect."""
    records: list[bytes] = []
    group: list[bytes] = []
    for line in lines:
        group.append(line)
        raw = b"\n".join(group)
        alone = len(group) == 1 and b'\\"' not in line and line.count(b'"') % 2 == 0
        if alone or parse_record(raw, width) is not None:
            records.append(raw)
            group.clear()
        elif len(group) > LONGEST_RECORD_LINES:
            break
    return records, group


@functools.cache
def _whole(width: int) -> re.Pattern[bytes]:
    """A record by RFC 4180."""
    cell = rb'(?:[^",\r\n]*+|"[^"]*+(?:""[^"]*+)*+")'
    return re.compile(b",".join([cell] * width))


def parse_record(raw: bytes, width: int) -> list[bytes] | None:
    """Read one record without its line end, in whichever dialect gives ``width`` fields; None if none does.

    There is never a second reading: after the first backslash with a quote the readings stand on
    different sides of a quoted field, and every quote that follows turns both over, to the end.
    """
    plain = _parse_rfc4180(raw, width, _FIELD)
    if plain is not None or b'\\"' not in raw or _LITERAL_QUOTE in raw:
        return plain
    for escaped in (
        raw.replace(b'\\"', b"\\" + _LITERAL_QUOTE),
        re.sub(rb'\\"(?!,|$)', b"\\\\" + _LITERAL_QUOTE, raw),
    ):
        fields = _parse_rfc4180(escaped, width, _MARKED_FIELD)
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
    """Fields as the RFC 4180 dialect of the source writes them, without a line end."""
    return b",".join(
        b'"' + field.replace(b'"', b'""') + b'"' if _NEEDS_QUOTES.search(field) else field for field in fields
    )

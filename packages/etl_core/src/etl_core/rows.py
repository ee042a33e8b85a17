r"""Records of a part that was proved before, handed out one by one: canonical bytes and fields.

``records`` proves a stream and hands out nothing; this reads again what it accepted, by the same
rules (``dialect``), and holds the bytes against their SHA-256 as they pass. What comes out is to
be trusted only once the iterator has ended. Memory: a chunk and its records.
"""

from __future__ import annotations

import csv
import hashlib
from typing import TYPE_CHECKING

from etl_core.dialect import LONGEST_RECORD_LINES, parse_record, records_of, write_fields
from etl_core.records import LONGEST_RECORD_BYTES, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A record as the RFC 4180 dialect writes it, which is what content hashes are made of, and its fields.
Row = tuple[bytes, list[str]]
# The csv module refuses fields over 131,072 characters, by a limit that the whole process shares.
_LONGEST_FOR_CSV = 100_000


def verified_rows(chunks: Iterable[bytes], sha256: str) -> Iterator[Row]:
    """The header, then every record; those that are hard to read come after the others of their chunk.

    Bytes that are no UTF-8 become lone surrogates in the fields (``surrogateescape``).

    Raises:
        RecordError: reason ``sha256``, at the end: the bytes are not the ones proved. ``width``,
            ``malformed``, ``truncated``: they are, and were never a part that ``records`` accepts.

    """
    digest = hashlib.sha256()

    def hashed() -> Iterator[bytes]:
        for chunk in chunks:
            digest.update(chunk)
            yield chunk

    passing, unread = hashed(), None
    try:
        yield from _rows(passing)
    except RecordError as error:
        unread = error
        for _ in passing:  # the hash of all of it says whether the bytes are to blame
            pass
    if digest.hexdigest() != sha256:
        raise RecordError("sha256", f"the bytes have sha256 {digest.hexdigest()}, proved was {sha256}") from unread
    if unread is not None:
        raise unread


def _rows(chunks: Iterator[bytes]) -> Iterator[Row]:
    r"""As ``records`` decides: a chunk is RFC 4180 if it can be; only if not, ``\\"`` is looked at line by line."""
    width, tail = 0, b""
    for chunk in chunks:
        *lines, tail = (tail + chunk).split(b"\n")
        if not width and lines:
            width = lines[0].count(b",") + 1  # titles hold no comma
        records, open_lines = records_of(lines, width)
        if len(open_lines) > LONGEST_RECORD_LINES:
            raise RecordError("malformed", f"{LONGEST_RECORD_LINES} lines and no record")
        yield from _read(records, width)
        tail = b"".join(line + b"\n" for line in open_lines) + tail
        if len(tail) > LONGEST_RECORD_BYTES:
            raise RecordError("malformed", f"a record has no end within {LONGEST_RECORD_BYTES} bytes")
    if tail:
        raise RecordError("truncated", "the part ends inside a record")


def _read(records: list[bytes], width: int) -> Iterator[Row]:
    """Without a backslash both dialects are one: for the csv module, ten times as fast as ``parse_record``."""
    easy = [raw for raw in records if b"\\" not in raw and len(raw) < _LONGEST_FOR_CSV]
    reader = csv.reader(map(_text, easy), strict=True)
    try:
        for number, (raw, fields) in enumerate(zip(easy, reader, strict=False), 1):
            if len(fields) != width or reader.line_num != number:
                raise RecordError("width", f"a record has {len(fields)} fields, the header has {width}")
            yield raw, fields
    except csv.Error as error:
        raise RecordError("malformed", f"a record cannot be read: {error}") from error
    for raw in records if len(easy) < len(records) else ():
        if b"\\" in raw or len(raw) >= _LONGEST_FOR_CSV:
            parsed = parse_record(raw, width)
            if parsed is None:
                raise RecordError("malformed", "a record cannot be read in either dialect")
            yield write_fields(parsed), [_text(field) for field in parsed]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

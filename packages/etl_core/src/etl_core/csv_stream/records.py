"""The fields of each record of a CSV stream, in either dialect and in bounded memory."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from etl_core.csv_stream.dialect import next_record
from etl_core.csv_stream.layout import excerpt
from etl_core.csv_stream.reader import LONGEST_RECORD_BYTES, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def fields_of(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The fields of each record after the header, which says how many each has.

    Raises:
        RecordError: ``no_header``, ``malformed`` or ``truncated``.

    """
    tail, width, number = b"", 0, 1
    for chunk in chunks:
        buffer, position = tail + chunk, 0
        end = buffer.rfind(b"\n") + 1
        lines = buffer[:end]
        if lines and not width:
            position = lines.index(b"\n") + 1
            width = len(next(csv.reader([lines[:position].decode("utf-8", "replace")])))
        while position < end and (found := next_record(lines, position, width)) is not None:
            if found.fields is None:
                raise RecordError("malformed", f"record {number} cannot be read: {excerpt(found.raw)}")
            yield found.fields
            position, number = found.end, number + 1
        tail = buffer[position:]
        if len(tail) > LONGEST_RECORD_BYTES:
            raise RecordError("malformed", f"record {number} has no end within {LONGEST_RECORD_BYTES} bytes")
    if not width:
        raise RecordError("no_header", "there is no header line")
    if tail:
        raise RecordError("truncated", f"the stream ends inside record {number}")

"""The fields of each record of a CSV stream, in either dialect and in bounded memory."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from etl_core.csv_stream.dialect import LONGEST_RECORD_LINES, parse_record, records_of
from etl_core.csv_stream.reader import RecordError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def fields_of(chunks: Iterable[bytes]) -> Iterator[list[bytes]]:
    """The fields of each record without the header, whose width all of them have.

    Raises:
        RecordError: ``no_header``, ``malformed`` or ``truncated``.

    """
    lines: list[bytes] = []
    tail, width, number = b"", 0, 0
    for chunk in chunks:
        *whole, tail = (tail + chunk).split(b"\n")
        lines += whole
        if not width and lines:
            width = len(next(csv.reader([lines.pop(0).decode("utf-8", "replace")]), []))
        records, lines = records_of(lines, width)
        for raw in records:
            number += 1
            fields = parse_record(raw, width)
            if fields is None:
                raise RecordError("malformed", f"record {number} cannot be read")
            yield fields
        if len(lines) > LONGEST_RECORD_LINES:
            raise RecordError("malformed", f"record {number + 1} cannot be read")
    if not width:
        raise RecordError("no_header", "there is no header line")
    if tail or lines:
        raise RecordError("truncated", f"the stream ends inside record {number + 1}")

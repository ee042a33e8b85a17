"""CSV written as a stream of records, hashed on the way: what a reader would find needs no second pass."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from etl_core.csv_stream.dialect import write_fields
from etl_core.csv_stream.reader import Summary

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO


class RecordWriter:
    """Writes a header, then records, to ``stream``, in RFC 4180."""

    def __init__(self, stream: BinaryIO, header: Iterable[str]) -> None:
        self._stream = stream
        self._sha256 = hashlib.sha256()
        self._records = self._bytes = self._content = 0
        text = write_fields([title.encode() for title in header])
        self._header_hash = hashlib.sha256(text).hexdigest()
        self._line(text)

    def write(self, fields: list[bytes]) -> None:
        """Write one record."""
        text = write_fields(fields)
        self._records += 1
        self._content += int.from_bytes(hashlib.sha256(text).digest())
        self._line(text)

    @property
    def summary(self) -> Summary:
        """As ``RecordReader`` finds it in what was written so far."""
        content = f"{self._content % (1 << 256):064x}"
        return Summary(self._records, self._bytes, self._sha256.hexdigest(), content, self._header_hash, "rfc4180")

    def _line(self, text: bytes) -> None:
        line = text + b"\n"
        self._sha256.update(line)
        self._bytes += len(line)
        self._stream.write(line)

"""CSV as a stream of records: width, key, byte hash and order-independent content hash in one pass.

The reader never repairs. It counts and hashes what follows the dialect (see ``dialect``)
and refuses the rest, so that a file it accepts has one reading only. Plain records, which are
nearly all, are matched by one pattern each (see ``layout``); the rest are parsed field by field.

**Content hash**: each record without its *volatile* columns, written in the RFC 4180
dialect and without line end, is hashed with SHA-256; the digests are added up as big-endian
integers modulo 2**256. Two files with the same records in any order and either dialect
have the same content hash.

Memory: a chunk, its pieces, and eight bytes per key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

from etl_core.csv_stream.dialect import next_record, parse_record, write_fields
from etl_core.csv_stream.keys import KeySet
from etl_core.csv_stream.layout import Layout, excerpt, header_difference, looks_like_a_header, plain_record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from etl_core.csv_stream.dialect import Dialect, FoundRecord

_MODULUS = 1 << 256
# The longest record known is some 12 kB. A "record" past this is an unbalanced quote.
LONGEST_RECORD_BYTES = 1 << 20


class RecordError(Exception):
    """The stream is not what was expected. ``reason`` is a short stable word for reports."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Record(NamedTuple):
    """What a reader hands out of one record; ``digest`` is the SHA-256 that the content hash sums up."""

    key: bytes
    mark: bytes | None
    digest: bytes


@dataclass(frozen=True)
class Summary:
    """What one pass over a stream found. ``bytes`` counts the header; ``records`` does not.

    ``dialect`` is ``backslash`` if at least one record could be read in that dialect only.
    """

    records: int
    bytes: int
    sha256: str
    content_hash: str
    header_hash: str
    dialect: Dialect


def require_header(line: bytes, layout: Layout) -> None:
    """Raise ``RecordError`` unless this first line of a stream, without its end, is the layout's header."""
    fields = parse_record(line, len(layout.header))
    found = tuple(name.decode("utf-8", "replace") for name in fields or ())
    if found and found in (layout.header, layout.other_header):
        return
    if looks_like_a_header(line, layout):
        raise RecordError("header", header_difference(line, layout.header))
    raise RecordError("error_row", f"the source wrote in place of a header: {excerpt(line)}")


class RecordReader:
    """Checks and hashes one CSV stream: ``feed`` it bytes, then ``finish``.

    Raises ``RecordError`` as soon as the stream is known to be wrong. Reasons: ``no_header``,
    ``header`` (names columns, others than the layout's), ``error_row`` (no header, or one field where a
    record belongs: the source writes its exceptions so), ``width``, ``malformed``, ``truncated``, ``foreign``
    (a record that does not meet the condition), ``repeated_key``.

    With ``handing_out``, ``take`` gives the records read since the last call. Do not trust them before
    ``finish`` has accepted the stream.
    """

    def __init__(self, layout: Layout, *, handing_out: bool = False) -> None:
        self._layout = layout
        self._width = len(layout.header)
        column = {name: index for index, name in enumerate(layout.header)}
        self._key = column[layout.key]
        self._mark = column.get(layout.mark)
        self._equal = {column[name]: value.encode() for name, value in layout.equal.items()}
        name, low, high = layout.between or (layout.key, "", "")
        self._between = (column[name], low.encode(), high.encode())
        self._steady = [index for index, name in enumerate(layout.header) if name not in layout.volatile]
        self._plain = plain_record(layout)
        self._taken: list[Record] | None = [] if handing_out else None
        self._sha256 = hashlib.sha256()
        self._received = 0
        self._records = 0
        self._content = 0
        self._keys = KeySet()
        self._tail = b""
        self._header_hash = ""
        self._dialect: Dialect = "rfc4180"

    @property
    def records(self) -> int:
        """Records read so far."""
        return self._records

    @property
    def keys(self) -> KeySet:
        """Keys of the records read so far."""
        return self._keys

    @property
    def received(self) -> int:
        """Bytes fed so far."""
        return self._received

    def take(self) -> list[Record]:
        """The records read since the last call, in their order."""
        taken = list(self._taken or ())
        if self._taken:
            self._taken.clear()
        return taken

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream, cut anywhere."""
        self._sha256.update(chunk)
        self._received += len(chunk)
        buffer = self._tail + chunk if self._tail else chunk
        end = buffer.rfind(b"\n") + 1
        if end == 0:
            self._tail = buffer
            self._bound_tail()
            return
        self._tail = buffer[end:]
        lines = buffer[:end]
        if not self._header_hash:
            lines = self._take_header(lines)
        if lines:
            rest = self._take_lines(lines)
            if rest:
                self._tail = rest + self._tail
        self._bound_tail()

    def finish(self) -> Summary:
        """The summary of the whole stream, if it ended where a record ends and no key came twice."""
        if not self._header_hash:
            raise RecordError("no_header", f"the answer ended after {self._received} bytes, before a header line")
        if self._tail:
            raise RecordError("truncated", f"the answer ends inside record {self._records + 1}: {excerpt(self._tail)}")
        repeated = self._keys.first_repeated()
        if repeated is not None:
            raise RecordError("repeated_key", f"{self._layout.key} {repeated} occurs more than once")
        return Summary(
            records=self._records,
            bytes=self._received,
            sha256=self._sha256.hexdigest(),
            content_hash=f"{self._content:064x}",
            header_hash=self._header_hash,
            dialect=self._dialect,
        )

    def _bound_tail(self) -> None:
        if len(self._tail) > LONGEST_RECORD_BYTES:
            raise RecordError("malformed", f"record {self._records + 1} has no end within {LONGEST_RECORD_BYTES} bytes")

    def _take_header(self, lines: bytes) -> bytes:
        line, _, rest = lines.partition(b"\n")
        require_header(line, self._layout)
        self._header_hash = hashlib.sha256(line).hexdigest()
        return rest

    def _take_lines(self, lines: bytes) -> bytes:
        """Take whole lines; returns those at the end that do not yet make a record."""
        position = self._take_plain(lines, 0)
        while position < len(lines):
            found = next_record(lines, position, self._width)
            if found is None:
                return lines[position:]
            self._take_parsed(found)
            position = self._take_plain(lines, found.end)
        return b""

    def _take_plain(self, lines: bytes, position: int) -> int:
        """Take plain records from ``position`` on; returns where the first other one starts. Nearly all CPU time."""
        match = self._plain.match
        matches = []
        while (found := match(lines, position)) is not None:
            matches.append(found.groups())
            position = found.end()
        if matches:
            columns = dict(zip(self._plain.groupindex, zip(*matches, strict=True), strict=True))
            for number, (index, value) in enumerate(self._equal.items()):
                self._check_equal(index, value, columns[f"equal{number}"])
            if self._layout.between:
                self._check_bounds(columns["between"])
            runs = [cells for name, cells in columns.items() if name.startswith("steady")]
            steady = (
                runs[0] if len(runs) == 1 else map(b",".join, zip(*runs, strict=True)) if runs else [b""] * len(matches)
            )
            self._add(columns["key"], columns.get("mark"), steady)
        return position

    def _take_parsed(self, found: FoundRecord) -> None:
        fields = found.fields
        if fields is None:
            raise self._misfit(found)
        for index, value in self._equal.items():
            self._check_equal(index, value, [write_fields([fields[index]])])
        self._check_bounds([fields[self._between[0]]])
        if found.dialect == "backslash":
            self._dialect = "backslash"
        mark = None if self._mark is None else [fields[self._mark]]
        self._add([fields[self._key]], mark, [write_fields([fields[index] for index in self._steady])])

    def _check_equal(self, index: int, value: bytes, written: Sequence[bytes]) -> None:
        """Compare a column of some records, as ``write_fields`` writes it, with the value it must have."""
        wanted = write_fields([value])
        if written.count(wanted) < len(written):
            at = next(at for at, one in enumerate(written) if one != wanted)
            (found,) = parse_record(written[at], 1) or (written[at],)
            raise self._foreign(index, found, value.decode(), after=at)

    def _check_bounds(self, values: Sequence[bytes]) -> None:
        index, low, high = self._between
        if min(values) < low or (high and max(values) >= high):
            at = next(at for at, value in enumerate(values) if value < low or (high and value >= high))
            raise self._foreign(index, values[at], f"[{low.decode()}, {high.decode()})", after=at)

    def _add(self, keys: Sequence[bytes], marks: Sequence[bytes] | None, steady: Iterable[bytes]) -> None:
        sha256 = hashlib.sha256
        digests = [sha256(text).digest() for text in steady]
        self._content = (self._content + sum(map(int.from_bytes, digests))) % _MODULUS
        self._keys.add_all(keys)
        self._records += len(keys)
        if self._taken is not None:
            self._taken += map(Record, keys, repeat(None) if marks is None else marks, digests)

    def _foreign(self, index: int, found: bytes, wanted: str, *, after: int = 0) -> RecordError:
        name = self._layout.header[index]
        at = self._records + after + 1
        return RecordError("foreign", f"record {at} has {name} {excerpt(found)}, asked for was {wanted}")

    def _misfit(self, found: FoundRecord) -> RecordError:
        at, raw = self._records + 1, found.raw
        width = b"".join(raw.split(b'"')[::2]).count(b",") + 1
        if width == 1 and not found.too_long:
            return RecordError("error_row", f"the source wrote in place of record {at}: {excerpt(raw)}")
        if width != self._width and not found.too_long:
            return RecordError("width", f"record {at} has {width} fields, the header has {self._width}")
        return RecordError("malformed", f"record {at} cannot be read: {excerpt(raw)}")

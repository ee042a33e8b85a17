"""CSV as a stream of records: width, key, byte hash and order-free content hash in one pass.

The reader never repairs. It counts and hashes what follows the dialect (see ``dialect``)
and refuses the rest, so that a file it accepts has one reading only.

**Content hash**: each record without its *volatile* columns, written in the RFC 4180
dialect and without line end, is hashed with SHA-256; the digests are added up as big-endian
integers modulo 2**256. Two files with the same records in any order and either dialect
have the same content hash.

Memory: a chunk, its pieces, and eight bytes per key.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass, field
from itertools import compress, pairwise
from operator import not_
from typing import TYPE_CHECKING, NamedTuple

from etl_core.csv_stream.dialect import LONGEST_RECORD_LINES, parse_record, records_of, write_fields
from etl_core.csv_stream.outline import outline_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MODULUS = 1 << 256
# The dictionary's longest record is some 12 kB. A "record" past this is an unbalanced quote.
LONGEST_RECORD_BYTES = 1 << 20


class RecordError(Exception):
    """The stream is not what was expected. ``reason`` is a short stable word for reports."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Layout:
    """What every record of a stream must look like.

    ``key`` names the column whose values are unique; ``equal`` the value a column must have
    in every record; ``between`` a column and the half-open text range ``[low, high)`` it must
    lie in (an empty bound is open); ``volatile`` the columns left out of the content hash;
    ``mark`` a column whose value is handed out with each record.
    ``other_header`` are other names under which the same columns may come.
    """

    header: tuple[str, ...]
    key: str
    other_header: tuple[str, ...] = ()
    equal: Mapping[str, str] = field(default_factory=dict)
    between: tuple[str, str, str] | None = None
    volatile: frozenset[str] = frozenset()
    mark: str = ""


class Record(NamedTuple):
    """What a reader hands out of one record; ``digest`` is the SHA-256 that the content hash sums up."""

    key: bytes
    mark: bytes | None
    digest: bytes


@dataclass(frozen=True)
class Summary:
    """What one pass over a stream found. ``bytes`` counts the header; ``records`` does not."""

    records: int
    bytes: int
    sha256: str
    content_hash: str
    header_hash: str


class KeySet:
    """Keys seen so far; tells at the end whether one came twice. Eight bytes a key.

    Numbers below 10**18 (every record id the source has today) are kept as integers,
    anything else as it is.
    """

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._others: list[bytes] = []

    def add(self, key: bytes) -> None:
        if key.isdigit() and len(key) <= 18 and (key[:1] != b"0" or key == b"0"):
            self._numbers.append(int(key))
        else:
            self._others.append(key)

    def add_all(self, keys: Sequence[bytes]) -> None:
        """Many keys at once; ten times as fast as one by one for keys that are numbers."""
        if b"".join(keys).isdigit() and max(map(len, keys)) <= 18 and min(keys) >= b"1":
            self._numbers.extend(map(int, keys))
        else:
            for key in keys:
                self.add(key)

    def __iter__(self) -> Iterator[int | bytes]:
        yield from self._numbers
        yield from self._others

    def first_repeated(self) -> str | None:
        """The smallest key that occurs more than once, or None."""
        for keys in (self._numbers, self._others):
            if len(set(keys)) < len(keys):
                repeated = next(one for one, two in pairwise(sorted(keys)) if one == two)
                return repeated.decode("utf-8", "replace") if isinstance(repeated, bytes) else str(repeated)
        return None


class RecordReader:
    """Checks and hashes one CSV stream: ``feed`` it bytes, then ``finish``.

    Raises ``RecordError`` as soon as the stream is known to be wrong. Reasons: ``no_header``,
    ``header`` (differs from the layout's), ``error_row`` (one field where a record belongs: the
    source writes its exceptions so), ``width``, ``malformed``, ``truncated``, ``foreign``
    (a record that does not meet the condition), ``repeated_key``.

    With ``handing_out`` the records themselves are to be had, too: ``take`` them between two feeds.
    They are to be trusted only once ``finish`` has accepted the stream.
    """

    def __init__(self, layout: Layout, *, handing_out: bool = False) -> None:
        self._width = len(layout.header)
        column = {name: index for index, name in enumerate(layout.header)}
        self._layout = layout
        self._key = column[layout.key]
        self._equal = {column[name]: value.encode() for name, value in layout.equal.items()}
        self._between: tuple[int, bytes, bytes] | None = None
        if layout.between is not None:
            name, low, high = layout.between
            self._between = (column[name], low.encode(), high.encode())
        self._volatile = frozenset(column[name] for name in layout.volatile)
        bounded = self._between[0] if self._between else None
        self._mark = column[layout.mark] if layout.mark else None
        self._taken: list[Record] | None = [] if handing_out else None
        self._outline = outline_of(self._width, self._equal, self._key, bounded, self._volatile)
        if handing_out and self._mark:
            self._outline = None  # of many records at once only the first column is known
        self._sha256 = hashlib.sha256()
        self._received = 0
        self._records = 0
        self._content = 0
        self._keys = KeySet()
        self._tail = b""
        self._header_hash = ""

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
        """The records read since this was last asked, those that are hard to read out of their order."""
        taken, self._taken = self._taken or [], []
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
            raise RecordError("truncated", f"the answer ends inside record {self._records + 1}: {_excerpt(self._tail)}")
        repeated = self._keys.first_repeated()
        if repeated is not None:
            raise RecordError("repeated_key", f"{self._layout.key} {repeated} occurs more than once")
        return Summary(
            records=self._records,
            bytes=self._received,
            sha256=self._sha256.hexdigest(),
            content_hash=f"{self._content:064x}",
            header_hash=self._header_hash,
        )

    def _bound_tail(self) -> None:
        if len(self._tail) > LONGEST_RECORD_BYTES:
            raise RecordError("malformed", f"record {self._records + 1} has no end within {LONGEST_RECORD_BYTES} bytes")

    def _take_header(self, lines: bytes) -> bytes:
        line, _, rest = lines.partition(b"\n")
        expected = self._layout.header
        fields = parse_record(line, self._width)
        found = tuple(name.decode("utf-8", "replace") for name in fields or ())
        if found != expected and (not found or found != self._layout.other_header):
            raise RecordError("header", _header_difference(line, expected))
        self._header_hash = hashlib.sha256(line).hexdigest()
        return rest

    def _take_lines(self, lines: bytes) -> bytes:
        """Take whole lines; returns those at the end that do not yet make a record."""
        return b"" if self._take_together(lines) else self._take_singly(lines)

    def _take_together(self, lines: bytes) -> bool:
        """All records at once, if nothing about them is unusual. Here a download spends its processor time."""
        cells = self._outline.cells_of(lines) if self._outline else None
        if cells is None:
            return False
        if self._between is not None and cells.between:
            _, low, high = self._between
            if min(cells.between) < low or (high and max(cells.between) >= high):
                return False
        records = lines.split(b"\n")
        records.pop()
        if len(records) != len(cells.keys):
            records = list(_join_broken_lines(records))
        keys = cells.keys
        if b"\\" in lines:
            # RFC 4180 explains it; but it may be quoted in one dialect and bare in the other: such records are parsed.
            plain = [b"\\" not in raw for raw in records]
            for raw in compress(records, map(not_, plain)):
                self._take_one(raw)
            records, keys = list(compress(records, plain)), list(compress(keys, plain))
        sha256 = hashlib.sha256
        # The first and the last column are the volatile ones, and not quoted.
        digests = [sha256(raw[raw.index(b",") + 1 : raw.rindex(b",")]).digest() for raw in records]
        self._content = (self._content + sum(map(int.from_bytes, digests))) % _MODULUS
        self._keys.add_all(keys)
        self._records += len(records)
        if self._taken is not None:
            marks = [None if self._mark is None else raw[: raw.index(b",")] for raw in records]
            self._taken += map(Record, keys, marks, digests)
        return True

    def _take_singly(self, lines: bytes) -> bytes:
        """Those that need it record by record, in either dialect; the rest, if that is not all, together."""
        records, open_lines = records_of(lines.split(b"\n")[:-1], self._width)
        plain = b"".join(raw + b"\n" for raw in records if b"\\" not in raw)
        together = len(plain) < len(lines) and self._take_together(plain)
        for raw in records:
            if not together or b"\\" in raw:
                self._take_one(raw)
        if len(open_lines) > LONGEST_RECORD_LINES:
            raise RecordError("malformed", f"record {self._records + 1} cannot be read: {_excerpt(open_lines[0])}")
        return b"".join(line + b"\n" for line in open_lines)

    def _take_one(self, raw: bytes) -> None:
        fields = parse_record(raw, self._width)
        if fields is None:
            raise self._misfit(raw)
        for index, value in self._equal.items():
            if fields[index] != value:
                raise self._foreign(index, fields[index], value.decode())
        if self._between is not None:
            index, low, high = self._between
            if fields[index] < low or (high and fields[index] >= high):
                raise self._foreign(index, fields[index], f"[{low.decode()}, {high.decode()})")
        self._keys.add(fields[self._key])
        steady = [value for index, value in enumerate(fields) if index not in self._volatile]
        digest = hashlib.sha256(write_fields(steady)).digest()
        self._content = (self._content + int.from_bytes(digest, "big")) % _MODULUS
        self._records += 1
        if self._taken is not None:
            self._taken.append(Record(fields[self._key], None if self._mark is None else fields[self._mark], digest))

    def _foreign(self, index: int, found: bytes, wanted: str) -> RecordError:
        name = self._layout.header[index]
        return RecordError(
            "foreign", f"record {self._records + 1} has {name} {_excerpt(found)}, asked for was {wanted}"
        )

    def _misfit(self, raw: bytes) -> RecordError:
        at = self._records + 1
        width = b"".join(raw.split(b'"')[::2]).count(b",") + 1
        if width == 1:
            return RecordError("error_row", f"the source wrote in place of record {at}: {_excerpt(raw)}")
        if width != self._width:
            return RecordError("width", f"record {at} has {width} fields, the header has {self._width}")
        return RecordError("malformed", f"record {at} cannot be read: {_excerpt(raw)}")


def _join_broken_lines(lines: list[bytes]) -> Iterator[bytes]:
    """Physical lines joined into records where a quoted field holds line breaks."""
    open_lines: list[bytes] = []
    for line in lines:
        odd = line.count(b'"') % 2
        if open_lines or odd:
            open_lines.append(line)
            if odd and len(open_lines) > 1:
                yield b"\n".join(open_lines)
                open_lines.clear()
        else:
            yield line


def _header_difference(line: bytes, expected: tuple[str, ...]) -> str:
    found = line.decode("utf-8", "replace").replace('"', "").split(",")
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if not missing and not extra:
        return f"the header has its {len(found)} columns in another order or twice"
    return f"the header misses {missing[:5]} and adds {[_excerpt(name.encode()) for name in extra[:5]]}"


def _excerpt(raw: bytes, length: int = 160) -> str:
    """The start of untrusted bytes as printable text."""
    text = raw[:length].decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "·" for character in text)

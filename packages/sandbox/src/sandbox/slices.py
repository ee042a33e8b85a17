"""A slice: the rows of one payer in one release, held as codes and, once somebody reads them, as CSV bytes."""

from __future__ import annotations

import hashlib
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate, chain, islice, pairwise, repeat

from sandbox.blocks import Block, Values
from sandbox.csv_dialect import Dialect

Span = tuple[int, int, Values]  # first row, row after the last, texts

_RENDERED_AT_ONCE = 2_000  # the rows of one round stay in the processor cache: half the time of 50,000
_PUBLICATION_DATE_AND_LINE_END = len(",MM/DD/YYYY\n")


@lru_cache(maxsize=64)
def _places(widths: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Column number to (block number, place inside the block)."""
    return tuple((number, place) for number, width in enumerate(widths) for place in range(width))


class Slice:
    """Rows in the order of the text of their payment date, as blocks side by side."""

    def __init__(
        self,
        blocks: Sequence[Block],
        codes: Sequence[Sequence[int] | None],
        rows: int,
        grown: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`codes[k]` are the codes of `blocks[k]`, one a row; None means code 0 throughout.

        `grown` is told the bytes of every body that is rendered later.
        """
        self.blocks = tuple(blocks)
        self.codes = tuple(codes)
        self.rows = rows
        self.places = _places(tuple(block.width for block in blocks))
        self._bodies: dict[Dialect, tuple[memoryview, Sequence[int]]] = {}
        self._grown = grown
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory held, in bytes, near enough to steer a cache."""
        held = sum(len(codes) * getattr(codes, "itemsize", 8) for codes in self.codes if codes is not None)
        return held + sum(len(body) + 8 * self.rows for body, _ in self._bodies.values())

    def _of(self, block: int) -> Iterable[int]:
        codes = self.codes[block]
        return repeat(0, self.rows) if codes is None else codes

    def texts(self, column: int) -> list[str]:
        """One column of every row."""
        block, place = self.places[column]
        return list(self.blocks[block].texts(self._of(block), place))

    def row(self, at: int) -> Values:
        """All the fields of one row."""
        return tuple(
            chain.from_iterable(
                block.value(0 if codes is None else codes[at])
                for block, codes in zip(self.blocks, self.codes, strict=True)
            )
        )

    def spans(self, columns: Sequence[int], rows: int, *, split: bool) -> Iterable[Span]:
        """The first `rows` rows as (start, stop, texts of the columns): rows with equal texts may share a span.

        They do where the columns belong to one ordered block, unless `split`.
        """
        used = {self.places[column][0] for column in columns}
        codes = self.codes[number := min(used)]
        if len(used) == 1 and not split and self.blocks[number].ordered and codes is not None:
            for code, value in enumerate(self.blocks[number].values):
                start, stop = bisect_left(codes, code, 0, rows), bisect_right(codes, code, 0, rows)
                if start < stop:
                    yield start, stop, tuple(value[self.places[column][1]] for column in columns)
        else:
            texts = zip(*(islice(self.texts(column), rows) for column in columns), strict=True)
            yield from zip(range(rows), range(1, rows + 1), texts, strict=False)

    def body(self, dialect: Dialect) -> tuple[memoryview, Sequence[int]]:
        """The rows as CSV, and `rows + 1` byte offsets: row k is `body[offsets[k]:offsets[k + 1]]`."""
        with self._lock:
            if dialect not in self._bodies:
                self._bodies[dialect] = self._render(dialect)
                self._grown(len(self._bodies[dialect][0]) + 8 * self.rows)
            return self._bodies[dialect]

    def _render(self, dialect: Dialect) -> tuple[memoryview, Sequence[int]]:
        body = bytearray()
        lengths: list[int] = []
        for start in range(0, self.rows, _RENDERED_AT_ONCE):
            count = min(_RENDERED_AT_ONCE, self.rows - start)
            parts = [
                block.render(repeat(0, count) if codes is None else codes[start : start + count], dialect)
                for block, codes in zip(self.blocks, self.codes, strict=True)
            ]
            records = list(map(b",".join, zip(*parts, strict=True)))
            records.append(b"")
            lengths += [len(line) + 1 for line in records[:-1]]
            body += b"\n".join(records)
        return memoryview(body), array("Q", chain((0,), accumulate(lengths)))

    def content_hash(self) -> int:
        """Sum modulo 2**256 of the SHA-256 of each record without its first and last field, dialect B.

        The two fields left out are Change_Type and Payment_Publication_Date, which every publication
        rewrites on every row (facts 3.1). The sum does not depend on the order of the rows.
        """
        body, offsets = self.body("B")
        total = 0
        for start, end in pairwise(offsets):
            line = bytes(body[start:end])
            core = line[line.index(b",") + 1 : -_PUBLICATION_DATE_AND_LINE_END]
            total += int.from_bytes(hashlib.sha256(core).digest(), "big")
        return total % (1 << 256)

"""A slice: the rows of one payer in one release, held as codes and, once somebody reads them, as CSV bytes.

Adjacent columns that vary together are stored once, as a block of ready values; a row is one code per block.
A block's values are rendered once, so a row costs one join of ready bytes.
"""

from __future__ import annotations

import hashlib
import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain
from typing import overload

from sandbox.open_payments.csv_dialect import Dialect, record

Values = tuple[str, ...]

_RENDERED_AT_ONCE = 2_000  # the rows of one round stay in the processor cache: half the time of 50,000


class Later(Sequence[Values]):
    """Values that are made when the first of them is read."""

    def __init__(self, make: Callable[[], Sequence[Values]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Sequence[Values]:
        return self._make()

    def __len__(self) -> int:
        return len(self._made)

    @overload
    def __getitem__(self, at: int) -> Values: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Values]: ...
    def __getitem__(self, at: int | slice) -> Values | Sequence[Values]:
        return self._made[at]


class Block:
    """`values[code]` holds the texts of adjacent columns."""

    def __init__(self, values: Sequence[Values], width: int | None = None) -> None:
        self.values = values
        self.width = width or (len(values[0]) if values else 0)
        self._rendered: dict[Dialect, list[bytes]] = {}

    def rendered(self, dialect: Dialect) -> list[bytes]:
        """CSV bytes of each value, without a separator after them."""
        if dialect not in self._rendered:
            self._rendered[dialect] = [record(value, dialect) for value in self.values]
        return self._rendered[dialect]


class Slice:
    """Rows as blocks side by side, each with its codes, one a row; `volatile` lists blocks that are not content."""

    def __init__(self, blocks: Sequence[tuple[Block, Sequence[int]]], volatile: Collection[int] = ()) -> None:
        self._blocks, self.rows = blocks, len(blocks[0][1])
        self._content = [pair for at, pair in enumerate(blocks) if at not in volatile]
        self._bodies: dict[Dialect, tuple[memoryview, Sequence[int]]] = {}
        self._lock = threading.Lock()

    @classmethod
    def of_rows(cls, rows: Sequence[Values]) -> Slice:
        """Rows that are ready."""
        return cls([(Block(rows), range(len(rows)))])

    def texts(self, column: int) -> list[str]:
        """One column of every row."""
        blocks = iter(self._blocks)
        block, codes = next(blocks)
        while block.width and column >= block.width:
            column -= block.width
            block, codes = next(blocks)
        texts = [value[column] for value in block.values]
        return list(map(texts.__getitem__, codes))

    def row(self, at: int) -> Values:
        """All the fields of one row."""
        return tuple(chain.from_iterable(block.values[codes[at]] for block, codes in self._blocks))

    def body(self, dialect: Dialect) -> tuple[memoryview, Sequence[int]]:
        """The rows as CSV, and `rows + 1` byte offsets: row k is `body[offsets[k]:offsets[k + 1]]`."""
        with self._lock:
            if dialect not in self._bodies:
                self._bodies[dialect] = self._render(dialect)
            return self._bodies[dialect]

    def _render(self, dialect: Dialect) -> tuple[memoryview, Sequence[int]]:
        body, lengths = bytearray(), array("Q", [0])
        for lines in self._lines(self._blocks, dialect):
            lengths.extend(len(line) + 1 for line in lines)
            body += b"\n".join([*lines, b""])
        return memoryview(body), array("Q", accumulate(lengths))

    def _lines(self, blocks: Sequence[tuple[Block, Sequence[int]]], dialect: Dialect) -> Iterator[list[bytes]]:
        columns = [(block.rendered(dialect), codes) for block, codes in blocks]
        for start in range(0, self.rows, _RENDERED_AT_ONCE):
            parts = [map(ready.__getitem__, codes[start : start + _RENDERED_AT_ONCE]) for ready, codes in columns]
            yield list(map(b",".join, zip(*parts, strict=True)))

    @cached_property
    def content_hash(self) -> str:
        """Sum modulo 2**256 of the SHA-256 of each record without its volatile fields, in dialect B.

        Those are Change_Type and Payment_Publication_Date, which every publication rewrites on every row
        (facts 3.1). The sum does not depend on the order of the rows.
        """
        digests = (hashlib.sha256(line).digest() for lines in self._lines(self._content, "B") for line in lines)
        return f"{sum(int.from_bytes(digest, 'big') for digest in digests) % (1 << 256):064x}"

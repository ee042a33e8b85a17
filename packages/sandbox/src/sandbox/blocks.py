"""Dictionary-encoded columns: adjacent columns that vary together, stored once and referred to by code.

A row is one code per block. A block's possible values are rendered to CSV once, so a row costs one join of ready bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sandbox.csv_dialect import Dialect, record

Values = tuple[str, ...]


class Block:
    """`values[code]` holds the texts of `width` adjacent columns."""

    def __init__(self, values: Sequence[Values], *, ordered: bool = False) -> None:
        self.values = values
        self.width = len(values[0])
        self.ordered = ordered  # codes ascend along the rows of a slice: equal ones lie together
        self._rendered: dict[Dialect, list[bytes]] = {}

    def value(self, code: int) -> Values:
        return self.values[code]

    def texts(self, codes: Iterable[int], place: int) -> Iterable[str]:
        """One column's text for each code."""
        return map([value[place] for value in self.values].__getitem__, codes)

    def render(self, codes: Iterable[int], dialect: Dialect) -> Iterable[bytes]:
        """CSV bytes of the block for each code, without a separator after them."""
        ready = self._rendered.get(dialect)
        if ready is None:
            ready = self._rendered[dialect] = [record(value, dialect) for value in self.values]
        return map(ready.__getitem__, codes)


class NumberBlock(Block):
    """One column of numbers: the code is the value (record ids, which never repeat)."""

    def __init__(self) -> None:
        super().__init__([("",)])

    def value(self, code: int) -> Values:
        return (str(code),)

    def texts(self, codes: Iterable[int], place: int) -> Iterable[str]:  # noqa: ARG002
        return map(str, codes)

    def render(self, codes: Iterable[int], dialect: Dialect) -> Iterable[bytes]:  # noqa: ARG002
        return map(b"%d".__mod__, codes)

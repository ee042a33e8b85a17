"""Rows of a table by reference, in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """Rows of one part: a range where they lie together, else a list of row numbers."""

    part: str
    rows: Sequence[int]

    def __len__(self) -> int:
        return len(self.rows)


def total(runs: Sequence[Run]) -> int:
    return sum(map(len, runs))


def cut(runs: Sequence[Run], start: int, stop: int) -> list[Run]:
    """Rows number `start` to `stop` of the runs taken together."""
    kept, reached = [], 0
    for run in runs:
        low, high = max(0, start - reached), min(len(run), stop - reached)
        if low < high:
            kept.append(Run(run.part, run.rows[low:high]))
        reached += len(run)
    return kept


def rotated(runs: Sequence[Run], turn: int) -> list[Run]:
    """The same rows from another first one: the database promises no order without a sort (facts 1.3)."""
    rows = total(runs)
    start = int(turn * 0.618033988749895 * rows) % rows if rows else 0
    return cut(runs, start, rows) + cut(runs, 0, start)

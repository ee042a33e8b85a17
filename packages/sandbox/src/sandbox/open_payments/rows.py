"""Rows on their way out: runs of a table by reference, cut and turned, then projected and written as CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from sandbox.open_payments.csv_dialect import Dialect, record
from sandbox.open_payments.reply import Chunk, Data, End, Pause
from sandbox.open_payments.slices import Slice

Row = tuple[str | None, ...]  # NULL is None

# One write and one chunk header for so many bytes: smaller ones cost more calls than the copying itself.
_BUFFER = 512 * 1024
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Run:
    """Rows of one part: a range where they lie together, else a list of row numbers."""

    part: str
    rows: Sequence[int]


def total(runs: Sequence[Run]) -> int:
    return sum(len(run.rows) for run in runs)


def cut(runs: Sequence[Run], start: int, stop: int) -> list[Run]:
    """Rows number `start` to `stop` of the runs taken together."""
    kept, reached = [], 0
    for run in runs:
        low, high = max(0, start - reached), min(len(run.rows), stop - reached)
        if low < high:
            kept.append(Run(run.part, run.rows[low:high]))
        reached += len(run.rows)
    return kept


def rotated(runs: Sequence[Run], turn: int) -> list[Run]:
    """The same rows from another first one: the database promises no order without a sort (facts 1.3)."""
    rows = total(runs)
    start = int(turn * 0.618033988749895 * rows) % rows if rows else 0
    return cut(runs, start, rows) + cut(runs, 0, start)


@dataclass
class Result:
    """Rows of an answer. `pick` lists the columns wanted; beyond the table's last one there is an empty one."""

    read: Callable[[str], Slice]
    names: list[str]
    header: list[str]
    pick: list[int] | None  # None: all columns in the table's order
    pieces: Sequence[Run | Chunk]

    @property
    def runs(self) -> list[Run]:
        return [piece for piece in self.pieces if isinstance(piece, Run)]

    def rows(self, run: Run) -> Iterable[Row]:
        """All the fields of each row of a run."""
        return map(self.read(run.part).row, run.rows)

    def values(self, run: Run) -> Iterator[Row]:
        """The texts of each row of a run."""
        for row in self.rows(run):
            yield row if self.pick is None else tuple([(*row, "")[column] for column in self.pick])

    def objects(self) -> list[dict[str, str | None]]:
        """The rows as JSON shows them."""
        return [dict(zip(self.names, row, strict=True)) for run in self.runs for row in self.values(run)]

    def chunks(self, dialect: Dialect) -> Iterator[Chunk]:
        """The header row, on every request and also before no rows at all, then the rows."""
        yield Data(record(self.header, dialect) + b"\n")
        for piece in self.pieces:
            if isinstance(piece, Data | Pause | End):
                yield piece
            elif self.pick is not None:
                lines = [record(values, dialect) + b"\n" for values in self.values(piece)]
                yield Data(b"".join(lines), len(lines))
            else:
                yield from _ready(self.read(piece.part), piece.rows, dialect)


@dataclass
class Computed(Result):
    """Rows that are no table's; they are of one part, and `pick` lists all their columns."""

    made: Sequence[Row] = ()

    def rows(self, run: Run) -> Iterable[Row]:
        return map(self.made.__getitem__, run.rows)


def _ready(part: Slice, rows: Sequence[int], dialect: Dialect) -> Iterator[Data]:
    body, offsets = part.body(dialect)
    if isinstance(rows, range):
        step = max(1, _BUFFER * part.rows // len(body))
        for some in (rows[start : start + step] for start in range(0, len(rows), step)):
            yield Data(body[offsets[some[0]] : offsets[some[-1] + 1]], len(some))
    else:
        for picked in (rows[start : start + _ROWS_AT_ONCE] for start in range(0, len(rows), _ROWS_AT_ONCE)):
            yield Data(b"".join([body[offsets[row] : offsets[row + 1]] for row in picked]), len(picked))

"""An answer's rows on their way out: runs of a table, projected, as CSV bytes or as texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter

from sandbox.blocks import Values
from sandbox.csv_dialect import Dialect, record
from sandbox.runs import Run, total
from sandbox.slices import Slice

ROW_NUMBER, BLANK = -1, -2  # columns that no table has: record_number, and one that a drifted header adds

# One write and one chunk header for so many bytes: smaller ones cost more calls than the copying itself.
_BUFFER = 512 * 1024
_ROWS_AT_ONCE = 512


@dataclass(frozen=True)
class Data:
    """Bytes to send, and how many rows they hold."""

    body: bytes | memoryview
    rows: int = 0


@dataclass(frozen=True)
class Pause:
    """Send nothing for a while, in seconds."""

    seconds: float


@dataclass(frozen=True)
class End:
    """Drop the connection here: closed, or reset by a TCP RST."""

    reset: bool = False


Piece = Run | Data | Pause | End
Chunk = Data | Pause | End


@dataclass
class Result:
    """Rows of an answer. `pick` lists the columns wanted, None for all of them in the table's order."""

    read: Callable[[str], Slice]
    names: list[str]  # keys of JSON rows
    header: list[str]
    pick: list[int] | None
    pieces: list[Piece]
    rows_before: Callable[[str], int] = lambda _: 0  # rows of the table before a part

    @property
    def runs(self) -> list[Run]:
        return [piece for piece in self.pieces if isinstance(piece, Run)]

    @property
    def rows(self) -> int:
        return total(self.runs)

    def values(self, run: Run) -> Iterator[Values]:
        """The texts of each row of a run."""
        part = self.read(run.part)
        if self.pick is None:
            return map(part.row, run.rows)
        choose = itemgetter(*self.pick, 0)  # one more, so that it is a tuple also for a single column
        first = self.rows_before(run.part) + 1
        # The extra columns follow the table's own, where BLANK and ROW_NUMBER find them.
        return (choose((*part.row(row), "", str(first + row)))[:-1] for row in run.rows)

    def chunks(self, dialect: Dialect) -> Iterator[Chunk]:
        """The rows as CSV; small buffers are put together."""
        waiting: list[Data] = []
        size = 0
        for piece in self._buffers(dialect):
            small = isinstance(piece, Data) and len(piece.body) < _BUFFER // 2
            if waiting and (not small or size > _BUFFER):
                yield _together(waiting)
                waiting, size = [], 0
            if small and isinstance(piece, Data):
                waiting.append(piece)
                size += len(piece.body)
            else:
                yield piece
        if waiting:
            yield _together(waiting)

    def _buffers(self, dialect: Dialect) -> Iterator[Chunk]:
        for piece in self.pieces:
            if not isinstance(piece, Run):
                yield piece
            elif self.pick is None:
                yield from _ready_rows(self.read(piece.part), piece.rows, dialect)
            else:
                rows = self.values(piece)
                while lines := [record(values, dialect) + b"\n" for values in islice(rows, _ROWS_AT_ONCE)]:
                    yield Data(b"".join(lines), len(lines))


def _together(pieces: Sequence[Data]) -> Data:
    return Data(b"".join(piece.body for piece in pieces), sum(piece.rows for piece in pieces))


def _ready_rows(part: Slice, rows: Sequence[int], dialect: Dialect) -> Iterable[Data]:
    body, offsets = part.body(dialect)
    if isinstance(rows, range):
        step = max(1, _BUFFER * part.rows // max(1, len(body)))
        for start in range(rows.start, rows.stop, step):
            stop = min(rows.stop, start + step)
            yield Data(body[offsets[start] : offsets[stop]], stop - start)
    else:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            yield Data(b"".join([body[offsets[row] : offsets[row + 1]] for row in some]), len(some))


def rows_of(result: Result) -> Iterator[Values]:
    for run in result.runs:
        yield from result.values(run)

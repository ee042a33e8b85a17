"""How a slice is cut into windows, one part each. Pure.

The cut depends on the slice's row count alone, so every process on every machine cuts a slice the
same way. Windows are half-open ranges of the *text* of the payment date (``MM/DD/YYYY``). The
first and the last are open, so together they contain every text, odd ones too (``11/30/0002``
falls in November): they tile the slice by construction.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import ClassVar

from pydantic import ConfigDict

# The source does not index the payment date: each window makes it read all rows of the payer, so
# few large windows are cheaper for it. 60,000 rows are about 34 MB, 17 s at 2 MB/s per stream:
# what a broken stream loses.
ROWS_PER_WINDOW = 60_000
# One window per stream of the default 8 lets one company use all of them. From here on the source
# reads no more rows than with windows of 60,000 (docs/decisions/0002-windows.md).
STREAMS = 8
ROWS_FOR_ALL_STREAMS = 4 * ROWS_PER_WINDOW
ROWS_PER_ROUND = 12 * ROWS_PER_WINDOW
# Over 25 million rows, more than any company has. At 288 windows each is still longer than the busiest day.
MOST_WINDOWS = 36 * STREAMS
# General Payments of program year 2025, January to December: windows of equal rows end together, those of equal
# days differ by a third.
_ROWS_PER_MONTH = (
    1_177_779, 1_294_752, 1_402_344, 1_488_614, 1_440_029, 1_322_084,
    1_327_688, 1_346_794, 1_437_050, 1_604_988, 1_244_090, 1_045_644,
)  # fmt: skip
_YEAR = 2000  # a leap year: a window may begin on February 29


@dataclass(frozen=True)
class Window:
    """Window ``number`` of ``of``: rows whose payment date, as text, is in ``[low, high)``; "" is open."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")

    number: int
    of: int
    low: str
    high: str

    @property
    def is_whole_slice(self) -> bool:
        """Whether the slice was not cut."""
        return self.of == 1

    def holds(self, payment_date: str) -> bool:
        """Whether a row with that payment date belongs here."""
        return self.low <= payment_date and (not self.high or payment_date < self.high)


def cut(rows: int) -> tuple[Window, ...]:
    """The windows of a slice of ``rows`` rows.

    Up to 240,000 rows one window per 60,000; up to 720,000 rows 8; above that 8 more for each
    further 720,000; at most 288.
    """
    if rows <= ROWS_FOR_ALL_STREAMS:
        return tiles(max(1, math.ceil(rows / ROWS_PER_WINDOW)))
    return tiles(min(STREAMS * math.ceil(rows / ROWS_PER_ROUND), MOST_WINDOWS))


def tiles(of: int) -> tuple[Window, ...]:
    """``of`` windows of about equal numbers of rows, as payments are spread over a year."""
    share = sum(_ROWS_PER_MONTH) / of
    edges = [_day_after(number * share) for number in range(1, of)]
    lows, highs = ["", *edges], [*edges, ""]
    return tuple(Window(number + 1, of, low, high) for number, (low, high) in enumerate(zip(lows, highs, strict=True)))


def tile_the_slice(windows: Sequence[Window]) -> bool:
    """Whether these windows, in this order, are all windows of one cut: no gap, no overlap, open ends."""
    numbered = all((one.number, one.of) == (number, len(windows)) for number, one in enumerate(windows, 1))
    edges_meet = all(one.high == following.low != "" for one, following in pairwise(windows))
    return bool(windows) and numbered and edges_meet and (windows[0].low, windows[-1].high) == ("", "")


def rows_of(windows: tuple[Window, ...], rows_by_date: dict[str, int]) -> dict[int, int]:
    """Expected rows per window number, from the rows per payment date."""
    expected = {window.number: 0 for window in windows}
    for day, rows in rows_by_date.items():
        expected[next(window.number for window in windows if window.holds(day))] += rows
    return expected


def _day_after(rows: float) -> str:
    """The day, as ``MM/DD``, before which a year has about so many rows."""
    until_month = list(accumulate(_ROWS_PER_MONTH, initial=0))
    month = bisect_right(until_month, rows)
    days = monthrange(_YEAR, month)[1]
    day = round((rows - until_month[month - 1]) / _ROWS_PER_MONTH[month - 1] * days)
    return f"{month:02}/{day + 1:02}" if day < days else f"{month + 1:02}/01"

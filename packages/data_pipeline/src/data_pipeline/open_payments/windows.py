"""How a slice is cut into windows, one part each.

The cut depends on the slice's count alone, so any process, on any machine, in any shape of
run, cuts a slice alike. Windows are half-open ranges of the *text* of ``Date_of_Payment``
(``MM/DD/YYYY``) with open ends: together they hold every text there is, the odd ones too
(``11/30/0002`` lies in November), so they tile the slice by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar

from pydantic import ConfigDict

# 60,000 rows are some 34 MB: 15 to 20 s of a stream at the source's 2 MB/s, and what is lost
# when a stream breaks. The payment date is not indexed at the source, so every window of a
# slice costs it a look at all rows of that payer: fewer, larger windows are kinder.
ROWS_PER_WINDOW = 60_000
# 2000 was a leap year: a window may begin on February 29.
_CALENDAR = date(2000, 1, 1)
DAYS = 366


@dataclass(frozen=True)
class Window:
    """Window ``number`` of ``of``: rows whose payment date, as text, lies in ``[low, high)``; "" is open."""

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
    """The windows of a slice of ``rows`` rows: as many as rows ask for."""
    return tiles(min(max(1, -(-rows // ROWS_PER_WINDOW)), DAYS))


def tiles(of: int) -> tuple[Window, ...]:
    """So many windows, of equal numbers of days."""
    edges = [_month_and_day(round(number * DAYS / of)) for number in range(of)]
    lows = ["", *edges[1:]]
    highs = [*edges[1:], ""]
    return tuple(Window(number + 1, of, low, high) for number, (low, high) in enumerate(zip(lows, highs, strict=True)))


def rows_of(windows: tuple[Window, ...], rows_by_date: dict[str, int]) -> dict[int, int]:
    """Expected rows per window number, from the rows per payment date."""
    expected = {window.number: 0 for window in windows}
    for day, rows in rows_by_date.items():
        expected[next(window.number for window in windows if window.holds(day))] += rows
    return expected


def _month_and_day(day: int) -> str:
    return (_CALENDAR + timedelta(days=day)).strftime("%m/%d")

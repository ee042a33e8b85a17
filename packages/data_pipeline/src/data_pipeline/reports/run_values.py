"""What a page says of a run and of its records: how it was fetched, and what the contract found. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

# As wide as a page can show, and few enough that a short run has several requests in each.
INTERVALS = 60


@dataclass(frozen=True)
class Interval:
    """A sixtieth of a run: the requests of parts that were begun in it, and the attempts that failed in it."""

    number: int
    requests: int = 0
    retries: int = 0
    faults: int = 0

    @property
    def whole(self) -> int:
        """How high its column is."""
        return self.requests + self.retries + self.faults

    def stacked(self, highest: int) -> Iterator[tuple[str, int, int]]:
        """Its column from the bottom: kind, upper edge and height, on a scale of 100 for the highest one."""
        below = 0
        for kind, count in (("", self.requests), ("again", self.retries), ("fault", self.faults)):
            if count:
                yield kind, 100 - 100 * (below + count) // highest, -(-100 * count // highest)
            below += count


@dataclass(frozen=True)
class Fetching:
    """A run as a page shows it; ``reused`` are the parts that an earlier run had proved."""

    run_id: str
    status: str
    closed: bool
    note: str
    planned: int
    proved: int
    failed: int
    source_rows: int
    proved_rows: int
    requests: int
    retries: int
    parts: int
    reused: int
    bytes: int
    started_at: datetime
    finished_at: datetime
    pace: tuple[Interval, ...]
    faults: tuple[tuple[str, int], ...]
    """Attempts that proved nothing, by reason, the most frequent first."""

    @property
    def all_selected_proved(self) -> bool:
        """Whether nothing is missing of what was asked for, which may be a part of a year."""
        return not self.failed and self.proved == self.planned

    @property
    def busiest(self) -> int:
        """The highest column of the pace."""
        return max((one.whole for one in self.pace), default=0)

    @property
    def seconds(self) -> float:
        """From the plan to the manifest."""
        return (self.finished_at - self.started_at).total_seconds()


# There are some two hundred rules; more rows than this would be a fault of the source, and must not make a page long.
MOST_ROWS = 40


@dataclass(frozen=True)
class Checks:
    """Each entry is a rule or a column, and its number of records. Without ``parts``, nothing is known any more."""

    parts: int = 0
    quarantined: tuple[tuple[str, int], ...] = ()
    flagged: tuple[tuple[str, int], ...] = ()
    new_values: tuple[tuple[str, int], ...] = ()
    parts_with_drift: int = 0

    @property
    def rows(self) -> list[tuple[str, str, int]]:
        """All of them with what became of the records, the most frequent first."""
        kinds = {"taken out": self.quarantined, "kept and flagged": self.flagged, "kept, a new value": self.new_values}
        found = [(name, kind, count) for kind, entries in kinds.items() for name, count in entries]
        return sorted(found, key=lambda one: (-one[2], one))[:MOST_ROWS]

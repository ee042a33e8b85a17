"""What a run did at the source: how much it asked, when, and what came back wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipeline.open_payments.ledger.audits import read_attempts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta

    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Attempt, Audit
    from etl_core.lake import ObjectStore

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


def fetching_of(store: ObjectStore, run: Run) -> Fetching:
    """Summed over the audits and failed attempts of a committed run; raises ``DataError`` as its parts do."""
    manifest = run.manifest
    parts = list(run.parts())
    attempts = read_attempts(store, manifest.run_id)
    own = [part for part in parts if part.started_at >= manifest.created_at]
    reasons = Counter(one.reason for one in attempts)
    return Fetching(
        run_id=manifest.run_id,
        status=manifest.status,
        closed=manifest.is_closed,
        note=manifest.closure.note,
        planned=manifest.files_planned,
        proved=len(manifest.proved),
        failed=manifest.files_failed,
        source_rows=manifest.closure.source_rows,
        proved_rows=manifest.closure.proved_rows,
        requests=sum(part.requests for part in own),
        retries=sum(part.retries for part in own),
        parts=len(parts),
        reused=len(parts) - len(own),
        bytes=manifest.bytes,
        started_at=manifest.created_at,
        finished_at=manifest.finished_at,
        pace=pace_of(own, attempts, manifest.created_at, manifest.finished_at - manifest.created_at),
        faults=tuple(sorted(reasons.items(), key=lambda one: (-one[1], one[0]))),
    )


def pace_of(
    parts: Iterable[Audit], attempts: Iterable[Attempt], started_at: datetime, whole: timedelta
) -> tuple[Interval, ...]:
    """The requests, retries and faults of equal intervals of a run."""

    def interval_of(at: datetime) -> int:
        # Clocks differ between machines: what is outside belongs to the first or the last interval.
        return min(max(int(INTERVALS * ((at - started_at) / whole)), 0), INTERVALS - 1) if whole else 0

    counts: Counter[tuple[int, str]] = Counter()
    for part in parts:
        counts[interval_of(part.started_at), "requests"] += part.requests - part.retries
        counts[interval_of(part.started_at), "retries"] += part.retries
    for one in attempts:
        counts[interval_of(one.at), "faults"] += 1
    return tuple(
        Interval(number, *(counts[number, kind] for kind in ("requests", "retries", "faults")))
        for number in range(INTERVALS)
    )

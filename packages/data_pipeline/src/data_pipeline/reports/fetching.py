"""What a run did at the source: how much it asked, when, and what came back wrong."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from data_pipeline.open_payments.ledger.audits import read_attempts
from data_pipeline.reports.run_values import INTERVALS, Fetching, Interval

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime, timedelta

    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Attempt, Audit
    from etl_core.lake import ObjectStore


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

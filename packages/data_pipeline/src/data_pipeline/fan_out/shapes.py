"""How a run may be spread over pods, and what each way would take. Pure decisions.

The source, not the pods, is the limit: ``ceiling`` streams in all, however many pods there are.
So a packed run has as few pods as its streams need, and one Job per company pays a pod's start
for every company; both leave the very parts that one process leaves.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

from data_pipeline.fan_out.documents import FanOutPlan, Shape, Unit
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger.selection import BYTES_PER_SECOND_PER_STREAM, SECONDS_PER_REQUEST

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.ledger.documents import PlannedCompany, Release

# One process checks some 50 MB/s; the source gives a stream 2. Past this many streams a pod is no faster.
STREAMS_PER_POD = 8
# From the submission to the first request where the image is on the node and a node has room.
POD_START_SECONDS = 15.0
# Of two ways about as fast, the cheaper is taken.
AS_FAST = 1.1


@dataclass(frozen=True)
class Rates:
    """What the source gives, per stream, and the size of a row; seconds and bytes."""

    bytes_per_row: int
    bytes_per_second: float = BYTES_PER_SECOND_PER_STREAM
    seconds_per_request: float = SECONDS_PER_REQUEST
    pod_start_seconds: float = POD_START_SECONDS

    def seconds_of(self, unit: Unit) -> float:
        """One stream on one window: the rows, and the counts around them."""
        return unit.rows * self.bytes_per_row / self.bytes_per_second + 2 * self.seconds_per_request


@dataclass(frozen=True)
class Predicted:
    """What one way would take; ``pods`` in all, ``at_once`` at most side by side."""

    way: str
    units: int
    pods: int
    at_once: int
    seconds: float
    pod_hours: float


def units_of(dataset: Dataset, companies: Iterable[PlannedCompany]) -> list[Unit]:
    """The windows of these slices, heaviest first; the order is the same wherever it is computed."""
    units = []
    for company in companies:
        windows = dataset.cut(company.rows or 0)
        rows = -(-(company.rows or 0) // len(windows))
        units += [Unit(company_id=company.company_id, number=one.number, of=one.of, rows=rows) for one in windows]
    return sorted(units, key=lambda unit: unit.rank)


def per_company(run_id: str, release: Release, units: Sequence[Unit], *, streams: int = 1) -> FanOutPlan:
    """One bin per company, biggest first."""
    bins: dict[str, list[Unit]] = {}
    for unit in units:
        bins.setdefault(unit.company_id, []).append(unit)
    ordered = sorted(bins.values(), key=lambda one: (-sum(unit.rows for unit in one), one[0].rank))
    return FanOutPlan(
        run_id=run_id,
        shape="per-company",
        release=release,
        streams=(streams,) * len(ordered),
        bins=tuple(tuple(one) for one in ordered),
    )


def packed(run_id: str, release: Release, units: Sequence[Unit], *, ceiling: int, pods: int | None) -> FanOutPlan:
    """A few bins of equal weight per stream; the streams of all of them are the ceiling."""
    count = _pods_for(units, ceiling, pods)
    streams = tuple(ceiling // count + (index < ceiling % count) for index in range(count))
    rates = Rates(dataset_named(release.dataset).bytes_per_row)
    bins: list[list[Unit]] = [[] for _ in streams]
    lightest = [(0.0, index) for index in range(count)]
    for unit in units:
        load, index = heapq.heappop(lightest)
        bins[index].append(unit)
        heapq.heappush(lightest, (load + rates.seconds_of(unit) / streams[index], index))
    return FanOutPlan(
        run_id=run_id, shape="packed", release=release, streams=streams, bins=tuple(tuple(one) for one in bins)
    )


def plan_of(
    shape: Shape, run_id: str, release: Release, units: Sequence[Unit], *, ceiling: int, pods: int | None
) -> FanOutPlan:
    """The plan of either shape."""
    if shape == "packed":
        return packed(run_id, release, units, ceiling=ceiling, pods=pods)
    return per_company(run_id, release, units)


def predict(
    units: Sequence[Unit], *, ceiling: int, max_in_flight: int, pods: int | None, rates: Rates
) -> list[Predicted]:
    """One process, packed, and per company, side by side."""
    seconds = [rates.seconds_of(unit) for unit in units]
    alone = _last_end(seconds, ceiling)
    count = _pods_for(units, ceiling, pods)
    by_company: dict[str, float] = {}
    for unit, cost in zip(units, seconds, strict=True):
        by_company[unit.company_id] = by_company.get(unit.company_id, rates.pod_start_seconds) + cost
    jobs = sorted(by_company.values(), reverse=True)
    at_once = max(1, min(max_in_flight, ceiling, len(jobs)))
    return [
        Predicted("one process", len(units), 1, 1, alone, alone / 3600),
        Predicted("packed", len(units), count, count, both := alone + rates.pod_start_seconds, both * count / 3600),
        Predicted("per-company", len(units), len(jobs), at_once, _last_end(jobs, at_once), sum(jobs) / 3600),
    ]


def choice_of(predicted: Sequence[Predicted]) -> Predicted:
    """The cheapest of those about as fast as the fastest."""
    fastest = min(one.seconds for one in predicted)
    return min((one for one in predicted if one.seconds <= AS_FAST * fastest), key=lambda one: one.pod_hours)


def _pods_for(units: Sequence[Unit], ceiling: int, pods: int | None) -> int:
    """So many as were asked for, else as few as the streams need; never one without a stream or a window."""
    return min(pods or -(-ceiling // STREAMS_PER_POD), ceiling, max(1, len(units)))


def _last_end(seconds: Sequence[float], slots: int) -> float:
    """When the last of these ends, each begun in the order given by the first slot that is free."""
    free = [0.0] * slots
    for cost in seconds:
        heapq.heapreplace(free, free[0] + cost)
    return max(free)

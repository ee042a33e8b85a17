"""The plan of a fan-out in the lake: written once per run and shape, referred to by its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.documents import Release
from etl_core.documents import Document, Value
from etl_core.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore

Shape = Literal["per-company", "packed"]


class Unit(Value):
    """One window of one slice: what a pod proves at a time."""

    company_id: str
    number: int
    of: int
    rows: int

    @property
    def rank(self) -> tuple[int, int, str, int]:
        """Sorts units heaviest first, the same way in every process."""
        return (-self.rows, len(self.company_id), self.company_id, self.number)


class FanOutPlan(Document):
    """Which pod proves which windows. A worker gets the plan's run, shape and digest, and the index of its bin."""

    run_id: str
    shape: Shape
    release: Release
    streams: tuple[int, ...] = Field(description="concurrent requests of each bin's pod; at most the ceiling in all")
    closed_before: dict[str, int] = Field(
        default_factory=dict,
        description="newest generation of slices that are proved again because the source's count of them changed",
    )
    bins: tuple[tuple[Unit, ...], ...] = Field(description="heaviest first, in and among the bins")

    def proved_of(self, closed: Mapping[str, int]) -> set[str]:
        """Companies proved since the plan was made; ``closed`` as ``Audits.closed`` gives it."""
        return {one for one, generation in closed.items() if generation > self.closed_before.get(one, 0)}

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units of all bins, heaviest first."""
        return tuple(sorted((unit for bin_ in self.bins for unit in bin_), key=lambda unit: unit.rank))


def write_plan(store: ObjectStore, plan: FanOutPlan) -> tuple[FanOutPlan, str]:
    """The plan of this run and shape in the lake, ours or an earlier submitter's, and its SHA-256."""
    key = lake_layout.fan_out.plan(plan.run_id, plan.shape)
    body = plan.to_bytes()
    if not store.put_new(key, body).created:
        body = store.get(key) or b""
    return FanOutPlan.parse(body, key), _digest(body)


def read_plan(store: ObjectStore, run_id: str, shape: str, digest: str, index: int) -> FanOutPlan:
    """The plan that a worker was started for.

    Raises:
        NotFoundError: the lake has none; the workers may use another lake than the submitter.
        DataError: it is another plan, or has no bin ``index``.

    """
    key = lake_layout.fan_out.plan(run_id, shape)
    body = store.get(key)
    if body is None:
        raise NotFoundError(
            f"{store.url} has no {key}.",
            advice="Workers must use the submitter's lake: set its address with --env LAKE_URL=….",
        )
    if _digest(body) != digest:
        raise DataError(f"{key} has sha256 {_digest(body)}, this worker was started for {digest}.")
    plan = FanOutPlan.parse(body, key)
    if index >= len(plan.bins):
        raise DataError(f"{key} has {len(plan.bins)} bins and no bin {index}.")
    return plan


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()

"""What a fan-out writes into the lake: which pod works on what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from data_pipeline.open_payments.ledger.documents import Release
from etl_core.documents import Document, Value

Shape = Literal["per-company", "packed"]


class Unit(Value):
    """One window of one slice: what a pod proves at a time."""

    company_id: str
    number: int
    of: int
    rows: int

    @property
    def rank(self) -> tuple[int, int, str, int]:
        """Sorts units heaviest first, the same wherever it is asked."""
        return (-self.rows, len(self.company_id), self.company_id, self.number)


class FanOutPlan(Document):
    """Written once per run and shape. A worker is told where it lies, its digest, and the number of its bin."""

    run_id: str
    shape: Shape
    release: Release
    streams: tuple[int, ...] = Field(description="concurrent requests of each bin's pod; at most the ceiling in all")
    closed_before: dict[str, int] = Field(
        default_factory=dict,
        description="newest generation of slices that are proved anew, since the source counts other rows of them",
    )
    bins: tuple[tuple[Unit, ...], ...] = Field(description="heaviest first, in and among the bins")

    def proved_of(self, closed: Mapping[str, int]) -> set[str]:
        """Companies proved since the plan was made; ``closed`` as ``Audits.closed`` gives it."""
        return {one for one, generation in closed.items() if generation > self.closed_before.get(one, 0)}

    @property
    def units(self) -> tuple[Unit, ...]:
        """Those of all bins, heaviest first."""
        return tuple(sorted((unit for bin_ in self.bins for unit in bin_), key=lambda unit: unit.rank))

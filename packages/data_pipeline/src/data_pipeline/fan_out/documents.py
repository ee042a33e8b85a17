"""The plan of a fan-out, a document of the lake: written once per run and shape, referred to by its digest."""

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
        """Sorts units heaviest first, the same way in every process."""
        return (-self.rows, len(self.company_id), self.company_id, self.number)


class LakeId(Document):
    """What names a lake whatever its address; written once, by the first fan-out."""

    id: str = Field(pattern="^[0-9a-f]{12}$")


class FanOutPlan(Document):
    """Which pod proves which windows. A worker gets the plan's run, shape and digest, and the index of its bin."""

    run_id: str
    lake_id: str = Field("", description="of the lake that the plan lies in; part of the names and labels of its Jobs")
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

"""What one pod of a fan-out does: its own bin, and in a packed run then the windows that are left, heaviest first.

Several pods may prove windows of one slice; the pod that finds all of them proved closes it. The
pods of a packed run claim a window with a create-only object, so that no two of them fetch it. A
claim belongs to the index of its pod and never expires: the pod that replaces a lost one has the
same index and takes its claims over. A claim is only a reservation. A window is done when its audit exists.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.open_payments.fetch.crew import Crew, Outcome, SliceWork
from etl_core.errors import DataError, NotFoundError
from etl_core.json_text import parse_json
from etl_core.lake import content_of
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_pipeline.fan_out.documents import Unit
    from data_pipeline.open_payments.fetch.task import WindowTask
    from data_pipeline.open_payments.ledger.audits import Audits
    from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit
    from etl_core.lake import ObjectStore
    from etl_core.telemetry import Tally

_log = get_logger()


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
    if content_of(body) != digest:
        raise DataError(f"{key} has sha256 {content_of(body)}, this worker was started for {digest}.")
    plan = FanOutPlan.parse(body, key)
    if index >= len(plan.bins):
        raise DataError(f"{key} has {len(plan.bins)} bins and no bin {index}.")
    return plan


class Claims:
    """Windows claimed by the pods of one run."""

    def __init__(self, store: ObjectStore, run_id: str, index: int) -> None:
        self._store = store
        self._run_id = run_id
        self._index = index

    def claim(self, company_id: str, number: int, of: int) -> bool:
        """Whether the window is now ours: it was free, or a pod with our index claimed it before."""
        key = lake_layout.fan_out.claim(self._run_id, company_id, number, of)
        body = json.dumps({"index": self._index}).encode()
        return self._store.put_new(key, body).created or self.is_ours(company_id, number, of)

    def is_ours(self, company_id: str, number: int, of: int) -> bool:
        """Whether a pod with our index claimed the window: this one, or one that it replaces."""
        body = self._store.get(lake_layout.fan_out.claim(self._run_id, company_id, number, of))
        try:
            return body is not None and bool(parse_json(body)["index"] == self._index)
        except (ValueError, TypeError, KeyError):
            return False

    def claimed(self) -> set[tuple[str, str]]:
        """Company and file name of every claimed window, by one listing."""
        return {
            (lake_layout.open_payments.company_of(entry.key) or "", entry.key.rsplit("/", 1)[-1].removesuffix(".json"))
            for entry in self._store.list(lake_layout.fan_out.claims(self._run_id))
        }


class PlannedSlices(SliceWork, Protocol):
    """Slices cut into the plan's number of windows, whatever the source counts by now."""

    def open(self, company: PlannedCompany, of: int | None = None) -> list[WindowTask]:
        """The ``of`` windows of a slice, with their expected counts."""
        ...


class _UnitWork:
    """Some windows of some slices, as a crew works on them."""

    def __init__(self, units: Sequence[Unit], slices: PlannedSlices, audits: Audits, claims: Claims | None) -> None:
        self._numbers: dict[str, set[int]] = {}
        for unit in units:
            self._numbers.setdefault(unit.company_id, set()).add(unit.number)
        self._of = {unit.company_id: unit.of for unit in units}
        self._slices = slices
        self._audits = audits
        self._claims = claims

    def open(self, company: PlannedCompany) -> list[WindowTask]:
        """The windows of the slice that this pod is to prove."""
        numbers, of = self._numbers[company.company_id], self._of[company.company_id]
        if self._claims is not None:
            numbers = {one for one in sorted(numbers) if self._claims.claim(company.company_id, one, of)}
        if not numbers:
            return []
        return [task for task in self._slices.open(company, of) if task.window.number in numbers]

    def prove(self, task: WindowTask) -> Audit:
        """Prove one window."""
        return self._slices.prove(task)

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit | None:
        """Close the slice if all its windows are proved, by any pod; else None."""
        of = self._of[company.company_id]
        found = {part.window.number: part for part in parts}
        for number in range(1, of + 1):
            if number not in found:
                proof = self._audits.proof_of_unit(company.company_id, number, of)
                if proof is None:
                    return None
                found[number] = proof
        return self._slices.close(company, [found[number] for number in sorted(found)], tally)


class Worker:
    """One pod's work. Why a slice was not proved is in the lake, as ``slices`` leave it."""

    def __init__(
        self,
        plan: FanOutPlan,
        index: int,
        slices: PlannedSlices,
        store: ObjectStore,
        audits: Audits,
        *,
        companies: Sequence[PlannedCompany],
    ) -> None:
        self._plan = plan
        self._index = index
        self._slices = slices
        self._audits = audits
        self._companies = {one.company_id: one for one in companies}
        self._streams = plan.streams[index]
        self._tried: set[Unit] = set()
        self._claims = Claims(store, plan.run_id, index) if plan.shape == "packed" and len(plan.bins) > 1 else None

    def run(self) -> list[Outcome]:
        """Prove the windows of the bin, then help with others until nothing is left or something failed.

        Raises:
            StoppedError: asked to stop.

        """
        outcomes = self._work(self._left(self._plan.bins[self._index]))
        while self._claims is not None and not any(outcome.error for outcome in outcomes):
            units = self._next_to_help(self._claims)
            if not units:
                break
            _log.info("helping other pods", windows=len(units))
            outcomes += self._work(units)
        return outcomes

    def _left(self, units: Sequence[Unit]) -> list[Unit]:
        proved = self._plan.proved_of(self._audits.closed())
        return [unit for unit in units if unit.company_id not in proved]

    def _next_to_help(self, claims: Claims) -> list[Unit]:
        """As many unclaimed windows as there are streams, heaviest first.

        If none is left, those that an earlier pod with our index had claimed.
        """
        claimed = claims.claimed()
        left = [unit for unit in self._left(self._plan.units) if unit not in self._tried]
        free = [unit for unit in left if (unit.company_id, f"part-{unit.number}-of-{unit.of}") not in claimed]
        if not free:
            free = [unit for unit in left if claims.is_ours(unit.company_id, unit.number, unit.of)]
        # Several pods start to help at the same moment: each begins at another place.
        start = self._index * self._streams % max(1, len(free))
        return (free[start:] + free[:start])[: self._streams]

    def _work(self, units: Sequence[Unit]) -> list[Outcome]:
        self._tried.update(units)
        work = _UnitWork(units, self._slices, self._audits, self._claims)
        chosen = dict.fromkeys(unit.company_id for unit in units)
        return Crew(work, streams=self._streams).run([self._companies[company_id] for company_id in chosen])

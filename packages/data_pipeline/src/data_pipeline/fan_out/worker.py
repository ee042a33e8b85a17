"""What one pod does: its own bin, and in a packed run then what is left of the others', heaviest first.

Windows of one slice may be proved by several pods; whoever finds all of them proved closes it.
A packed run's pods take a window in hand by a create-only claim, so that no two of them fetch
it. A claim has its owner's index and never runs out: the pod that replaces a lost one has the
same index and takes its claims up. A claim proves nothing; that a window is done says its audit.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Protocol

import structlog

from data_pipeline import lake_layout
from data_pipeline.open_payments.fetch.crew import Crew, Outcome, SliceWork
from data_pipeline.open_payments.fetch.task import reason_of
from data_pipeline.open_payments.ledger.audits import write_attempt
from data_pipeline.open_payments.ledger.documents import Attempt, PlannedCompany
from data_pipeline.open_payments.windows import Window
from etl_core.errors import PipelineError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from data_pipeline.fan_out.documents import FanOutPlan, Unit
    from data_pipeline.open_payments.fetch.task import WindowTask
    from data_pipeline.open_payments.ledger.audits import Audits
    from data_pipeline.open_payments.ledger.documents import Audit, SliceAudit
    from etl_core.lake import ObjectStore
    from etl_core.telemetry import Tally

_log = structlog.get_logger()


class Claims:
    """Windows taken in hand by the pods of one run."""

    def __init__(self, store: ObjectStore, run_id: str, index: int) -> None:
        self._store = store
        self._run_id = run_id
        self._index = index

    def take(self, company_id: str, number: int, of: int) -> bool:
        """Whether the window is this pod's to prove: nobody's so far, or its own since before it was replaced."""
        key = lake_layout.fan_out.claim(self._run_id, company_id, number, of)
        body = json.dumps({"index": self._index}).encode()
        return self._store.put_new(key, body).created or self.is_ours(company_id, number, of)

    def is_ours(self, company_id: str, number: int, of: int) -> bool:
        """Whether a pod of this index took the window in hand, this one or one that it replaces."""
        body = self._store.get(lake_layout.fan_out.claim(self._run_id, company_id, number, of))
        try:
            return body is not None and bool(json.loads(body)["index"] == self._index)
        except (ValueError, TypeError, KeyError):
            return False

    def taken(self) -> set[tuple[str, str]]:
        """Company and file name of every window in somebody's hand, by one listing."""
        return {
            (lake_layout.open_payments.company_of(entry.key) or "", entry.key.rsplit("/", 1)[-1].removesuffix(".json"))
            for entry in self._store.list(lake_layout.fan_out.claims(self._run_id))
        }


class PlannedSlices(SliceWork, Protocol):
    """Slices whose cut the plan says: pods that see other counts of one must not see other windows."""

    def open(self, company: PlannedCompany, of: int | None = None) -> list[WindowTask]:
        """So many windows of a slice, with their expected counts."""
        ...


class _Part:
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
        """Those of the slice's windows that are this pod's to prove."""
        numbers, of = self._numbers[company.company_id], self._of[company.company_id]
        if self._claims is not None:
            numbers = {one for one in sorted(numbers) if self._claims.take(company.company_id, one, of)}
        if not numbers:
            return []
        return [task for task in self._slices.open(company, of) if task.window.number in numbers]

    def prove(self, task: WindowTask) -> Audit:
        """One window."""
        return self._slices.prove(task)

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit | None:
        """Close the slice if all its windows are proved, by whomever; None if some are not yet."""
        of = self._of[company.company_id]
        found = {part.window.number: part for part in parts}
        for number in range(1, of + 1):
            if number not in found:
                proofs = self._audits.part_audits(company.company_id, number, of)
                if not proofs:
                    return None
                found[number] = proofs[-1]
        return self._slices.close(company, [found[number] for number in sorted(found)], tally)


class Worker:
    """One pod's work."""

    def __init__(
        self,
        plan: FanOutPlan,
        index: int,
        slices: PlannedSlices,
        store: ObjectStore,
        audits: Audits,
        *,
        companies: Sequence[PlannedCompany],
        now: Callable[[], datetime],
    ) -> None:
        self._plan = plan
        self._index = index
        self._slices = slices
        self._store = store
        self._audits = audits
        self._now = now
        self._companies = {one.company_id: one for one in companies}
        self._streams = plan.streams[index]
        self._tried: set[Unit] = set()
        self._claims = Claims(store, plan.run_id, index) if plan.shape == "packed" and len(plan.bins) > 1 else None

    def run(self) -> list[Outcome]:
        """Prove what is this pod's, then help; failed windows are outcomes, and attempts in the lake.

        Raises:
            StoppedError: asked to stop.

        """
        outcomes = self._work(self._left(self._plan.bins[self._index]))
        while self._claims is not None and not any(outcome.error for outcome in outcomes):
            units = self._to_help_with(self._claims)
            if not units:
                break
            _log.info("helping the others", windows=len(units))
            outcomes += self._work(units)
        return outcomes

    def _left(self, units: Sequence[Unit]) -> list[Unit]:
        proved = self._plan.proved_of(self._audits.closed())
        return [unit for unit in units if unit.company_id not in proved]

    def _to_help_with(self, claims: Claims) -> list[Unit]:
        """As many windows as there are streams, heaviest first, that are neither proved nor in anybody's hand.

        Past these, what a pod of this index took in hand when it helped, before this one replaced it.
        """
        taken = claims.taken()
        left = [unit for unit in self._left(self._plan.units) if unit not in self._tried]
        free = [unit for unit in left if (unit.company_id, f"part-{unit.number}-of-{unit.of}") not in taken]
        if not free:
            free = [unit for unit in left if claims.is_ours(unit.company_id, unit.number, unit.of)]
        # Several pods come to help at the same moment: each begins at another place.
        start = self._index * self._streams % max(1, len(free))
        return (free[start:] + free[:start])[: self._streams]

    def _work(self, units: Sequence[Unit]) -> list[Outcome]:
        self._tried.update(units)
        part = _Part(units, self._slices, self._audits, self._claims)
        chosen = dict.fromkeys(unit.company_id for unit in units)
        outcomes = Crew(part, streams=self._streams).run([self._companies[company_id] for company_id in chosen])
        for outcome in outcomes:
            if outcome.error is not None:
                self._keep(outcome.company.company_id, outcome.error)
        return outcomes

    def _keep(self, company_id: str, error: PipelineError) -> None:
        """Say in the lake why the slice is not proved: the pod's status and log decide nothing."""
        write_attempt(
            self._store,
            failed_attempt(
                self._plan, company_id, reason_of(error), str(error), self._now(),
                temporary=isinstance(error, TemporaryError),
            ),
        )  # fmt: skip


def failed_attempt(
    plan: FanOutPlan, company_id: str, reason: str, detail: str, now: datetime, *, temporary: bool
) -> Attempt:
    """A slice that a fan-out could not prove, for the manifest and everybody who asks."""
    return Attempt(
        run_id=plan.run_id,
        release=plan.release,
        company_id=company_id,
        window=Window(1, 1, "", ""),
        attempt=1,
        reason=reason,
        detail=detail,
        temporary=temporary,
        final=True,
        condition="",
        count_before=None,
        records=0,
        bytes=0,
        at=now,
    )

import json
import unittest
from collections.abc import Callable, Sequence

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.worker import Claims, Worker, failed_attempt
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.fetch.task import NotProvedError, WindowTask
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit
from data_pipeline.open_payments.source.api import Table
from data_pipeline.open_payments.source.catalogue import ResolvedRelease
from data_pipeline.open_payments.windows import Window
from etl_core.errors import AccessError, DataError, StoppedError
from etl_core.telemetry import Tally
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import COLUMNS, START, a_release, a_task, an_audit
from packages.data_pipeline.tests.unit.fan_out.to_hand import A, B, C, D, a_fan_out, a_unit

RESOLVED = ResolvedRelease(a_release(), Table("d", 3, COLUMNS))


def nothing() -> None:
    pass


class KilledError(Exception):
    """The pod was killed here."""


class Slices:
    """Slices of as many windows as they are told, proved into a lake; ``fetched`` is what the source was asked for.

    ``before`` and ``after`` run around a proof's becoming known, by its name, as in "A 2".
    """

    def __init__(self, store: MemoryStore, of: dict[str, int]) -> None:
        self.audits = Audits(store, a_release())
        self.of = of
        self.opened: list[str] = []
        self.fetched: list[str] = []
        self.closed: list[str] = []
        self.errors: dict[str, Exception] = {}
        self.before: dict[str, Callable[[], object]] = {}
        self.after: dict[str, Callable[[], object]] = {}

    def open(self, company: PlannedCompany, of: int | None = None) -> list[WindowTask]:
        self.opened.append(company.company_id)
        of = of or self.of.get(company.company_id, 1)
        windows = (Window(number, of, "", "") for number in range(1, of + 1))
        return [a_task(RESOLVED, company.company_id, window=window, expected=3) for window in windows]

    def prove(self, task: WindowTask) -> Audit:
        window = task.window
        name = f"{task.company_id} {window.number}"
        if name in self.errors:
            raise self.errors[name]
        proofs = self.audits.part_audits(task.company_id, window.number, window.of)
        if proofs:
            return proofs[-1]
        self.fetched.append(name)
        self.before.pop(name, nothing)()
        audit = self.audits.publish_part(an_audit(task.company_id, number=window.number, of=window.of))
        self.after.pop(name, nothing)()
        return audit

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit:
        if f"close {company.company_id}" in self.errors:
            raise self.errors[f"close {company.company_id}"]
        self.closed.append(f"{company.company_id} {[part.window.number for part in parts]}")
        return self.audits.close_slice(company.company_id, tuple(parts), sum(part.records for part in parts), START)


class DyingLake(MemoryStore):
    """A lake in which somebody dies at a call of theirs."""

    left = 10**9

    def get(self, key: str) -> bytes | None:
        self._spend()
        return super().get(key)

    def put_new(self, *args, **options):
        self._spend()
        return super().put_new(*args, **options)

    def _spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise KilledError


class WorkCase(unittest.TestCase):
    def setUp(self):
        self.store = DyingLake()
        self.addCleanup(self.store.close)
        self.slices = Slices(self.store, {})
        self.audits = self.slices.audits

    def pod(self, plan: FanOutPlan, index: int) -> Worker:
        self.slices.of = {unit.company_id: unit.of for unit in plan.units} | self.slices.of
        companies = {unit.company_id: PlannedCompany(company_id=unit.company_id, rows=unit.rows) for unit in plan.units}
        return Worker(
            plan,
            index,
            self.slices,
            self.store,
            self.audits,
            companies=tuple(companies.values()),
            now=lambda: START,
        )

    def run_pod(self, plan: FanOutPlan, index: int) -> list[Outcome]:
        return self.pod(plan, index).run()

    def claims(self) -> list[str]:
        return [
            entry.key.rpartition("/claims/company_id=")[2]
            for entry in self.store.list(lake_layout.fan_out.claims("r1"))
        ]

    def take(self, index: int, *claims: tuple[str, int, int]) -> None:
        for claim in claims:
            self.assertTrue(Claims(self.store, "r1", index).take(*claim))


class AClaim(WorkCase):
    def test_is_of_one_index_alone(self):
        mine, another = Claims(self.store, "r1", 0), Claims(self.store, "r1", 1)

        self.assertTrue(mine.take(A, 1, 2))
        self.assertFalse(another.take(A, 1, 2))
        self.assertTrue(another.take(A, 2, 2))
        self.assertFalse(mine.take(A, 2, 2))

    def test_is_taken_up_by_the_pod_that_replaces_its_owner(self):
        Claims(self.store, "r1", 0).take(A, 1, 2)
        successor = Claims(self.store, "r1", 0)

        self.assertTrue(successor.is_ours(A, 1, 2))
        self.assertTrue(successor.take(A, 1, 2))
        self.assertEqual(len(self.store.writes), 1)

    def test_is_of_one_run(self):
        Claims(self.store, "r1", 0).take(A, 1, 2)

        self.assertTrue(Claims(self.store, "r2", 1).take(A, 1, 2))

    def test_is_seen_by_everybody(self):
        self.take(0, (A, 1, 2))
        self.take(1, (B, 3, 3))

        self.assertEqual(Claims(self.store, "r1", 2).taken(), {(A, "part-1-of-2"), (B, "part-3-of-3")})
        self.assertEqual(Claims(self.store, "r2", 2).taken(), set())

    def test_that_cannot_be_read_is_somebodys(self):
        for body in (b"", b"nonsense", b"{}", b"[]", b"7", b'{"index": "0"}'):
            with self.subTest(body=body):
                self.store.put(lake_layout.fan_out.claim("r1", A, 1, 2), body)
                self.assertFalse(Claims(self.store, "r1", 0).take(A, 1, 2))
        self.assertFalse(Claims(self.store, "r1", 0).is_ours(B, 1, 1), "nobody's")


class APodOfOneCompany(WorkCase):
    PLAN = a_fan_out((a_unit(A, 1, 2), a_unit(A, 2, 2)), (a_unit(B),))

    def test_proves_its_windows_and_closes_the_slice(self):
        (outcome,) = self.run_pod(self.PLAN, 0)

        self.assertEqual((outcome.error, outcome.audit), (None, self.audits.slice_audit(A)))
        self.assertEqual((self.slices.fetched, self.slices.closed), ([f"{A} 1", f"{A} 2"], [f"{A} [1, 2]"]))

    def test_takes_nothing_in_hand_and_helps_nobody(self):
        self.run_pod(self.PLAN, 0)

        self.assertEqual((self.claims(), self.slices.opened), ([], [A]))

    def test_started_twice_or_again_finds_what_is_proved(self):
        self.run_pod(self.PLAN, 0)
        writes = list(self.store.writes)

        self.assertEqual(self.run_pod(self.PLAN, 0), [])
        self.assertEqual((self.store.writes, self.slices.opened), (writes, [A]))

    def test_proves_anew_what_was_closed_before_the_plan(self):
        self.run_pod(self.PLAN, 0)
        plan = a_fan_out((a_unit(A, 1, 2), a_unit(A, 2, 2)), closed_before={A: 1})

        self.run_pod(plan, 0)

        self.assertEqual(self.slices.opened, [A, A])


class APodOfAPackedRun(WorkCase):
    PLAN = a_fan_out((a_unit(A, rows=40), a_unit(D, rows=10)), (a_unit(B, rows=30), a_unit(C, rows=20)), shape="packed")

    def test_does_its_own_then_helps_with_what_is_left_heaviest_first(self):
        outcomes = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.fetched, [f"{A} 1", f"{D} 1", f"{B} 1", f"{C} 1"])
        self.assertEqual(len([outcome for outcome in outcomes if outcome.audit]), 4)
        self.assertEqual(set(self.audits.closed()), {A, B, C, D})

    def test_helps_as_many_at_a_time_as_it_has_streams(self):
        plan = a_fan_out(*self.PLAN.bins, shape="packed", streams=(1, 2))
        self.slices.before[f"{A} 1"] = lambda: self.take(1, (D, 1, 1))

        self.run_pod(plan, 0)

        self.assertEqual(self.slices.opened, [A, B, C])

    def test_begins_to_help_elsewhere_than_its_fellows(self):
        bins = (
            (a_unit("1", rows=9),),
            (a_unit("2", rows=8),),
            (a_unit("3", rows=7), a_unit("4", rows=6), a_unit("5", rows=5), a_unit("6", rows=4)),
        )
        firsts = []
        for index in (0, 1):
            self.setUp()
            self.take(1 - index, (str(2 - index), 1, 1))  # the other pod is at work
            self.run_pod(a_fan_out(*bins, shape="packed"), index)
            firsts.append(self.slices.fetched[1])

        self.assertEqual(firsts, ["3 1", "4 1"])

    def test_leaves_what_is_in_anothers_hand(self):
        self.take(1, (B, 1, 1), (D, 1, 1))

        outcomes = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.fetched, [f"{A} 1", f"{C} 1"])
        self.assertEqual([outcome.error for outcome in outcomes], [None] * 3)
        self.assertNotIn(D, self.slices.opened, "the source is asked nothing for it either")

    def test_leaves_what_is_proved(self):
        plan = a_fan_out(*self.PLAN.bins)
        for index in (0, 1):
            self.run_pod(plan, index)
        self.slices.opened.clear()

        self.assertEqual((self.run_pod(self.PLAN, 0), self.slices.opened, self.claims()), ([], [], []))

    def test_takes_each_window_in_hand_before_it_asks_for_it(self):
        self.slices.before[f"{A} 1"] = lambda: self.assertEqual(self.claims(), [f"{A}/part-1-of-1.json"])

        self.run_pod(self.PLAN, 0)

        self.assertEqual(sorted(self.claims()), [f"{one}/part-1-of-1.json" for one in (A, B, C, D)])
        body = json.loads(self.store.get(lake_layout.fan_out.claim("r1", A, 1, 1)) or b"")
        self.assertEqual(body, {"index": 0})

    def test_that_is_alone_takes_nothing_in_hand(self):
        self.run_pod(a_fan_out((a_unit(A), a_unit(B)), shape="packed"), 0)

        self.assertEqual((self.claims(), set(self.audits.closed())), ([], {A, B}))

    def test_and_another_never_fetch_the_same_window(self):
        # The other works, from its beginning to its end, while the first is at its first window.
        self.slices.before[f"{A} 1"] = lambda: self.run_pod(self.PLAN, 1)

        self.run_pod(self.PLAN, 0)

        self.assertEqual(sorted(self.slices.fetched), [f"{one} 1" for one in (A, B, C, D)])
        self.assertEqual(set(self.audits.closed()), {A, B, C, D})

    def test_takes_up_what_its_predecessor_had_in_hand(self):
        self.take(0, (A, 1, 1))

        self.run_pod(self.PLAN, 0)

        self.assertIn(f"{A} 1", self.slices.fetched)

    def test_takes_up_what_its_predecessor_was_helping_with(self):
        self.take(0, (A, 1, 1), (D, 1, 1), (B, 1, 1))
        self.run_pod(self.PLAN, 1)
        self.assertEqual(self.slices.fetched, [f"{C} 1"])

        self.run_pod(self.PLAN, 0)

        self.assertEqual(set(self.audits.closed()), {A, B, C, D})


class ASliceOverTwoPods(WorkCase):
    PLAN = a_fan_out((a_unit(A, 1, 3), a_unit(A, 3, 3)), (a_unit(A, 2, 3),), shape="packed")
    ALL = f"{A} [1, 2, 3]"

    def setUp(self):
        super().setUp()
        # So that nobody helps the other before it has begun.
        self.take(0, (A, 1, 3), (A, 3, 3))
        self.take(1, (A, 2, 3))

    def test_is_closed_by_the_one_who_finds_all_its_windows_proved(self):
        for first, second in ((0, 1), (1, 0)):
            with self.subTest(first=first):
                self.setUp()
                (before,) = self.run_pod(self.PLAN, first)
                self.assertEqual((before.audit, before.error, self.slices.closed), (None, None, []))

                (after,) = self.run_pod(self.PLAN, second)
                self.assertEqual((after.audit, self.slices.closed), (self.audits.slice_audit(A), [self.ALL]))
                self.assertEqual(sorted(self.slices.fetched), [f"{A} {number}" for number in (1, 2, 3)])

    def test_is_closed_whoever_is_last_to_be_seen(self):
        for before in (True, False):
            with self.subTest(before=before):
                self.setUp()
                moments = self.slices.before if before else self.slices.after
                moments[f"{A} 3"] = lambda: self.run_pod(self.PLAN, 1)
                self.run_pod(self.PLAN, 0)
                self.assertEqual(set(self.slices.closed), {self.ALL})
                self.assertEqual(set(self.audits.closed()), {A})

    def test_may_be_closed_by_both_and_has_one_proof(self):
        self.slices.after[f"{A} 3"] = lambda: self.run_pod(self.PLAN, 1)

        (outcome,) = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.closed, [self.ALL] * 2)
        self.assertEqual(outcome.audit, self.audits.slice_audit(A))
        self.assertEqual(self.audits.closed(), {A: 1})

    def test_has_the_windows_of_the_plan_in_every_pod_whatever_the_source_counts_by_then(self):
        for of in (1, 2, 4):
            for order in ((0, 1), (1, 0)):
                with self.subTest(of=of, order=order):
                    self.setUp()
                    self.slices.of[A] = of
                    for index in order:
                        self.assertFalse([one for one in self.run_pod(self.PLAN, index) if one.error])
                    self.assertEqual(sorted(self.slices.fetched), [f"{A} {number}" for number in (1, 2, 3)])
                    self.assertEqual(set(self.audits.closed()), {A})

    def test_is_closed_though_the_source_counts_more_once_the_first_pod_has_looked(self):
        self.slices.before[f"{A} 1"] = lambda: self.slices.of.update({A: 4})

        for index in (0, 1):
            self.run_pod(self.PLAN, index)

        self.assertEqual(set(self.audits.closed()), {A})


class AFailure(WorkCase):
    PLAN = APodOfAPackedRun.PLAN

    def test_is_kept_in_the_lake_with_its_reason(self):
        plan = a_fan_out(*self.PLAN.bins)
        for error, reason, temporary in [
            (NotProvedError("rows_missing", "2 of 3"), "rows_missing", True),
            (DataError("no such column"), "refused", False),
        ]:
            with self.subTest(reason=reason):
                self.setUp()
                self.slices.errors = {f"{A} 1": error}
                outcomes = self.run_pod(plan, 0)
                (attempt,) = read_attempts(self.store, "r1")
                self.assertEqual([outcome.error for outcome in outcomes if outcome.error], [error])
                self.assertEqual((attempt.company_id, attempt.temporary, attempt.final), (A, temporary, True))
                self.assertEqual((attempt.reason, attempt.detail, attempt.at), (reason, str(error), START))
                self.assertEqual(set(self.audits.closed()), {D}, "the others go on")

    def test_ends_the_helping(self):
        self.slices.errors = {f"{A} 1": DataError("no")}

        self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.opened, [A, D])

    def test_while_helping_ends_it_too(self):
        self.slices.errors = {f"{B} 1": DataError("no")}

        self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.opened, [A, D, B])
        self.assertEqual([one.company_id for one in read_attempts(self.store, "r1")], [B])

    def test_to_close_is_one_like_any_other(self):
        self.slices.errors = {f"close {A}": NotProvedError("count_moved", "no")}

        self.run_pod(a_fan_out(*self.PLAN.bins), 0)

        self.assertEqual([one.reason for one in read_attempts(self.store, "r1")], ["count_moved"])

    def test_is_of_no_window_in_particular(self):
        attempt = failed_attempt(self.PLAN, A, "no_audit", "none there", START, temporary=False)

        self.assertEqual((attempt.run_id, attempt.release, attempt.window.of), ("r1", a_release(), 1))
        self.assertEqual((attempt.count_before, attempt.records, attempt.bytes), (None, 0, 0))

    def test_of_the_lake_or_a_stop_ends_the_pod_and_is_no_slices_fault(self):
        for error in (StoppedError("stopped", signal_number=15), AccessError("the disk is full")):
            with self.subTest(error=error):
                self.setUp()
                self.slices.errors = {f"{A} 1": error}
                with self.assertRaises(type(error)):
                    self.run_pod(self.PLAN, 0)
                self.assertEqual(read_attempts(self.store, "r1"), [])


class APodKilledAtAnyCall(WorkCase):
    PLAN = a_fan_out(
        (a_unit(A, 1, 2, rows=50), a_unit(D, rows=10)),
        (a_unit(A, 2, 2, rows=50), a_unit(B, rows=30), a_unit(C, rows=20)),
        shape="packed",
    )

    def dies(self, call: int) -> bool:
        self.store.left = call
        try:
            self.run_pod(self.PLAN, 0)
        except KilledError:
            return True
        finally:
            self.store.left = 10**9
        return False

    def test_leaves_nothing_that_the_others_and_its_successor_do_not_finish(self):
        for order in ((1, 0), (0, 1)):
            for call in range(10**3):
                self.setUp()
                killed = self.dies(call)
                for index in order:
                    self.run_pod(self.PLAN, index)
                with self.subTest(order=order, call=call):
                    self.assertEqual(set(self.audits.closed()), {A, B, C, D})
                    twice = len(self.slices.fetched) - len(set(self.slices.fetched))
                    self.assertLessEqual(twice, 1, "at most what was under way is fetched again")
                if not killed:
                    break
            else:
                self.fail("it was killed at every call there is")

import hashlib
import json
import unittest
from collections.abc import Callable, Sequence

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.submit import write_plan
from data_pipeline.fan_out.worker import Claims, Worker, read_plan
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.fetch.task import NotProvedError, WindowTask
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit
from data_pipeline.open_payments.source.api import Table
from data_pipeline.open_payments.source.catalogue import ResolvedRelease
from data_pipeline.open_payments.windows import tiles
from etl_core.errors import AccessError, DataError, NotFoundError, StoppedError
from etl_core.telemetry import Tally
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import COLUMNS, START, a_release, a_task, an_audit
from packages.data_pipeline.tests.unit.fan_out.fakes import A, B, C, D, a_fan_out, a_unit

RESOLVED = ResolvedRelease(a_release(), Table("d", 3, COLUMNS))

KEY = "metadata/runs/run_id=r1/fan_out_per-company.json"


def nothing() -> None:
    pass


class KilledError(Exception):
    """The pod was killed here."""


class Slices:
    """Slices proved into a lake; ``fetched`` lists the windows asked of the source, such as "A 2".

    ``before`` and ``after`` run before and after the proof of a window is published.
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
        windows = tiles(of)
        return [a_task(RESOLVED, company.company_id, window=window, expected=3) for window in windows]

    def prove(self, task: WindowTask) -> Audit:
        window = task.window
        name = f"{task.company_id} {window.number}"
        if name in self.errors:
            raise self.errors[name]
        proofs = self.audits.window_proofs(task.company_id, window).audits
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
    """A lake whose user dies at one of its calls."""

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


class ReadPlan(unittest.TestCase):
    def setUp(self):
        self.store = MemoryStore()
        self.plan = a_fan_out()
        _, self.digest = write_plan(self.store, self.plan)

    def test_a_worker_reads_the_plan_that_it_was_started_for(self):
        for index in range(3):
            self.assertEqual(read_plan(self.store, "r1", "per-company", self.digest, index), self.plan)

    def test_a_missing_plan_names_the_workers_lake(self):
        with self.assertRaisesRegex(NotFoundError, f"memory:// has no {KEY}. Workers must use the submitter's lake"):
            read_plan(MemoryStore(), "r1", "per-company", "0" * 64, 0)

    def test_a_plan_with_another_digest_is_refused(self):
        with self.assertRaisesRegex(DataError, f"{KEY} has sha256 {self.digest}, this worker was started for 0000"):
            read_plan(self.store, "r1", "per-company", "0" * 64, 0)

    def test_an_index_without_a_bin_is_refused(self):
        with self.assertRaisesRegex(DataError, "has 3 bins and no bin 3"):
            read_plan(self.store, "r1", "per-company", self.digest, 3)

    def test_a_plan_that_cannot_be_parsed_is_refused(self):
        for body in (b"", b"{}", b"nonsense", self.plan.to_bytes().replace(b'"bins"', b'"heaps"')):
            with self.subTest(body=body):
                self.store.put(KEY, body)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    read_plan(self.store, "r1", "per-company", hashlib.sha256(body).hexdigest(), 0)


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
            self.assertTrue(Claims(self.store, "r1", index).claim(*claim))


class ClaimsTest(WorkCase):
    def test_a_window_is_claimed_by_one_index_only(self):
        mine, another = Claims(self.store, "r1", 0), Claims(self.store, "r1", 1)

        self.assertTrue(mine.claim(A, 1, 2))
        self.assertFalse(another.claim(A, 1, 2))
        self.assertTrue(another.claim(A, 2, 2))
        self.assertFalse(mine.claim(A, 2, 2))

    def test_a_claim_passes_to_the_pod_that_replaces_its_owner(self):
        Claims(self.store, "r1", 0).claim(A, 1, 2)
        successor = Claims(self.store, "r1", 0)

        self.assertTrue(successor.is_ours(A, 1, 2))
        self.assertTrue(successor.claim(A, 1, 2))
        self.assertEqual(len(self.store.writes), 1)

    def test_a_claim_belongs_to_one_run(self):
        Claims(self.store, "r1", 0).claim(A, 1, 2)

        self.assertTrue(Claims(self.store, "r2", 1).claim(A, 1, 2))

    def test_every_pod_sees_all_claims_of_the_run(self):
        self.take(0, (A, 1, 2))
        self.take(1, (B, 3, 3))

        self.assertEqual(Claims(self.store, "r1", 2).claimed(), {(A, "part-1-of-2"), (B, "part-3-of-3")})
        self.assertEqual(Claims(self.store, "r2", 2).claimed(), set())

    def test_an_unreadable_claim_belongs_to_another_pod(self):
        for body in (b"", b"nonsense", b"{}", b"[]", b"7", b'{"index": "0"}'):
            with self.subTest(body=body):
                self.store.put(lake_layout.fan_out.claim("r1", A, 1, 2), body)
                self.assertFalse(Claims(self.store, "r1", 0).claim(A, 1, 2))
        self.assertFalse(Claims(self.store, "r1", 0).is_ours(B, 1, 1), "nobody's")


class PodOfOneCompany(WorkCase):
    PLAN = a_fan_out((a_unit(A, 1, 2), a_unit(A, 2, 2)), (a_unit(B),))

    def test_a_pod_proves_its_windows_and_closes_the_slice(self):
        (outcome,) = self.run_pod(self.PLAN, 0)

        self.assertEqual((outcome.error, outcome.audit), (None, self.audits.slice_audit(A)))
        self.assertEqual((self.slices.fetched, self.slices.closed), ([f"{A} 1", f"{A} 2"], [f"{A} [1, 2]"]))

    def test_a_pod_of_one_company_claims_nothing_and_helps_nobody(self):
        self.run_pod(self.PLAN, 0)

        self.assertEqual((self.claims(), self.slices.opened), ([], [A]))

    def test_a_pod_started_again_fetches_nothing(self):
        self.run_pod(self.PLAN, 0)
        writes = list(self.store.writes)

        self.assertEqual(self.run_pod(self.PLAN, 0), [])
        self.assertEqual((self.store.writes, self.slices.opened), (writes, [A]))

    def test_a_slice_closed_before_the_plan_is_proved_again(self):
        self.run_pod(self.PLAN, 0)
        plan = a_fan_out((a_unit(A, 1, 2), a_unit(A, 2, 2)), closed_before={A: 1})

        self.run_pod(plan, 0)

        self.assertEqual(self.slices.opened, [A, A])


class PodOfAPackedRun(WorkCase):
    PLAN = a_fan_out((a_unit(A, rows=40), a_unit(D, rows=10)), (a_unit(B, rows=30), a_unit(C, rows=20)), shape="packed")

    def test_a_packed_pod_proves_its_bin_and_then_helps_heaviest_first(self):
        outcomes = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.fetched, [f"{A} 1", f"{D} 1", f"{B} 1", f"{C} 1"])
        self.assertEqual(len([outcome for outcome in outcomes if outcome.audit]), 4)
        self.assertEqual(set(self.audits.closed()), {A, B, C, D})

    def test_a_packed_pod_helps_with_as_many_windows_as_it_has_streams(self):
        plan = a_fan_out(*self.PLAN.bins, shape="packed", streams=(1, 2))
        self.slices.before[f"{A} 1"] = lambda: self.take(1, (D, 1, 1))

        self.run_pod(plan, 0)

        self.assertEqual(self.slices.opened, [A, B, C])

    def test_two_packed_pods_start_to_help_at_different_windows(self):
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

    def test_windows_claimed_by_others_are_left_alone(self):
        self.take(1, (B, 1, 1), (D, 1, 1))

        outcomes = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.fetched, [f"{A} 1", f"{C} 1"])
        self.assertEqual([outcome.error for outcome in outcomes], [None] * 3)
        self.assertNotIn(D, self.slices.opened, "the source is asked nothing for it either")

    def test_proved_windows_are_neither_opened_nor_claimed(self):
        plan = a_fan_out(*self.PLAN.bins)
        for index in (0, 1):
            self.run_pod(plan, index)
        self.slices.opened.clear()

        self.assertEqual((self.run_pod(self.PLAN, 0), self.slices.opened, self.claims()), ([], [], []))

    def test_a_window_is_claimed_before_it_is_fetched(self):
        self.slices.before[f"{A} 1"] = lambda: self.assertEqual(self.claims(), [f"{A}/part-1-of-1.json"])

        self.run_pod(self.PLAN, 0)

        self.assertEqual(sorted(self.claims()), [f"{one}/part-1-of-1.json" for one in (A, B, C, D)])
        body = json.loads(self.store.get(lake_layout.fan_out.claim("r1", A, 1, 1)) or b"")
        self.assertEqual(body, {"index": 0})

    def test_a_packed_pod_without_others_claims_nothing(self):
        self.run_pod(a_fan_out((a_unit(A), a_unit(B)), shape="packed"), 0)

        self.assertEqual((self.claims(), set(self.audits.closed())), ([], {A, B}))

    def test_two_packed_pods_never_fetch_the_same_window(self):
        # The other pod does all its work while the first one fetches its first window.
        self.slices.before[f"{A} 1"] = lambda: self.run_pod(self.PLAN, 1)

        self.run_pod(self.PLAN, 0)

        self.assertEqual(sorted(self.slices.fetched), [f"{one} 1" for one in (A, B, C, D)])
        self.assertEqual(set(self.audits.closed()), {A, B, C, D})

    def test_a_pod_takes_over_the_windows_of_its_bin_that_its_predecessor_claimed(self):
        self.take(0, (A, 1, 1))

        self.run_pod(self.PLAN, 0)

        self.assertIn(f"{A} 1", self.slices.fetched)

    def test_a_pod_takes_over_the_windows_that_its_predecessor_helped_with(self):
        self.take(0, (A, 1, 1), (D, 1, 1), (B, 1, 1))
        self.run_pod(self.PLAN, 1)
        self.assertEqual(self.slices.fetched, [f"{C} 1"])

        self.run_pod(self.PLAN, 0)

        self.assertEqual(set(self.audits.closed()), {A, B, C, D})


class SliceOverTwoPods(WorkCase):
    PLAN = a_fan_out((a_unit(A, 1, 3), a_unit(A, 3, 3)), (a_unit(A, 2, 3),), shape="packed")
    ALL = f"{A} [1, 2, 3]"

    def setUp(self):
        super().setUp()
        # Neither pod helps the other before it has started.
        self.take(0, (A, 1, 3), (A, 3, 3))
        self.take(1, (A, 2, 3))

    def test_the_pod_that_finds_all_windows_proved_closes_the_slice(self):
        for first, second in ((0, 1), (1, 0)):
            with self.subTest(first=first):
                self.setUp()
                (before,) = self.run_pod(self.PLAN, first)
                self.assertEqual((before.audit, before.error, self.slices.closed), (None, None, []))

                (after,) = self.run_pod(self.PLAN, second)
                self.assertEqual((after.audit, self.slices.closed), (self.audits.slice_audit(A), [self.ALL]))
                self.assertEqual(sorted(self.slices.fetched), [f"{A} {number}" for number in (1, 2, 3)])

    def test_a_slice_is_closed_in_any_order_of_its_last_two_proofs(self):
        for before in (True, False):
            with self.subTest(before=before):
                self.setUp()
                moments = self.slices.before if before else self.slices.after
                moments[f"{A} 3"] = lambda: self.run_pod(self.PLAN, 1)
                self.run_pod(self.PLAN, 0)
                self.assertEqual(set(self.slices.closed), {self.ALL})
                self.assertEqual(set(self.audits.closed()), {A})

    def test_a_slice_closed_by_two_pods_has_one_proof(self):
        self.slices.after[f"{A} 3"] = lambda: self.run_pod(self.PLAN, 1)

        (outcome,) = self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.closed, [self.ALL] * 2)
        self.assertEqual(outcome.audit, self.audits.slice_audit(A))
        self.assertEqual(self.audits.closed(), {A: 1})

    def test_every_pod_uses_the_windows_of_the_plan_whatever_the_source_counts_now(self):
        for of in (1, 2, 4):
            for order in ((0, 1), (1, 0)):
                with self.subTest(of=of, order=order):
                    self.setUp()
                    self.slices.of[A] = of
                    for index in order:
                        self.assertFalse([one for one in self.run_pod(self.PLAN, index) if one.error])
                    self.assertEqual(sorted(self.slices.fetched), [f"{A} {number}" for number in (1, 2, 3)])
                    self.assertEqual(set(self.audits.closed()), {A})

    def test_a_slice_is_closed_even_if_the_source_counts_more_after_the_first_window(self):
        self.slices.before[f"{A} 1"] = lambda: self.slices.of.update({A: 4})

        for index in (0, 1):
            self.run_pod(self.PLAN, index)

        self.assertEqual(set(self.audits.closed()), {A})


class Failures(WorkCase):
    PLAN = PodOfAPackedRun.PLAN

    def test_a_failed_slice_is_an_outcome_and_the_others_continue(self):
        errors = {f"{A} 1": NotProvedError("rows_missing", "2 of 3"), f"close {D}": DataError("no")}
        self.slices.errors = {**errors}

        outcomes = self.run_pod(a_fan_out((a_unit(A), a_unit(D), a_unit(B))), 0)

        self.assertEqual({one.company.company_id: one.error for one in outcomes}, {
            A: errors[f"{A} 1"], D: errors[f"close {D}"], B: None,
        })  # fmt: skip
        self.assertEqual(set(self.audits.closed()), {B})

    def test_a_failure_in_the_bin_ends_the_work_without_helping(self):
        self.slices.errors = {f"{A} 1": DataError("no")}

        self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.opened, [A, D])

    def test_a_failure_while_helping_ends_the_work(self):
        self.slices.errors = {f"{B} 1": DataError("no")}

        self.run_pod(self.PLAN, 0)

        self.assertEqual(self.slices.opened, [A, D, B])

    def test_a_stop_or_a_broken_lake_ends_the_pod(self):
        for error in (StoppedError("stopped", signal_number=15), AccessError("the disk is full")):
            with self.subTest(error=error):
                self.setUp()
                self.slices.errors = {f"{A} 1": error}
                with self.assertRaises(type(error)):
                    self.run_pod(self.PLAN, 0)


class PodKilledAtAnyCall(WorkCase):
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

    def test_other_pods_and_the_successor_finish_what_a_killed_pod_left(self):
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

import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from data_pipeline.fan_out import specs
from data_pipeline.fan_out.decide import Limits
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.shared_backoff import Board, Notice
from data_pipeline.fan_out.submit import (
    DOUBTS_AT_A_LOOK,
    LOOKS_FOR_AN_AUDIT,
    NAMES_IN_SELECTOR,
    Ended,
    Submitter,
)
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts, write_attempt
from data_pipeline.open_payments.ledger.documents import Attempt
from etl_core.errors import StoppedError, UnavailableError
from etl_core.kube.sweep import POLLS, sweep
from etl_core.lake.port import Body, ObjectInfo, PutResult
from etl_core.testing import ManualClock, MemoryStore
from packages.data_pipeline.tests.unit.fakes import START, Shown, a_release, an_attempt, an_audit
from packages.data_pipeline.tests.unit.fan_out.api import MemoryApi, ended
from packages.data_pipeline.tests.unit.fan_out.to_hand import OPTIONS, A, B, C, a_fan_out, a_unit

DIGEST = "d" * 64
LIMITS = Limits(max_in_flight=2, look_every=5.0)
ON_NO_NODE = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available."}]}
NO_IMAGE = {"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}


class KilledError(Exception):
    """The submitter was killed here."""


class WatchedLake(MemoryStore):
    """A lake that tells of every call."""

    on_call: Callable[[], None] = staticmethod(lambda: None)

    def get(self, key: str) -> bytes | None:
        self.on_call()
        return super().get(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.on_call()
        return super().list(prefix)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self.on_call()
        return super().put_new(key, body, sha256=sha256)


class Fleet:
    """A plan, a lake and a cluster whose pods prove what they are sent for. ``programs`` says who does not."""

    def __init__(self, plan: FanOutPlan) -> None:
        self.plan = plan
        self.store = WatchedLake()
        self.clock = ManualClock()
        self.api = MemoryApi(self._program)
        self.audits = Audits(self.store, plan.release)
        self.shown = Shown()
        self.programs: dict[str, Callable[[], int | None]] = {}
        self.ran: Counter[str] = Counter()
        self.seconds_left = 10**5

    def sleep(self, seconds: float) -> None:
        with self.immortal():
            self.clock.sleep(seconds)
            self.api.step()
        self.seconds_left -= round(seconds)
        assert self.seconds_left > 0, "it does not end"

    def submitter(self, **limits: Any) -> Submitter:
        return Submitter(
            self.api.cluster(self.sleep),
            self.store,
            self.plan,
            DIGEST,
            OPTIONS,
            replace(LIMITS, **limits),
            board=Board(self.store, "source", clock=self.clock),
            progress=self.shown,
            now=lambda: START + timedelta(seconds=self.clock.now),
            sleep=self.sleep,
            clock=self.clock,
        )

    def run(self, **limits: Any) -> Ended:
        return self.submitter(**limits).run()

    def die_at(self, call: int) -> None:
        """The submitter ends at its so-manieth call of the cluster or the lake."""
        left = iter(range(call - 1))

        def spend() -> None:
            if next(left, None) is None:
                raise KilledError

        self.api.on_call = self.store.on_call = spend

    @contextmanager
    def immortal(self) -> Iterator[None]:
        """What others do meanwhile."""
        kept = self.api.on_call, self.store.on_call
        self.api.on_call = self.store.on_call = lambda: None
        try:
            yield
        finally:
            self.api.on_call, self.store.on_call = kept

    def prove(self, company_id: str) -> None:
        part = an_audit(company_id, release=self.plan.release)
        self.audits.close_slice(company_id, (part,), part.records, START)

    def _program(self, args: list[str], index: int) -> int | None:
        if self.plan.shape != "packed":
            index = int(args[args.index("--index") + 1])
        companies = {unit.company_id for unit in self.plan.bins[index]}
        status: int | None = 0
        for company_id in sorted(companies):
            self.ran[company_id] += 1
            own = self.programs.get(company_id)
            if own is None:
                self.prove(company_id)
            else:
                status = own()
        return status

    def attempts(self) -> list[Attempt]:
        return read_attempts(self.store, self.plan.run_id)

    def reasons(self) -> dict[str, str]:
        """Company to reason; each is spoken of once."""
        found = self.attempts()
        assert len({one.company_id for one in found}) == len(found)
        return {one.company_id: one.reason for one in found}

    def proved(self) -> set[str]:
        return set(self.audits.closed())

    def units(self) -> list[str]:
        return [job["metadata"]["labels"][specs.UNIT] for job in self.api.jobs.values()]


def many(number: int) -> FanOutPlan:
    return a_fan_out(*((a_unit(str(one), rows=1000 - one),) for one in range(1, number + 1)))


class FleetCase(unittest.TestCase):
    def fleet(self, plan: FanOutPlan | None = None) -> Fleet:
        fleet = Fleet(plan or a_fan_out())
        self.addCleanup(fleet.store.close)
        return fleet


class ASubmitter(FleetCase):
    def test_has_everything_proved_and_leaves_no_job(self):
        fleet = self.fleet()

        ended = fleet.run()

        self.assertEqual(fleet.proved(), {A, B, C})
        self.assertEqual((ended.created, ended.adopted, ended.failed, ended.stopped), (3, 0, {}, ""))
        self.assertEqual((fleet.api.jobs, fleet.attempts()), ({}, []))
        self.assertEqual(fleet.ran, {A: 1, B: 1, C: 1})

    def test_begins_with_the_biggest_and_never_has_more_in_flight_than_allowed(self):
        for most in (1, 2, 7, 30):
            with self.subTest(most=most):
                fleet = self.fleet(many(12))
                fleet.run(max_in_flight=most)
                self.assertEqual(fleet.api.most_open, min(most, 12))
                self.assertEqual([name.split("-")[2] for name in fleet.api.created], [str(one) for one in range(1, 13)])

    def test_creates_nothing_for_what_is_proved(self):
        fleet = self.fleet()
        for company_id in (A, B, C):
            fleet.prove(company_id)

        ended = fleet.run()

        self.assertEqual((ended.looks, fleet.api.asked, fleet.clock.slept), (1, ["GET jobs"], []))

    def test_creates_jobs_for_what_was_proved_before_the_plan_and_is_to_be_proved_anew(self):
        fleet = self.fleet(a_fan_out(closed_before={A: 1}))
        for company_id in (A, B, C):
            fleet.prove(company_id)
        fleet.programs[A] = lambda: 3

        self.assertEqual((fleet.run().created, fleet.reasons()), (1, {A: "exit_3"}))

    def test_removes_what_is_done_by_label_in_few_calls(self):
        longest = [str(10**37 + number) for number in range(200)]
        fleet = self.fleet(a_fan_out(*((a_unit(one),) for one in longest)))

        fleet.run(max_in_flight=500)

        self.assertEqual(fleet.api.jobs, {})
        self.assertEqual(fleet.api.asked.count("DELETE jobs"), -(-200 // NAMES_IN_SELECTOR))

    def test_looks_at_all_jobs_by_one_list_a_look(self):
        fleet = self.fleet(many(30))

        ended = fleet.run(max_in_flight=10)

        self.assertEqual(fleet.api.asked.count("GET jobs"), ended.looks)
        self.assertEqual(set(fleet.clock.slept), {5.0})

    def test_shows_every_slice_once(self):
        fleet = self.fleet()
        fleet.prove(B)

        fleet.run()

        self.assertEqual((fleet.shown.slices, fleet.shown.rows), (3, 60))

    def test_lets_the_jobs_go_on_when_it_is_stopped(self):
        fleet = self.fleet()
        submitter = fleet.submitter()
        sleeps = iter([5.0, 5.0])

        def sleep(seconds: float) -> None:
            if next(sleeps, None) is None:
                raise StoppedError("stopped", signal_number=2)
            fleet.sleep(seconds)

        submitter._sleep = sleep
        with self.assertRaises(StoppedError):
            submitter.run()

        self.assertEqual(sorted(fleet.units()), [A, B])
        self.assertEqual(fleet.run().created, 1)
        self.assertEqual((fleet.proved(), fleet.ran), ({A, B, C}, {A: 1, B: 1, C: 1}))

    def test_adopts_what_another_created_between_its_look_and_its_call(self):
        fleet = self.fleet()
        fleet.api.before_create.append(fleet.api.add)

        ended = fleet.run()

        self.assertEqual((ended.created, ended.adopted), (2, 1))
        self.assertEqual((fleet.proved(), fleet.ran), ({A, B, C}, {A: 1, B: 1, C: 1}))

    def test_says_of_a_failure_in_the_lake_while_the_others_are_still_at_work(self):
        fleet = self.fleet()

        def until_a_is_spoken_of() -> int | None:
            if fleet.reasons() != {A: "exit_3"}:
                return None
            fleet.prove(B)
            return 0

        fleet.programs = {A: lambda: 3, B: until_a_is_spoken_of}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({A: "exit_3"}, {B, C}))

    def test_goes_on_where_another_has_created_and_removed_the_job_meanwhile(self):
        fleet = self.fleet()

        def removed(name: str) -> None:
            fleet.api.on_call = lambda: None
            del fleet.api.jobs[name]

        def created(body: dict[str, Any]) -> None:
            fleet.prove(A)
            fleet.api.add(body)
            fleet.api.on_call = lambda: removed(body["metadata"]["name"])

        fleet.api.before_create = [created]

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.proved()), (2, {}, {A, B, C}))

    def test_shares_the_work_with_another_of_another_run(self):
        fleet = self.fleet()
        other = specs.body_of(fleet.plan.model_copy(update={"run_id": "r2"}), "e" * 64, 0, 1, OPTIONS)
        fleet.api.add(other)

        self.assertEqual(fleet.run().created, 2)
        self.assertEqual(fleet.ran, {A: 1, B: 1, C: 1})


class AFailure(FleetCase):
    def test_that_stays_is_told_and_the_others_go_on(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 3

        ended = fleet.run()

        self.assertEqual((fleet.proved(), fleet.reasons()), ({B, C}, {A: "exit_3"}))
        self.assertEqual({unit: why.reason for unit, why in ended.failed.items()}, {A: "exit_3"})
        (attempt,) = fleet.attempts()
        self.assertEqual((attempt.final, attempt.temporary, attempt.release), (True, False, a_release()))
        self.assertEqual(fleet.ran[A], 1, "what running again cannot mend is not run again")
        self.assertEqual(fleet.units(), [A], "a failed Job stays to be looked at")

    def test_that_passes_is_tried_by_kubernetes(self):
        fleet = self.fleet()
        codes = iter([4, 1, 143])

        def program() -> int:
            code = next(codes, 0)
            if code == 0:
                fleet.prove(A)
            return code

        fleet.programs[A] = program

        self.assertEqual(fleet.run().failed, {})
        self.assertEqual((fleet.proved(), fleet.ran[A]), ({A, B, C}, 4))

    def test_that_passes_again_and_again_ends_with_the_tries(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 4

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A]), ({A: "exit_4"}, 4))

    def test_is_what_the_worker_said_in_the_lake_and_not_said_twice(self):
        fleet = self.fleet()

        def program() -> int:
            write_attempt(fleet.store, an_attempt(A, final=False, reason="first", temporary=False))
            write_attempt(fleet.store, an_attempt(A, reason="rows_missing", at=START + timedelta(seconds=1)))
            write_attempt(fleet.store, an_attempt(B, reason="another", at=START + timedelta(seconds=2)))
            return 3

        fleet.programs[A] = program

        ended = fleet.run()

        self.assertEqual((ended.failed[A].reason, ended.failed[A].temporary), ("rows_missing", True))
        self.assertEqual(len(fleet.attempts()), 3)

    def test_before_this_submitter_came_is_tried_again_once(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 3
        fleet.run()
        fleet.programs.clear()

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.ran[A]), (1, {}, 2))
        self.assertEqual((fleet.proved(), fleet.api.jobs), ({A, B, C}, {}))

    def test_of_very_many_is_tried_again_whatever_there_is_room_for(self):
        fleet = self.fleet(many(6))
        for number in range(1, 7):
            fleet.programs[str(number)] = lambda: 3
        fleet.run(max_failure_ratio=1.0)
        fleet.programs.clear()

        self.assertEqual(fleet.run(max_in_flight=1).failed, {})
        self.assertEqual(len(fleet.proved()), 6)

    def test_of_most_stops_the_launching_and_says_so(self):
        fleet = self.fleet(many(30))
        for number in range(1, 31):
            fleet.programs[str(number)] = lambda: 3

        ended = fleet.run(max_in_flight=1)

        self.assertEqual(ended.stopped, "5 of the last 5 units failed, more than 20%")
        self.assertEqual((ended.created, len(fleet.attempts())), (5, 5))

    def test_of_few_stops_nothing(self):
        fleet = self.fleet(many(30))
        for number in (10, 20, 30):
            fleet.programs[str(number)] = lambda: 3

        ended = fleet.run()

        self.assertEqual((ended.stopped, len(fleet.proved()), len(ended.failed)), ("", 27, 3))

    def test_is_a_job_that_is_done_while_the_lake_has_no_audit(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 0

        ended = fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({A: "no_audit"}, {B, C}))
        self.assertEqual(ended.failed[A].reason, "no_audit")
        self.assertFalse(fleet.attempts()[0].temporary)

    def test_is_none_where_the_audit_is_seen_some_looks_later(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        looks: list[float] = []

        def program() -> int:
            looks.append(fleet.clock.now)
            return 0

        fleet.programs[A] = program
        submitter = fleet.submitter()

        def sleep(seconds: float) -> None:
            fleet.sleep(seconds)
            if looks and fleet.clock.now >= looks[0] + (LOOKS_FOR_AN_AUDIT - 1) * 5.0:
                fleet.prove(A)

        submitter._sleep = sleep

        self.assertEqual((submitter.run().failed, fleet.reasons()), ({}, {}))


class APodThatDoesNotBegin(FleetCase):
    def test_for_want_of_its_image_is_given_up(self):
        fleet = self.fleet()
        fleet.api.holds = {A: NO_IMAGE}

        ended = fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved(), fleet.api.jobs), ({A: "image_pull"}, {B, C}, {}))
        self.assertIn("no such image", ended.failed[A].detail)
        self.assertLess(fleet.clock.now, 120.0)

    def test_is_asked_about_few_at_a_time(self):
        fleet = self.fleet(many(20))
        fleet.api.holds = {str(number): NO_IMAGE for number in range(1, 21)}

        ended = fleet.run(max_in_flight=20)

        self.assertIn("failed", ended.stopped)
        self.assertEqual((ended.created, len(ended.failed)), (20, 20))
        # One list of pods for some Jobs, no list of events where pods speak.
        self.assertEqual(fleet.api.asked.count("GET pods"), 20 // DOUBTS_AT_A_LOOK)
        self.assertNotIn("GET events", fleet.api.asked)

    def test_for_want_of_a_node_is_waited_for_and_then_given_up(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.holds = {A: ON_NO_NODE}

        fleet.run(start_within=600.0)

        self.assertEqual((fleet.reasons(), fleet.api.jobs), ({A: "unschedulable"}, {}))
        self.assertGreaterEqual(fleet.clock.now, 600.0)
        self.assertLess(fleet.clock.now, 700.0)

    def test_for_want_of_a_node_begins_when_one_comes(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.holds = {A: ON_NO_NODE}
        submitter = fleet.submitter(start_within=600.0)

        def sleep(seconds: float) -> None:
            fleet.sleep(seconds)
            if fleet.clock.now > 500.0:
                fleet.api.holds.clear()

        submitter._sleep = sleep

        self.assertEqual((submitter.run().failed, fleet.proved()), ({}, {A}))

    def test_waits_for_the_room_of_its_fellows_however_long_they_take(self):
        for bound in ("pods", "nodes"):
            with self.subTest(bound=bound):
                fleet = self.fleet()
                if bound == "pods":
                    fleet.api.most_pods = 1
                else:
                    fleet.api.holds = {B: ON_NO_NODE}

                def program(fleet: Fleet = fleet) -> int | None:
                    if fleet.clock.now < 5000.0:
                        return None
                    fleet.api.holds.clear()
                    fleet.prove(A)
                    return 0

                fleet.programs[A] = program

                ended = fleet.run(start_within=600.0, max_in_flight=3)

                self.assertEqual((ended.failed, fleet.proved()), ({}, {A, B, C}))
                self.assertEqual(fleet.ran[B], 1)

    def test_for_want_of_quota_is_given_up_where_nothing_of_ours_runs(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.most_pods = 0

        fleet.run(start_within=600.0)

        self.assertEqual(fleet.reasons(), {A: "quota"})
        self.assertGreaterEqual(fleet.clock.now, 600.0)

    def test_in_a_queue_is_waited_for(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        submitter = fleet.submitter(start_within=600.0)
        submitter._options = replace(OPTIONS, queue="main")

        def sleep(seconds: float) -> None:
            fleet.sleep(seconds)
            if fleet.clock.now > 5000.0:
                for job in fleet.api.jobs.values():
                    job["spec"]["suspend"] = False

        submitter._sleep = sleep

        self.assertEqual((submitter.run().failed, fleet.proved()), ({}, {A}))
        self.assertNotIn("GET pods", fleet.api.asked)


class ANamespaceThatIsFull(FleetCase):
    def test_is_waited_for(self):
        fleet = self.fleet(many(5))
        fleet.api.most_jobs = 1

        ended = fleet.run(max_in_flight=3)

        self.assertEqual((ended.created, ended.failed, len(fleet.proved())), (5, {}, 5))
        self.assertEqual(fleet.api.most_open, 1)

    def test_of_others_jobs_is_named_once_it_has_stayed_so(self):
        fleet = self.fleet()
        fleet.api.most_jobs = 0

        ended = fleet.run(start_within=600.0)

        self.assertEqual((ended.created, fleet.reasons()), (0, dict.fromkeys((A, B, C), "quota")))
        self.assertTrue(all(one.temporary for one in fleet.attempts()))
        self.assertGreaterEqual(fleet.clock.now, 600.0)

    def test_is_asked_once_a_look(self):
        fleet = self.fleet(many(50))
        fleet.api.most_jobs = 1

        ended = fleet.run(max_in_flight=50)

        self.assertLessEqual(fleet.api.asked.count("POST jobs"), ended.looks + ended.created)


class ABlock(FleetCase):
    def test_stops_the_launching_and_lets_what_runs_end(self):
        fleet = self.fleet()

        def program() -> int:
            Board(fleet.store, "source", clock=fleet.clock).tell(Notice(fleet.clock.now + 3600, "403 by the edge."))
            fleet.prove(A)
            return 0

        fleet.programs[A] = program

        ended = fleet.run(max_in_flight=1)

        self.assertTrue(ended.stopped.startswith("403 by the edge. Wait another"), ended.stopped)
        self.assertEqual((fleet.proved(), ended.created, fleet.api.jobs), ({A}, 1, {}))


class APackedRun(FleetCase):
    PLAN = a_fan_out((a_unit(A, rows=30), a_unit(C)), (a_unit(B, rows=20),), shape="packed")

    def test_is_one_job(self):
        fleet = self.fleet(self.PLAN)

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.proved()), (1, {}, {A, B, C}))
        self.assertEqual(fleet.api.jobs, {})

    def test_takes_no_other_plans_job_for_its_own(self):
        """Two selections of one release, each packed, side by side."""
        fleet = self.fleet(self.PLAN)
        theirs = fleet.plan.model_copy(update={"run_id": "r2"})
        fleet.api.add(specs.body_of(theirs, "e" * 64, 0, 1, OPTIONS) | {"spec": {"suspend": True}})

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.proved()), (1, {}, {A, B, C}))
        self.assertEqual(len(fleet.api.jobs), 1, "theirs is left alone")

    def test_that_fails_says_of_every_slice_why_unless_a_worker_did(self):
        fleet = self.fleet(self.PLAN)

        def program() -> int:
            write_attempt(fleet.store, an_attempt(A, reason="rows_missing"))
            return 3

        fleet.programs = {A: program, C: lambda: 3}

        fleet.run()

        self.assertEqual(fleet.proved(), {B})
        self.assertEqual(fleet.reasons(), {A: "rows_missing", C: "rows_missing"})

    def test_that_is_done_without_all_audits_is_silent(self):
        fleet = self.fleet(self.PLAN)
        fleet.programs = {C: lambda: 0}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({C: "no_audit"}, {A, B}))

    def test_is_tried_again_as_a_whole_by_the_same_command(self):
        fleet = self.fleet(self.PLAN)
        fleet.programs = {C: lambda: 3}
        fleet.run()
        fleet.programs.clear()

        self.assertEqual(fleet.run().failed, {})
        self.assertEqual((fleet.proved(), fleet.api.jobs), ({A, B, C}, {}))


class ASubmitterKilledAtAnyCall(FleetCase):
    """The same command again, as often as it is killed, ends as it would have ended."""

    PLANS = (
        a_fan_out((a_unit(A, rows=30),), (a_unit(B, rows=20),), (a_unit(C),)),
        a_fan_out((a_unit(A, rows=30), a_unit(C)), (a_unit(B, rows=20),), shape="packed"),
    )

    def ends(self, fleet: Fleet, kill_at: int, times: int) -> bool:
        """Whether it was killed at all."""
        killed = False
        for _ in range(times):
            fleet.die_at(kill_at)
            try:
                fleet.run()
            except KilledError:
                killed = True
                with fleet.immortal():
                    fleet.api.step()
        fleet.die_at(10**6)
        fleet.run()
        return killed

    def test_is_followed_by_one_that_goes_on(self):
        for plan in self.PLANS:
            for times in (1, 3):
                for kill_at in range(1, 10**3):
                    fleet = self.fleet(plan)
                    killed = self.ends(fleet, kill_at, times)
                    with self.subTest(shape=plan.shape, kill_at=kill_at, times=times):
                        self.assertEqual((fleet.proved(), fleet.attempts()), ({A, B, C}, []))
                        self.assertEqual(fleet.api.jobs, {})
                        self.assertEqual(fleet.ran, {A: 1, B: 1, C: 1}, "no work is done twice")
                    if not killed:
                        break
                else:
                    self.fail("it was killed at every call there is")

    def test_is_followed_by_one_that_tells_the_same_failures(self):
        for kill_at in range(1, 10**3):
            fleet = self.fleet()
            fleet.programs = {A: lambda: 3, B: lambda: 0}
            fleet.api.holds = {C: NO_IMAGE}
            killed = self.ends(fleet, kill_at, 1)
            with self.subTest(kill_at=kill_at):
                self.assertEqual(fleet.reasons(), {A: "exit_3", B: "no_audit", C: "image_pull"})
                self.assertTrue(all(map(ended, fleet.api.jobs.values())))
            if not killed:
                break
        else:
            self.fail("it was killed at every call there is")


class Sweeping(FleetCase):
    def setUp(self):
        self.swept = self.fleet()
        self.swept.programs = dict.fromkeys((A, B, C), lambda: None)
        self.selector = specs.selector_of(specs.labels_of(self.swept.plan.release, "per-company"))
        self.cluster = self.swept.api.cluster(self.swept.sleep)
        for number in range(3):
            self.swept.api.add(specs.body_of(self.swept.plan, DIGEST, number, 1, OPTIONS))
        self.swept.api.step()

    def sweep(self) -> int:
        return sweep(self.cluster, self.selector, self.swept.clock.sleep)

    def a_late_pod(self) -> None:
        self.swept.api.pods["late"] = {
            "metadata": {
                "name": "late",
                "labels": specs.labels_of(a_release(), "per-company") | {"batch.kubernetes.io/job-name": "gone"},
            },
            "status": {"phase": "Running"},
        }

    def test_deletes_all_jobs_and_their_pods_and_counts_them(self):
        self.assertEqual(self.sweep(), 3)

        self.assertEqual((self.swept.api.jobs, self.swept.api.pods), ({}, {}))

    def test_ends_after_two_empty_looks(self):
        self.sweep()

        self.assertEqual(self.swept.api.asked, ["GET jobs", "GET pods", "DELETE jobs", *["GET jobs", "GET pods"] * 2])
        self.assertEqual(len(self.swept.clock.slept), 2)

    def test_finds_a_pod_that_appears_after_an_empty_look(self):
        nothing: Callable[[], None] = lambda: None  # noqa: E731
        self.swept.api.after_list_of_pods = [nothing, self.a_late_pod]

        self.assertEqual(self.sweep(), 3)

        self.assertEqual(self.swept.api.pods, {})
        self.assertEqual(self.swept.api.asked.count("DELETE pods"), 1)
        self.assertEqual(self.swept.api.asked[-4:], ["GET jobs", "GET pods"] * 2)

    def test_leaves_other_releases_and_shapes_alone(self):
        other = self.swept.plan.model_copy(update={"release": a_release(year=2023)})
        self.swept.api.add(specs.body_of(other, DIGEST, 0, 1, OPTIONS))

        self.sweep()

        self.assertEqual(len(self.swept.api.jobs), 1)

    def test_of_nothing_deletes_nothing(self):
        self.swept.api.jobs.clear()
        self.swept.api.pods.clear()

        self.assertEqual(self.sweep(), 0)
        self.assertFalse([one for one in self.swept.api.asked if one.startswith("DELETE")])

    def test_gives_up_where_pods_do_not_go(self):
        self.swept.api.after_list_of_pods = [self.a_late_pod] * POLLS

        with self.assertRaisesRegex(UnavailableError, "still there after two minutes of deleting. Run it again."):
            self.sweep()

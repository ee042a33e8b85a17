import hashlib
import unittest
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.fan_out import specs
from data_pipeline.fan_out.decide import CHECKS_PER_POLL, POLLS_FOR_AN_AUDIT, Limits
from data_pipeline.fan_out.documents import FanOutPlan
from data_pipeline.fan_out.shared_backoff import Backoff, SharedBackoff
from data_pipeline.fan_out.submit import NAMES_IN_SELECTOR, FanOutResult, Submitter, write_plan
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Attempt
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import DataError, StoppedError
from etl_core.lake.port import Body, ObjectInfo, PutResult
from etl_core.testing import ManualClock, MemoryStore
from packages.data_pipeline.tests.unit.fakes import START, Shown, a_release, an_attempt, an_audit
from packages.data_pipeline.tests.unit.fan_out.fakes import OPTIONS, A, B, C, a_fan_out, a_unit
from packages.data_pipeline.tests.unit.fan_out.memory_cluster import MemoryCluster, ended

DIGEST = "d" * 64
KEY = "metadata/runs/run_id=r1/fan_out_per-company.json"
LIMITS = Limits(max_in_flight=2, poll_interval=5.0)
ON_NO_NODE = {"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available."}]}
NO_IMAGE = {
    "containerStatuses": [
        {"name": "job", "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}
    ]
}


class KilledError(Exception):
    """The submitter was killed here."""


class WatchedLake(MemoryStore):
    """A lake that reports every call."""

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
    """A plan, a lake and a cluster whose pods prove their bins; ``programs`` replaces the program of a company."""

    def __init__(self, plan: FanOutPlan) -> None:
        self.plan = plan
        self.options = OPTIONS
        self.store = WatchedLake()
        self.clock = ManualClock()
        self.api = MemoryCluster(self._program)
        self.audits = Audits(self.store, plan.release)
        self.shown = Shown()
        self.programs: dict[str, Callable[[], int | None]] = {}
        self.ran: Counter[str] = Counter()
        self.after_sleep: Callable[[], None] = lambda: None
        self.seconds_left = 10**5

    def sleep(self, seconds: float) -> None:
        with self.immortal():
            self.clock.sleep(seconds)
            self.api.step()
        self.seconds_left -= round(seconds)
        assert self.seconds_left > 0, "it never ends"
        self.after_sleep()

    def run(self, **limits: Any) -> FanOutResult:
        submitter = Submitter(
            self.api.cluster(self.sleep),
            self.store,
            self.plan,
            DIGEST,
            self.options,
            replace(LIMITS, **limits),
            backoff=SharedBackoff(self.store, "source", clock=self.clock),
            progress=self.shown,
            now=lambda: START + timedelta(seconds=self.clock.now),
            sleep=self.sleep,
            clock=self.clock,
        )
        return submitter.run()

    def die_at(self, call: int) -> None:
        """The submitter dies at this call of the cluster or the lake."""
        left = iter(range(call - 1))

        def spend() -> None:
            if next(left, None) is None:
                raise KilledError

        self.api.on_call = self.store.on_call = spend

    @contextmanager
    def immortal(self) -> Iterator[None]:
        """What other processes do meanwhile."""
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
        """Company to reason; each company has one attempt."""
        found = self.attempts()
        assert len({one.company_id for one in found}) == len(found)
        return {one.company_id: one.reason for one in found}

    def proved(self) -> set[str]:
        return set(self.audits.closed())

    def units(self) -> list[str]:
        return [job["metadata"]["labels"][specs.UNIT] for job in self.api.jobs.values()]


def many(number: int) -> FanOutPlan:
    return a_fan_out(*((a_unit(str(one), rows=1000 - one),) for one in range(1, number + 1)))


class WritePlan(unittest.TestCase):
    def setUp(self):
        self.store = MemoryStore()
        self.plan = a_fan_out()

    def test_a_plan_is_written_under_its_run_and_shape(self):
        found, digest = write_plan(self.store, self.plan)

        self.assertEqual((found, self.store.writes), (self.plan, [KEY]))
        body = self.store.get(KEY) or b""
        self.assertEqual(digest, hashlib.sha256(body).hexdigest())
        self.assertEqual(FanOutPlan.model_validate_json(body), self.plan)
        self.assertEqual(KEY, lake_layout.fan_out.plan("r1", "per-company"))

    def test_the_plan_of_the_first_submitter_stays(self):
        first = write_plan(self.store, self.plan)
        other = a_fan_out((a_unit(B),))

        self.assertEqual(write_plan(self.store, other), first)
        self.assertEqual(self.store.writes, [KEY])

    def test_a_run_may_have_a_plan_of_each_shape(self):
        write_plan(self.store, self.plan)
        packed = a_fan_out((a_unit(A), a_unit(B)), shape="packed")

        self.assertEqual(write_plan(self.store, packed)[0], packed)
        self.assertEqual(len(self.store.writes), 2)

    def test_a_stored_plan_that_cannot_be_parsed_is_refused(self):
        for body in (b"", b"{}", b"nonsense", self.plan.to_bytes().replace(b'"bins"', b'"heaps"')):
            with self.subTest(body=body):
                self.store.put(KEY, body)
                with self.assertRaisesRegex(DataError, f"{KEY} is no FanOutPlan of schema version 1"):
                    write_plan(self.store, self.plan)


class FleetCase(unittest.TestCase):
    def fleet(self, plan: FanOutPlan | None = None) -> Fleet:
        fleet = Fleet(plan or a_fan_out())
        self.addCleanup(fleet.store.close)
        return fleet


class Submitting(FleetCase):
    def test_every_unit_is_proved_and_no_job_is_left(self):
        fleet = self.fleet()

        ended = fleet.run()

        self.assertEqual(fleet.proved(), {A, B, C})
        self.assertEqual((ended.created, ended.adopted, ended.failed, ended.stopped), (3, 0, {}, ""))
        self.assertEqual((fleet.api.jobs, fleet.attempts()), ({}, []))
        self.assertEqual(fleet.ran, {A: 1, B: 1, C: 1})

    def test_the_biggest_units_come_first_and_never_more_are_in_flight_than_allowed(self):
        for most in (1, 2, 7, 30):
            with self.subTest(most=most):
                fleet = self.fleet(many(12))
                fleet.run(max_in_flight=most)
                self.assertEqual(fleet.api.peak_open, min(most, 12))
                self.assertEqual([name.split("-")[2] for name in fleet.api.created], [str(one) for one in range(1, 13)])

    def test_a_proved_plan_costs_one_poll_and_no_job(self):
        fleet = self.fleet()
        for company_id in (A, B, C):
            fleet.prove(company_id)

        ended = fleet.run()

        self.assertEqual((ended.polls, fleet.api.requests, fleet.clock.slept), (1, ["GET jobs"], []))

    def test_slices_closed_before_the_plan_are_proved_again(self):
        fleet = self.fleet(a_fan_out(closed_before={A: 1}))
        for company_id in (A, B, C):
            fleet.prove(company_id)
        fleet.programs[A] = lambda: 3

        self.assertEqual((fleet.run().created, fleet.reasons()), (1, {A: "exit_3"}))

    def test_finished_jobs_are_removed_by_label_in_few_calls(self):
        longest = [str(10**37 + number) for number in range(200)]
        fleet = self.fleet(a_fan_out(*((a_unit(one),) for one in longest)))

        fleet.run(max_in_flight=500)

        self.assertEqual(fleet.api.jobs, {})
        self.assertEqual(fleet.api.requests.count("DELETE jobs"), -(-200 // NAMES_IN_SELECTOR))

    def test_each_poll_lists_the_jobs_once(self):
        fleet = self.fleet(many(30))

        ended = fleet.run(max_in_flight=10)

        self.assertEqual(fleet.api.requests.count("GET jobs"), ended.polls)
        self.assertEqual(set(fleet.clock.slept), {5.0})

    def test_progress_shows_every_slice_once(self):
        fleet = self.fleet()
        fleet.prove(B)

        fleet.run()

        self.assertEqual((fleet.shown.slices, fleet.shown.rows), (3, 60))

    def test_jobs_continue_when_the_submitter_is_stopped(self):
        fleet = self.fleet()

        def stop() -> None:
            if len(fleet.clock.slept) == 2:
                raise StoppedError("stopped", signal_number=2)

        fleet.after_sleep = stop
        with self.assertRaises(StoppedError):
            fleet.run()

        self.assertEqual(sorted(fleet.units()), [A, B])
        self.assertEqual(fleet.run().created, 1)
        self.assertEqual((fleet.proved(), fleet.ran), ({A, B, C}, {A: 1, B: 1, C: 1}))

    def test_a_job_created_by_another_submitter_after_the_poll_is_adopted(self):
        fleet = self.fleet()
        fleet.api.before_create.append(fleet.api.add)

        ended = fleet.run()

        self.assertEqual((ended.created, ended.adopted), (2, 1))
        self.assertEqual((fleet.proved(), fleet.ran), ({A, B, C}, {A: 1, B: 1, C: 1}))

    def test_a_failure_is_in_the_lake_while_other_jobs_still_run(self):
        fleet = self.fleet()

        def until_a_has_a_reason() -> int | None:
            if fleet.reasons() != {A: "exit_3"}:
                return None
            fleet.prove(B)
            return 0

        fleet.programs = {A: lambda: 3, B: until_a_has_a_reason}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({A: "exit_3"}, {B, C}))

    def test_a_job_created_and_removed_by_another_submitter_is_no_error(self):
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

    def test_submitters_of_two_runs_share_the_jobs_of_a_release(self):
        fleet = self.fleet()
        other = specs.body_of(fleet.plan.model_copy(update={"run_id": "r2"}), "e" * 64, 0, 1, OPTIONS)
        fleet.api.add(other)

        self.assertEqual(fleet.run().created, 2)
        self.assertEqual(fleet.ran, {A: 1, B: 1, C: 1})


class Failures(FleetCase):
    def test_a_permanent_failure_is_recorded_and_the_others_continue(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 3

        ended = fleet.run()

        self.assertEqual((fleet.proved(), fleet.reasons()), ({B, C}, {A: "exit_3"}))
        self.assertEqual({unit: why.reason for unit, why in ended.failed.items()}, {A: "exit_3"})
        (attempt,) = fleet.attempts()
        self.assertEqual((attempt.final, attempt.temporary, attempt.release), (True, False, a_release()))
        self.assertEqual(fleet.ran[A], 1, "what running again cannot mend is not run again")
        self.assertEqual(fleet.units(), [A], "a failed Job stays to be looked at")

    def test_a_temporary_failure_is_retried_by_kubernetes(self):
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

    def test_a_unit_that_keeps_failing_ends_when_the_tries_are_used_up(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 4

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A]), ({A: "exit_4"}, 4))

    def test_the_reason_is_the_workers_own_and_is_not_written_twice(self):
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

    def test_a_job_that_failed_before_is_tried_again_once(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 3
        fleet.run()
        fleet.programs.clear()

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.ran[A]), (1, {}, 2))
        self.assertEqual((fleet.proved(), fleet.api.jobs), ({A, B, C}, {}))

    def test_too_many_failures_stop_the_creation_of_jobs(self):
        fleet = self.fleet(many(30))
        for number in range(1, 31):
            fleet.programs[str(number)] = lambda: 3

        ended = fleet.run(max_in_flight=1)

        self.assertEqual(ended.stopped, "5 of the last 5 units failed, more than 20%")
        self.assertEqual((ended.created, len(fleet.attempts())), (5, 5))

    def test_a_job_that_succeeds_without_an_audit_is_a_failure(self):
        fleet = self.fleet()
        fleet.programs[A] = lambda: 0

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({A: "no_audit"}, {B, C}))
        self.assertIn("compare their LAKE_URL", fleet.attempts()[0].detail)
        self.assertFalse(fleet.attempts()[0].temporary)

    def test_an_audit_that_appears_some_polls_later_is_enough(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        ends: list[float] = []

        def succeed() -> int:
            ends.append(fleet.clock.now)
            return 0

        def prove_later() -> None:
            if ends and fleet.clock.now >= ends[0] + (POLLS_FOR_AN_AUDIT - 1) * 5.0:
                fleet.prove(A)

        fleet.programs[A], fleet.after_sleep = succeed, prove_later

        self.assertEqual((fleet.run().failed, fleet.reasons()), ({}, {}))


class PendingPods(FleetCase):
    def test_a_pod_without_its_image_is_given_up(self):
        fleet = self.fleet()
        fleet.api.stuck = {A: NO_IMAGE}

        ended = fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved(), fleet.api.jobs), ({A: "image_pull"}, {B, C}, {}))
        self.assertIn("no such image", ended.failed[A].detail)
        self.assertLess(fleet.clock.now, 120.0)

    def test_few_pending_jobs_are_checked_per_poll(self):
        fleet = self.fleet(many(20))
        fleet.api.stuck = {str(number): NO_IMAGE for number in range(1, 21)}

        ended = fleet.run(max_in_flight=20)

        self.assertIn("failed", ended.stopped)
        self.assertEqual((ended.created, len(ended.failed)), (20, 20))
        # One list of pods for several Jobs, and the events of each one's pending pod.
        self.assertEqual(fleet.api.requests.count("GET pods"), 20 // CHECKS_PER_POLL)
        self.assertEqual(fleet.api.requests.count("GET events"), 20)

    def test_a_pod_that_no_node_takes_is_given_up_after_the_timeout(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.stuck = {A: ON_NO_NODE}

        fleet.run(pending_timeout=600.0)

        self.assertEqual((fleet.reasons(), fleet.api.jobs), ({A: "unschedulable"}, {}))
        self.assertGreaterEqual(fleet.clock.now, 600.0)
        self.assertLess(fleet.clock.now, 700.0)

    def test_a_pod_that_gets_a_node_in_time_runs(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.stuck = {A: ON_NO_NODE}
        fleet.after_sleep = lambda: fleet.api.stuck.clear() if fleet.clock.now > 500.0 else None

        self.assertEqual((fleet.run(pending_timeout=600.0).failed, fleet.proved()), ({}, {A}))

    def test_pending_jobs_wait_as_long_as_other_jobs_of_ours_run(self):
        for bound in ("pods", "nodes"):
            with self.subTest(bound=bound):
                fleet = self.fleet()
                if bound == "pods":
                    fleet.api.quota_pods = 1
                else:
                    fleet.api.stuck = {B: ON_NO_NODE}

                def program(fleet: Fleet = fleet) -> int | None:
                    if fleet.clock.now < 5000.0:
                        return None
                    fleet.api.stuck.clear()
                    fleet.prove(A)
                    return 0

                fleet.programs[A] = program

                ended = fleet.run(pending_timeout=600.0, max_in_flight=3)

                self.assertEqual((ended.failed, fleet.proved()), ({}, {A, B, C}))
                self.assertEqual(fleet.ran[B], 1)

    def test_a_pod_without_quota_is_given_up_if_nothing_of_ours_runs(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.api.quota_pods = 0

        fleet.run(pending_timeout=600.0)

        self.assertEqual(fleet.reasons(), {A: "quota"})
        self.assertGreaterEqual(fleet.clock.now, 600.0)

    def test_a_queued_job_is_waited_for(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.options = replace(OPTIONS, queue="main")

        def start_later() -> None:
            for job in fleet.api.jobs.values():
                job["spec"]["suspend"] = fleet.clock.now <= 5000.0

        fleet.after_sleep = start_later

        self.assertEqual((fleet.run(pending_timeout=600.0).failed, fleet.proved()), ({}, {A}))
        self.assertNotIn("GET pods", fleet.api.requests)


class PodsThatOutliveTheirJob(FleetCase):
    """With a mesh's proxy beside it, a pod continues when our container has ended."""

    def with_a_proxy(self, plan: FanOutPlan | None = None) -> Fleet:
        fleet = self.fleet(plan)
        fleet.api.proxy = True
        return fleet

    def test_jobs_of_proved_units_are_removed_and_the_fan_out_ends(self):
        for plan in (None, PackedRun.PLAN):
            with self.subTest(plan=plan):
                fleet = self.with_a_proxy(plan)
                ended = fleet.run()
                self.assertEqual((ended.failed, fleet.proved(), fleet.api.jobs), ({}, {A, B, C}, {}))
                self.assertLess(fleet.clock.now, 120.0)

    def test_a_permanent_exit_code_is_reported_at_the_next_check(self):
        fleet = self.with_a_proxy(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 3

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A], fleet.api.jobs), ({A: "exit_3"}, 1, {}))
        self.assertLess(fleet.clock.now, 120.0)

    def test_a_temporary_exit_code_is_retried_by_kubernetes(self):
        fleet = self.with_a_proxy(a_fan_out((a_unit(A),)))
        codes = iter([4, 1])

        def program() -> int:
            code = next(codes, 0)
            if code == 0:
                fleet.prove(A)
            return code

        fleet.programs[A] = program

        self.assertEqual((fleet.run().failed, fleet.proved(), fleet.ran[A]), ({}, {A}, 3))

    def test_the_exit_code_is_the_reason_though_the_pods_are_gone(self):
        fleet = self.with_a_proxy(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 4

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A]), ({A: "exit_4"}, 4))
        self.assertTrue(fleet.attempts()[0].temporary)

    def test_a_success_without_an_audit_is_a_failure(self):
        fleet = self.with_a_proxy(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 0

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.api.jobs), ({A: "no_audit"}, {}))


class FailuresThatRepeat(FleetCase):
    def test_a_program_that_cannot_start_is_given_up_after_the_first_pod(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 128
        fleet.api.endings[A] = {"reason": "StartError", "message": "no such program"}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A], fleet.api.jobs), ({A: "configuration"}, 1, {}))
        self.assertFalse(fleet.attempts()[0].temporary)

    def test_a_container_out_of_memory_is_given_up_after_the_second_pod(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 137
        fleet.api.endings[A] = {"reason": "OOMKilled"}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A]), ({A: "out_of_memory"}, 2))
        self.assertFalse(fleet.attempts()[0].temporary)
        self.assertIn("--memory", fleet.attempts()[0].detail)

    def test_a_killed_container_is_retried(self):
        fleet = self.fleet(a_fan_out((a_unit(A),)))
        fleet.programs[A] = lambda: 137

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.ran[A]), ({A: "exit_137"}, 4))
        self.assertTrue(fleet.attempts()[0].temporary)


class FullNamespace(FleetCase):
    def test_a_full_namespace_is_waited_for(self):
        fleet = self.fleet(many(5))
        fleet.api.quota_jobs = 1

        ended = fleet.run(max_in_flight=3)

        self.assertEqual((ended.created, ended.failed, len(fleet.proved())), (5, {}, 5))
        self.assertEqual(fleet.api.peak_open, 1)

    def test_a_namespace_that_stays_full_of_foreign_jobs_is_given_up(self):
        fleet = self.fleet()
        fleet.api.quota_jobs = 0

        ended = fleet.run(pending_timeout=600.0)

        self.assertEqual((ended.created, fleet.reasons()), (0, dict.fromkeys((A, B, C), "quota")))
        self.assertTrue(all(one.temporary for one in fleet.attempts()))
        self.assertGreaterEqual(fleet.clock.now, 600.0)

    def test_a_full_namespace_gets_one_create_per_poll(self):
        fleet = self.fleet(many(50))
        fleet.api.quota_jobs = 1

        ended = fleet.run(max_in_flight=50)

        self.assertLessEqual(fleet.api.requests.count("POST jobs"), ended.polls + ended.created)


class BlockedSource(FleetCase):
    def test_a_block_stops_the_creation_of_jobs_and_lets_open_ones_end(self):
        fleet = self.fleet()

        def program() -> int:
            SharedBackoff(fleet.store, "source", clock=fleet.clock).publish(
                Backoff(fleet.clock.now + 3600, "403 by the edge.")
            )
            fleet.prove(A)
            return 0

        fleet.programs[A] = program

        ended = fleet.run(max_in_flight=1)

        self.assertTrue(ended.stopped.startswith("403 by the edge. Wait another"), ended.stopped)
        self.assertEqual((fleet.proved(), ended.created, fleet.api.jobs), ({A}, 1, {}))


class PackedRun(FleetCase):
    PLAN = a_fan_out((a_unit(A, rows=30), a_unit(C)), (a_unit(B, rows=20),), shape="packed")

    def test_a_packed_run_is_one_job(self):
        fleet = self.fleet(self.PLAN)

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.proved()), (1, {}, {A, B, C}))
        self.assertEqual(fleet.api.jobs, {})

    def test_the_packed_job_of_another_plan_is_left_alone(self):
        fleet = self.fleet(self.PLAN)
        theirs = fleet.plan.model_copy(update={"run_id": "r2"})
        fleet.api.add(specs.body_of(theirs, "e" * 64, 0, 1, OPTIONS) | {"spec": {"suspend": True}})

        ended = fleet.run()

        self.assertEqual((ended.created, ended.failed, fleet.proved()), (1, {}, {A, B, C}))
        self.assertEqual(len(fleet.api.jobs), 1, "theirs is left alone")

    def test_a_failed_packed_job_leaves_a_reason_for_every_slice_without_one(self):
        fleet = self.fleet(self.PLAN)

        def program() -> int:
            write_attempt(fleet.store, an_attempt(A, reason="rows_missing"))
            return 3

        fleet.programs = {A: program, C: lambda: 3}

        fleet.run()

        self.assertEqual(fleet.proved(), {B})
        self.assertEqual(fleet.reasons(), {A: "rows_missing", C: "rows_missing"})

    def test_a_packed_job_that_succeeds_without_all_audits_is_a_failure(self):
        fleet = self.fleet(self.PLAN)
        fleet.programs = {C: lambda: 0}

        fleet.run()

        self.assertEqual((fleet.reasons(), fleet.proved()), ({C: "no_audit"}, {A, B}))

    def test_a_failed_packed_job_is_tried_again_by_the_same_command(self):
        fleet = self.fleet(self.PLAN)
        fleet.programs = {C: lambda: 3}
        fleet.run()
        fleet.programs.clear()

        self.assertEqual(fleet.run().failed, {})
        self.assertEqual((fleet.proved(), fleet.api.jobs), ({A, B, C}, {}))


class SubmitterKilledAtAnyCall(FleetCase):
    """However often it is killed, the same command ends as it would have ended."""

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

    def test_a_killed_submitter_is_followed_by_one_that_finishes_the_work_once(self):
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

    def test_a_killed_submitter_is_followed_by_one_that_finds_the_same_failures(self):
        for kill_at in range(1, 10**3):
            fleet = self.fleet()
            fleet.programs = {A: lambda: 3, B: lambda: 0}
            fleet.api.stuck = {C: NO_IMAGE}
            killed = self.ends(fleet, kill_at, 1)
            with self.subTest(kill_at=kill_at):
                self.assertEqual(fleet.reasons(), {A: "exit_3", B: "no_audit", C: "image_pull"})
                self.assertTrue(all(map(ended, fleet.api.jobs.values())))
            if not killed:
                break
        else:
            self.fail("it was killed at every call there is")

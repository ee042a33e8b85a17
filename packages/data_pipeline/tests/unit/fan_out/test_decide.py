import unittest
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.fan_out.decide import (
    CHECKS_PER_POLL,
    POLLS_FOR_AN_AUDIT,
    Decision,
    Limits,
    SubmitterState,
    after_failures,
    after_full_quota,
    decide,
    must_give_up,
)
from data_pipeline.fan_out.observe import Observation, ObservedJob, newest
from etl_core.kube.explain import Diagnosis
from etl_core.kube.observe import Phase
from packages.data_pipeline.tests.unit.fan_out.fakes import A, B, C, D, a_job

LIMITS = Limits(max_in_flight=2)
LATER = SubmitterState(earlier=frozenset())  # after the first poll
WHY = Diagnosis("exit_3", "no", started=True, temporary=False)
PENDING = a_job(A, "waiting")


def poll(
    *jobs: ObservedJob,
    units: tuple[str, ...] = (A, B, C),
    proved: Iterable[str] = (),
    state: SubmitterState = LATER,
    limits: Limits = LIMITS,
    now: float = 0.0,
    blocked: str = "",
) -> tuple[Decision, SubmitterState]:
    return decide(units, state, Observation(frozenset(proved), newest(jobs), blocked), limits, now)


def poll_one(
    job: ObservedJob | None, state: SubmitterState = LATER, now: float = 0.0, proved: Iterable[str] = ()
) -> tuple[Decision, SubmitterState]:
    return poll(*([] if job is None else [job]), units=(A,), proved=proved, state=state, now=now)


class OneUnit(unittest.TestCase):
    def test_a_unit_without_a_job_gets_one(self):
        decision, _ = poll_one(None)

        self.assertEqual((decision.create, decision.in_flight, decision.finished), (((A, 1),), 1, False))

    def test_a_proved_unit_never_gets_a_job(self):
        for state in (SubmitterState(), LATER):
            self.assertEqual(poll_one(None, state, proved=[A])[0], Decision(finished=True))

    def test_an_open_job_is_waited_for(self):
        for proved in ([], [A]):
            with self.subTest(proved=proved):
                self.assertEqual(poll_one(a_job(), proved=proved)[0], Decision(in_flight=1))

    def test_ended_jobs_of_a_proved_unit_are_removed(self):
        ended: tuple[Phase, ...] = ("succeeded", "failed")
        for phase in ended:
            with self.subTest(phase=phase):
                decision, _ = poll_one(a_job(A, phase), proved=[A])
                self.assertEqual(decision, Decision(remove=(A,), finished=True))

    def test_a_failed_job_is_explained_once_and_not_tried_again(self):
        job = a_job(A, "failed")
        decision, state = poll_one(job)
        self.assertEqual(decision, Decision(explain=(job,)))

        self.assertEqual(poll_one(job, after_failures(state, {A: WHY}, LIMITS))[0], Decision(finished=True))

    def test_a_failed_unit_stays_failed_when_its_job_is_gone(self):
        self.assertEqual(poll_one(None, replace(LATER, failed={A: WHY}))[0], Decision(finished=True))

    def test_a_job_without_an_audit_is_unconfirmed_after_three_polls(self):
        job, state, found = a_job(A, "succeeded"), LATER, []
        for _ in range(POLLS_FOR_AN_AUDIT):
            decision, state = poll_one(job, state)
            self.assertFalse(decision.finished)
            found.append(decision.unconfirmed)

        self.assertEqual(found, [(), (), (job,)])


class PendingJobs(unittest.TestCase):
    def test_a_pending_job_is_checked_after_a_while_and_then_now_and_again(self):
        state, checked = replace(LATER, last_ran=0.0), []
        for now in (100.0, 159.9, 160.0, 170.0, 219.9, 220.0):
            decision, state = poll_one(PENDING, state, now)
            self.assertEqual((decision.in_flight, decision.finished), (1, False))
            checked.append(bool(decision.check))

        self.assertEqual(checked, [False, False, True, False, False, True])

    def test_while_no_pod_has_run_a_pending_job_is_checked_soon_and_then_as_usual(self):
        state, checked = LATER, []
        for now in (100.0, 114.9, 115.0, 130.0, 174.9, 175.0):
            decision, state = poll_one(PENDING, state, now)
            checked.append(bool(decision.check))

        self.assertEqual(checked, [False, False, True, False, False, True])

    def test_at_most_5_jobs_are_checked_per_poll_in_turn(self):
        units = tuple(str(number) for number in range(8))
        jobs = [a_job(unit, "waiting") for unit in units]
        _, state = poll(*jobs, units=units, state=replace(LATER, last_ran=0.0))
        checked = []
        for now in (60.0, 65.0, 70.0):
            decision, state = poll(*jobs, units=units, state=state, now=now)
            checked.append([job.unit for job in decision.check])

        self.assertEqual(checked, [list(units[:CHECKS_PER_POLL]), list(units[CHECKS_PER_POLL:]), []])

    def test_only_jobs_that_wait_for_a_pod_are_checked(self):
        cases = [
            ("its pods exist but have not started", a_job(started=False), [], True),
            ("it waits in a queue", a_job(A, "waiting", suspended=True), [], False),
            ("its unit is proved", PENDING, [A], False),
            ("it runs", a_job(), [], False),
        ]
        for name, job, proved, checked in cases:
            with self.subTest(name):
                _, state = poll_one(job, proved=proved)
                decision, _ = poll_one(job, state, 10**6, proved=proved)
                self.assertEqual((bool(decision.check), decision.in_flight), (checked, 1))

    def test_a_new_attempt_is_pending_from_its_own_start(self):
        _, state = poll_one(PENDING)

        self.assertEqual(poll_one(a_job(A, "waiting", 2), state, 1000.0)[0].check, ())

    def test_a_pending_job_is_given_up_for_a_permanent_cause_or_when_nothing_ran_for_too_long(self):
        _, since_zero = poll_one(PENDING)
        permanent = replace(WHY, started=False)
        waits = replace(permanent, temporary=True)
        for why, now, last_ran, gives_up in [
            (permanent, 60.0, 0.0, True),
            (replace(permanent, started=True), 60.0, 0.0, True),
            (waits, 1799.0, 0.0, False),
            (waits, 1800.0, 0.0, True),
            (waits, 1800.0, 1.0, False),
        ]:
            with self.subTest(why=why, now=now, last_ran=last_ran):
                state = replace(since_zero, last_ran=last_ran)
                self.assertEqual(must_give_up(PENDING, why, state, LIMITS, now), gives_up)

    def test_the_state_remembers_when_a_pod_of_ours_last_ran(self):
        _, state = poll(PENDING, a_job(B), now=7.0)
        self.assertEqual(state.last_ran, 7.0)

        _, state = poll(PENDING, a_job(B, "succeeded"), state=state, now=9.0)
        self.assertEqual(state.last_ran, 7.0)


class JobsThatContinue(unittest.TestCase):
    def test_a_proved_unit_s_open_job_is_looked_at_every_third_poll(self):
        job, state, looked_at = a_job(), LATER, []
        for _ in range(2 * POLLS_FOR_AN_AUDIT):
            decision, state = poll_one(job, state, proved=[A])
            self.assertEqual((decision.in_flight, decision.finished), (1, False))
            looked_at.append(decision.linger)

        self.assertEqual(looked_at, [(), (), (job,)] * 2)

    def test_a_job_with_a_newly_failed_pod_is_checked_at_once_and_once(self):
        failing, state, checked = a_job(failures=1), LATER, []
        for job in (failing, failing, a_job(failures=2), a_job(A, "waiting", failures=3)):
            decision, state = poll_one(job, state)
            checked.append([one.failures for one in decision.check])

        self.assertEqual(checked, [[1], [], [2], [3]])

    def test_a_failed_pod_of_a_packed_job_is_left_to_kubernetes(self):
        packed = a_job(failures=1, completions=3)
        unable = replace(WHY, started=False)
        for job, why, gives_up in [
            (packed, WHY, False),
            (packed, unable, True),
            (replace(packed, ready=2), unable, False),
            (replace(packed, completions=1), WHY, True),
        ]:
            with self.subTest(job=job, why=why):
                self.assertEqual(must_give_up(job, why, LATER, LIMITS, 0.0), gives_up)


class JobsThatEndedBeforeTheFirstPoll(unittest.TestCase):
    def test_an_earlier_job_is_followed_by_the_next_attempt(self):
        for phase in ("failed", "succeeded"):
            with self.subTest(phase=phase):
                decision, _ = poll_one(a_job(A, phase, 3), SubmitterState())
                self.assertEqual(decision, Decision(create=((A, 4),), in_flight=1))

    def test_an_earlier_job_is_tried_again_even_if_there_was_no_room_at_first(self):
        failed = [a_job(one, "failed") for one in (A, B, C)]
        first, state = poll(*failed, state=SubmitterState())
        self.assertEqual(first.create, ((A, 2), (B, 2)))

        running = [a_job(one, attempt=2) for one in (A, B)]
        second, state = poll(*failed, *running, state=state, now=5.0)
        self.assertEqual((second.create, second.explain), ((), ()))

        third, _ = poll(*failed, running[1], state=state, proved=[A], now=10.0)
        self.assertEqual((third.create, third.remove), (((C, 2),), (A,)))

    def test_an_attempt_that_fails_after_the_first_poll_is_explained(self):
        _, state = poll_one(a_job(A, "failed"), SubmitterState())
        again = a_job(A, "failed", 2)

        decision, _ = poll_one(again, state)

        self.assertEqual((decision.create, decision.explain), ((), (again,)))

    def test_an_open_job_gets_no_further_attempt(self):
        self.assertEqual(poll_one(a_job(), SubmitterState())[0], Decision(in_flight=1))


class JobsInFlight(unittest.TestCase):
    def test_jobs_are_created_in_order_up_to_the_limit(self):
        self.assertEqual(poll()[0].create, ((A, 1), (B, 1)))
        self.assertEqual(poll(a_job(B))[0].create, ((A, 1),))
        self.assertEqual(poll(a_job(B), a_job(C))[0].create, ())

    def test_pending_and_queued_jobs_count(self):
        self.assertEqual(poll(PENDING, a_job(B, "waiting", suspended=True))[0].create, ())

    def test_ended_jobs_do_not_count(self):
        decision, _ = poll(a_job(A, "succeeded"), a_job(B, "failed"), proved=[A])

        self.assertEqual((decision.create, decision.in_flight), (((C, 1),), 1))

    def test_more_may_be_in_flight_if_another_submitter_had_a_higher_limit(self):
        decision, _ = poll(a_job(A), a_job(B), a_job(C), units=(A, B, C, D))

        self.assertEqual((decision.create, decision.in_flight), ((), 3))

    @settings(deadline=None)
    @given(
        st.lists(st.sampled_from(["none", "waiting", "running", "succeeded", "failed"]), max_size=12),
        st.sets(st.integers(0, 11)),
        st.sets(st.integers(0, 11)),
        st.integers(1, 5),
        st.booleans(),
        st.booleans(),
    )
    def test_the_rules_hold_for_any_observation(self, phases, proved, failed, most, first, stopped):
        units = tuple(str(number) for number in range(len(phases)))
        jobs = [a_job(unit, phase) for unit, phase in zip(units, phases, strict=True) if phase != "none"]
        state = SubmitterState(
            earlier=None if first else frozenset(),
            failed={str(one): WHY for one in failed},
            stopped="blocked" if stopped else "",
        )

        decision, after = poll(
            *jobs, units=units, proved=map(str, proved), state=state, limits=Limits(max_in_flight=most)
        )

        running = {job.unit for job in jobs if job.is_open}
        created = [unit for unit, _ in decision.create]
        self.assertLessEqual(len(created) + len(running), max(most, len(running)))
        self.assertFalse(running & set(created), "two open Jobs for a unit")
        self.assertFalse({str(one) for one in proved} & set(created), "a Job for a proved unit")
        self.assertFalse(state.failed.keys() & set(created))
        self.assertEqual(len(set(created)), len(created))
        self.assertFalse(running & set(decision.remove))
        self.assertEqual(decision.in_flight, len(created) + len(running))
        self.assertFalse(decision.finished and decision.in_flight)
        if after.stopped:
            self.assertEqual(created, [])


class Stopping(unittest.TestCase):
    def test_a_stopped_submitter_lets_open_jobs_end_and_creates_none(self):
        stopped = replace(LATER, stopped="blocked")

        self.assertEqual(poll(a_job(), state=stopped)[0], Decision(in_flight=1))
        self.assertEqual(
            poll(a_job(A, "succeeded"), state=stopped, proved=[A])[0], Decision(remove=(A,), finished=True)
        )

    def test_a_block_of_the_source_stops_the_submitter_for_good(self):
        decision, state = poll(blocked="403 by the edge")
        self.assertEqual((decision.create, state.stopped), ((), "403 by the edge"))

        self.assertEqual(poll(state=state)[1].stopped, "403 by the edge")

    def stopped_after(self, outcomes: list[bool], limits: Limits = LIMITS) -> str:
        return poll(units=(), state=replace(LATER, outcomes=tuple(outcomes)), limits=limits)[1].stopped

    def test_too_many_failures_among_the_last_units_stop_the_submitter(self):
        for outcomes, stops in [
            ([False] * 4, False),
            ([False] * 5, True),
            ([False] + [True] * 4, False),
            ([False] * 2 + [True] * 3, True),
            ([True] * 80 + [False] * 4, False),
            ([True] * 80 + [False] * 5, True),
            ([False] * 4 + [True] * 16, False),
            ([False] * 20 + [True] * 20, False),
            ([], False),
        ]:
            with self.subTest(outcomes=outcomes):
                self.assertEqual(bool(self.stopped_after(outcomes)), stops)

    def test_the_reason_says_how_many_failed(self):
        said = self.stopped_after([True] * 15 + [False] * 5)

        self.assertEqual(said, "5 of the last 20 units failed, more than 20%")

    def test_the_failure_ratio_can_be_chosen(self):
        self.assertFalse(self.stopped_after([False] * 20, replace(LIMITS, max_failure_ratio=1.0)))
        self.assertTrue(self.stopped_after([False] + [True] * 19, replace(LIMITS, max_failure_ratio=0.0)))

    def test_each_unit_proved_by_a_job_counts_once(self):
        state = LATER
        for _ in range(3):
            _, state = poll(a_job(A, "succeeded"), units=(A, B), proved=[A, B], state=state)

        self.assertEqual(state.outcomes, (True,))


class FullQuota(unittest.TestCase):
    def test_a_full_namespace_is_given_up_only_if_no_job_of_ours_makes_room(self):
        state, given_up = LATER, []
        for now, ours_open in [(0.0, 0), (1799.0, 0), (1800.0, 1), (3599.0, 0), (3600.0, 0)]:
            state, gives_up = after_full_quota(state, LIMITS, now, ours_open=ours_open)
            given_up.append(gives_up)

        self.assertEqual(given_up, [False, False, False, False, True])

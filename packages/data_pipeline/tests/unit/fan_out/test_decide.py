import unittest
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.fan_out.decide import Decision, Known, Limits, SeenJob, breaker, decide, newest, seen
from etl_core.kube.explain import Diagnosis
from etl_core.kube.observe import Phase
from packages.data_pipeline.tests.unit.fan_out.to_hand import A, B, C, D

LIMITS = Limits(max_in_flight=2)
WHY = Diagnosis("exit_3", "no", started=True, temporary=False)


def a_job(unit: str = A, phase: Phase = "running", attempt: int = 1, **changes: Any) -> SeenJob:
    values: dict[str, Any] = {"began": phase != "waiting", "name": f"op-{unit}-{attempt}"} | changes
    return SeenJob(unit=unit, attempt=attempt, phase=phase, **values)


def decided(
    jobs: Iterable[SeenJob] = (),
    *,
    units: tuple[str, ...] = (A, B, C),
    proved: Iterable[str] = (),
    known: Known | None = None,
    limits: Limits = LIMITS,
    now: float = 0.0,
) -> Decision:
    known = Known(looked=True) if known is None else known
    return decide(units, set(proved), newest(jobs), known, limits, now)


class AJobInAList(unittest.TestCase):
    def job(self, labels: dict[str, str] | None = None, spec: Any = None, **status: Any) -> SeenJob:
        known = {"openpayments.io/unit": A, "openpayments.io/attempt": "2"} if labels is None else labels
        return seen({"metadata": {"name": "op-1", "labels": known}, "spec": spec or {}, "status": status})

    def test_has_its_unit_and_attempt_in_its_labels(self):
        found = self.job()

        self.assertEqual((found.name, found.unit, found.attempt, found.phase), ("op-1", A, 2, "waiting"))

    def test_that_somebody_labelled_is_a_first_attempt_of_nothing(self):
        for labels in ({}, {"openpayments.io/attempt": "x"}, {"openpayments.io/attempt": ""}):
            with self.subTest(labels=labels):
                found = self.job(labels)
                self.assertEqual((found.unit, found.attempt), ("", 1))
        self.assertEqual(seen({"metadata": {"name": "op-1"}}).unit, "")

    def test_has_begun_once_one_of_its_pods_ran(self):
        cases: list[tuple[dict[str, Any], bool]] = [
            ({}, False),
            ({"active": 1}, False),
            ({"active": 1, "ready": 0}, False),
            ({"active": 1, "ready": 1}, True),
            ({"active": 1, "failed": 1}, True),
            ({"succeeded": 1}, True),
            ({"active": 1, "terminating": 1}, True),
        ]
        for status, began in cases:
            with self.subTest(status=status):
                self.assertEqual(self.job(**status).began, began)

    def test_may_be_suspended(self):
        self.assertTrue(self.job(spec={"suspend": True}).suspended)
        self.assertFalse(self.job(spec={"suspend": False}).suspended)


class TheJobThatCounts(unittest.TestCase):
    def test_is_the_one_at_work_else_the_latest(self):
        cases: list[tuple[list[Phase], int]] = [
            (["failed"], 1),
            (["failed", "failed"], 2),
            (["failed", "running"], 2),
            (["running", "failed"], 1),
            (["waiting", "succeeded", "failed"], 1),
            (["running", "waiting"], 2),
        ]
        for phases, attempt in cases:
            with self.subTest(phases=phases):
                jobs = [a_job(A, phase, number) for number, phase in enumerate(phases, 1)]
                for given_in in (jobs, jobs[::-1]):
                    self.assertEqual(newest(given_in)[A].attempt, attempt)


class AUnit(unittest.TestCase):
    """One at a time: what is done about it."""

    def one(self, job: SeenJob | None, **more: Any) -> Decision:
        return decided([] if job is None else [job], units=(A,), **more)

    def test_without_a_job_gets_one(self):
        decision = self.one(None)

        self.assertEqual((decision.create, decision.in_flight, decision.finished), (((A, 1),), 1, False))

    def test_that_is_proved_never_gets_one(self):
        for known in (Known(), Known(looked=True)):
            decision = self.one(None, proved=[A], known=known)
            self.assertEqual(decision, Decision(finished=True))

    def test_whose_job_is_at_work_is_waited_for(self):
        for proved in ([], [A]):
            with self.subTest(proved=proved):
                self.assertEqual(self.one(a_job(), proved=proved), Decision(in_flight=1))

    def test_that_is_proved_has_its_ended_jobs_removed(self):
        ended: tuple[Phase, ...] = ("succeeded", "failed")
        for phase in ended:
            with self.subTest(phase=phase):
                decision = self.one(a_job(A, phase), proved=[A])
                self.assertEqual(decision, Decision(remove=(A,), finished=True))

    def test_whose_job_failed_is_explained_and_nothing_is_tried_again_by_itself(self):
        job = a_job(A, "failed")

        self.assertEqual(self.one(job), Decision(explain=(job,)))
        self.assertEqual(self.one(job, known=Known(looked=True, failed={A: WHY})), Decision(finished=True))

    def test_whose_job_is_done_while_the_lake_has_no_audit_is_silent(self):
        job = a_job(A, "succeeded")

        self.assertEqual(self.one(job), Decision(silent=(job,)))

    def test_that_failed_is_left_alone_when_its_job_is_gone(self):
        self.assertEqual(self.one(None, known=Known(looked=True, failed={A: WHY})), Decision(finished=True))

    def test_whose_job_no_pod_of_has_begun_is_doubted_after_a_while(self):
        job, known = a_job(A, "waiting"), Known()

        for now, doubt in [(100.0, ()), (159.9, ()), (160.0, (job,)), (170.0, (job,))]:
            with self.subTest(now=now):
                decision = self.one(job, known=known, now=now)
                self.assertEqual((decision.doubt, decision.in_flight, decision.finished), (doubt, 1, False))

    def test_whose_pods_are_made_and_have_not_begun_is_doubted_too(self):
        known = Known()
        job = a_job(began=False)
        self.one(job, known=known)

        self.assertEqual(self.one(job, known=known, now=60.0).doubt, (job,))

    def test_whose_job_waits_in_a_queue_is_never_doubted(self):
        known = Known()
        job = a_job(A, "waiting", suspended=True)
        self.one(job, known=known)

        self.assertEqual(self.one(job, known=known, now=10**6), Decision(in_flight=1))

    def test_that_is_proved_while_its_job_waits_is_not_doubted(self):
        known = Known()
        job = a_job(A, "waiting")
        self.one(job, known=known)

        self.assertEqual(self.one(job, known=known, proved=[A], now=10**6).doubt, ())

    def test_tried_again_waits_from_then_on(self):
        known = Known()
        self.one(a_job(A, "waiting"), known=known)

        self.assertEqual(self.one(a_job(A, "waiting", 2), known=known, now=1000.0).doubt, ())


class WhatEndedBeforeThisSubmitterCame(unittest.TestCase):
    def test_is_tried_again_as_the_next_attempt(self):
        for phase in ("failed", "succeeded"):
            with self.subTest(phase=phase):
                decision = decided([a_job(A, phase, 3)], units=(A,), known=Known())
                self.assertEqual(decision, Decision(create=((A, 4),), in_flight=1))

    def test_is_tried_again_though_there_was_no_room_at_the_first_look(self):
        known = Known()
        failed = [a_job(one, "failed") for one in (A, B, C)]

        first = decided(failed, known=known)
        self.assertEqual(first.create, ((A, 2), (B, 2)))

        at_work = [a_job(one, attempt=2) for one in (A, B)]
        second = decided([*failed, *at_work], known=known, now=5.0)
        self.assertEqual((second.create, second.explain), ((), ()))

        third = decided([*failed, at_work[1]], known=known, proved=[A], now=10.0)
        self.assertEqual((third.create, third.remove), (((C, 2),), (A,)))

    def test_is_explained_if_it_fails_once_more(self):
        known = Known()
        decided([a_job(A, "failed")], units=(A,), known=known)
        again = a_job(A, "failed", 2)

        decision = decided([a_job(A, "failed"), again], units=(A,), known=known)

        self.assertEqual((decision.create, decision.explain), ((), (again,)))

    def test_is_not_begun_anew_while_it_is_at_work(self):
        self.assertEqual(decided([a_job()], units=(A,), known=Known()), Decision(in_flight=1))


class TheNumberInFlight(unittest.TestCase):
    def test_is_limited_and_filled_in_order(self):
        self.assertEqual(decided().create, ((A, 1), (B, 1)))
        self.assertEqual(decided([a_job(B)]).create, ((A, 1),))
        self.assertEqual(decided([a_job(B), a_job(C)]).create, ())

    def test_counts_jobs_that_wait_too(self):
        self.assertEqual(decided([a_job(A, "waiting"), a_job(B, "waiting", suspended=True)]).create, ())

    def test_does_not_count_those_that_ended(self):
        decision = decided([a_job(A, "succeeded"), a_job(B, "failed")], proved=[A])

        self.assertEqual((decision.create, decision.in_flight), (((C, 1),), 1))

    def test_may_be_over_the_limit_where_another_submitter_had_a_higher_one(self):
        decision = decided([a_job(A), a_job(B), a_job(C)], units=(A, B, C, D))

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
    def test_holds_whatever_is_seen(self, phases, proved, failed, most, looked, stopped):
        units = tuple(str(number) for number in range(len(phases)))
        jobs = [a_job(unit, phase) for unit, phase in zip(units, phases, strict=True) if phase != "none"]
        known = Known(looked=looked, failed={str(one): WHY for one in failed}, stopped="blocked" if stopped else "")

        decision = decided(jobs, units=units, proved=map(str, proved), known=known, limits=Limits(max_in_flight=most))

        running = {job.unit for job in jobs if job.phase in ("waiting", "running")}
        created = [unit for unit, _ in decision.create]
        self.assertLessEqual(len(created) + len(running), max(most, len(running)))
        self.assertFalse(running & set(created), "two open Jobs for a unit")
        self.assertFalse({str(one) for one in proved} & set(created), "a proved unit is begun")
        self.assertFalse(known.failed.keys() & set(created))
        self.assertEqual(len(set(created)), len(created))
        self.assertFalse(running & set(decision.remove))
        self.assertEqual(decision.in_flight, len(created) + len(running))
        self.assertFalse(decision.finished and decision.in_flight)
        if stopped:
            self.assertEqual(created, [])


class BeingStopped(unittest.TestCase):
    def test_lets_what_is_at_work_end_and_begins_nothing(self):
        known = Known(looked=True, stopped="blocked")

        self.assertEqual(decided([a_job(A)], known=known), Decision(in_flight=1))
        self.assertEqual(
            decided([a_job(A, "succeeded")], known=known, proved=[A]), Decision(remove=(A,), finished=True)
        )


class WhenSomethingOfOursRan(unittest.TestCase):
    def test_is_remembered(self):
        known = Known()
        decided([a_job(A, "waiting"), a_job(B)], known=known, now=7.0)
        self.assertEqual(known.ran_at, 7.0)

        decided([a_job(A, "waiting"), a_job(B, "succeeded")], known=known, now=9.0)
        self.assertEqual(known.ran_at, 7.0)


class TheBreaker(unittest.TestCase):
    def said(self, endings: list[bool], limits: Limits = LIMITS) -> str:
        known = Known()
        known.endings.extend(endings)
        return breaker(known, limits)

    def test_opens_once_too_many_of_the_last_failed(self):
        for endings, opens in [
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
            with self.subTest(endings=endings):
                self.assertEqual(bool(self.said(endings)), opens)

    def test_says_how_many(self):
        self.assertEqual(self.said([True] * 15 + [False] * 5), "5 of the last 20 units failed, more than 20%")

    def test_has_the_limit_it_is_given(self):
        self.assertFalse(self.said([False] * 20, replace(LIMITS, max_failure_ratio=1.0)))
        self.assertTrue(self.said([False] + [True] * 19, replace(LIMITS, max_failure_ratio=0.0)))

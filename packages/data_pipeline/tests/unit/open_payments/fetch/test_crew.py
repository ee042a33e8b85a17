import contextlib
import signal
import threading
import unittest
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from data_pipeline.open_payments.fetch.crew import Crew, Outcome
from data_pipeline.open_payments.fetch.task import NotProvedError, ReleaseGoneError, WindowTask
from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit, SliceResult
from data_pipeline.open_payments.source.api import Table
from data_pipeline.open_payments.source.catalogue import ResolvedRelease
from data_pipeline.open_payments.windows import Window
from etl_core.errors import (
    AccessError,
    BlockedError,
    ConflictError,
    DataError,
    PipelineError,
    StoppedError,
    TemporaryError,
    UnavailableError,
)
from etl_core.telemetry import Tally
from packages.data_pipeline.tests.unit.fakes import COLUMNS, COMPANY, a_release, a_slice, a_task, an_audit

RESOLVED = ResolvedRelease(a_release(), Table("d", 3, COLUMNS))
DOWN = UnavailableError("502")


class Work:
    """Slices of the given numbers of windows; ``errors`` by what would be done, as in "prove A 2"."""

    def __init__(self, windows: dict[str, Sequence[int]] | None = None, errors: dict[str, BaseException] | None = None):
        self.windows = windows or {}
        self.errors = errors or {}
        self.done: list[str] = []
        self.meet: Callable[[], object] = lambda: None
        self.threads: set[str] = set()

    def do(self, what: str) -> None:
        self.done.append(what)
        self.threads.add(threading.current_thread().name)
        if what in self.errors:
            raise self.errors[what]

    def open(self, company: PlannedCompany) -> list[WindowTask]:
        self.do(f"open {company.company_id}")
        expected = self.windows.get(company.company_id, [company.rows or 0])
        return [
            a_task(RESOLVED, company.company_id, window=Window(number, len(expected), "", ""), expected=rows)
            for number, rows in enumerate(expected, 1)
        ]

    def prove(self, task: WindowTask) -> Audit:
        self.meet()
        task.tally.requests += 2
        task.seconds += 1.5
        self.do(f"prove {task.company_id} {task.window.number}")
        return an_audit(task.company_id, number=task.window.number, of=task.window.of)

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit | None:
        tally.requests += 1
        self.do(f"close {company.company_id} {[part.window.number for part in parts]}")
        return a_slice(company.company_id, parts=len(parts))


def companies(**rows: int | None) -> list[PlannedCompany]:
    return [PlannedCompany(company_id=digits(name), rows=count) for name, count in rows.items()]


def digits(name: str) -> str:
    return str(ord(name))


A, B, C = (digits(name) for name in "ABC")


class CrewCase(unittest.TestCase):
    def run_crew(self, work: Work, planned: list[PlannedCompany], streams: int = 1) -> dict[str, Outcome]:
        outcomes = Crew(work, streams=streams).run(planned)
        self.assertEqual(len(outcomes), len(planned))
        return {outcome.company.company_id: outcome for outcome in outcomes}


class OneStream(CrewCase):
    def test_a_crew_opens_proves_and_closes_each_slice(self):
        work = Work()

        outcomes = self.run_crew(work, companies(A=3, B=3))

        self.assertEqual(
            work.done, [f"open {A}", f"prove {A} 1", f"close {A} [1]", f"open {B}", f"prove {B} 1", f"close {B} [1]"]
        )
        self.assertEqual([outcome.audit for outcome in outcomes.values()], [a_slice(A), a_slice(B)])
        self.assertEqual([outcome.error for outcome in outcomes.values()], [None, None])

    def test_slices_are_worked_on_in_the_order_of_their_rank(self):
        work = Work()

        Crew(work, streams=1, rank=lambda rows: abs(rows - 5)).run(companies(A=50, B=6, C=1))

        self.assertEqual([what[-2:] for what in work.done if what.startswith("open")], [B, C, A])

    def test_the_largest_slices_and_windows_come_first(self):
        work = Work({B: [60, 40, 70]})

        self.run_crew(work, companies(A=50, B=170, C=None))

        self.assertEqual(
            [what for what in work.done if not what.startswith("close")],
            [
                f"open {B}",
                f"prove {B} 1",
                f"prove {B} 3",
                f"open {A}",
                f"prove {A} 1",
                f"prove {B} 2",
                f"open {C}",
                f"prove {C} 1",
            ],
        )

    def test_a_slice_is_closed_with_its_windows_in_order_after_the_last(self):
        work = Work({A: [1, 9, 5]})

        self.run_crew(work, companies(A=15))

        self.assertEqual(work.done[1:], [f"prove {A} {number}" for number in (1, 2, 3)] + [f"close {A} [1, 2, 3]"])

    def test_a_crew_without_slices_ends_at_once(self):
        self.assertEqual(Crew(Work(), streams=3).run([]), [])

    def test_the_cost_of_a_slice_is_the_sum_of_its_windows(self):
        outcome = self.run_crew(Work({A: [1, 1, 1]}), companies(A=3))[A]

        self.assertEqual((outcome.tally.requests, outcome.seconds), (7, 4.5))


class WorkSharedWithOthers(CrewCase):
    """Some windows of a slice are somebody else's to prove."""

    def test_a_slice_without_windows_here_is_finished_at_once(self):
        work = Work({A: []})

        outcomes = self.run_crew(work, companies(A=9, B=1))

        self.assertEqual(work.done[:2], [f"open {A}", f"close {A} []"])
        self.assertEqual(outcomes[A].error, None)
        self.assertIsNotNone(outcomes[B].audit)

    def test_a_slice_left_open_for_other_processes_is_no_failure(self):
        class Shared(Work):
            def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit | None:
                self.do(f"close {company.company_id} {[part.window.number for part in parts]}")
                return None

        work = Shared({A: [1, 1]})
        outcomes = Crew(work, streams=1).run(companies(A=2))

        self.assertEqual([(one.audit, one.error) for one in outcomes], [(None, None)])
        self.assertEqual((work.done[-1], outcomes[0].result.reason), (f"close {A} [1, 2]", "missing"))


class ManyStreams(CrewCase):
    def test_streams_work_at_the_same_time_on_one_slice(self):
        work = Work({A: [1, 1, 1, 1]})
        work.meet = threading.Barrier(4, timeout=20).wait  # passed only if four are there at once

        self.run_crew(work, companies(A=4), streams=4)

        self.assertEqual(work.threads, {f"stream-{number}" for number in range(4)})

    def test_many_streams_finish_every_slice_once(self):
        planned = [PlannedCompany(company_id=str(number), rows=number) for number in range(200)]
        work = Work({str(number): [1] * (number % 5 + 1) for number in range(200)})

        outcomes = self.run_crew(work, planned, streams=8)

        self.assertEqual(len(outcomes), 200)
        self.assertEqual(len(work.done), len(set(work.done)))
        self.assertTrue(all(outcome.audit for outcome in outcomes.values()))

    def test_the_threads_end_with_the_run(self):
        before = threading.active_count()

        self.run_crew(Work(), companies(A=1), streams=8)

        self.assertEqual(threading.active_count(), before)

    def test_ctrl_c_makes_the_threads_drop_their_windows_and_waits_for_them(self):
        self.interrupt(receiver=threading.main_thread)

    def test_ctrl_c_that_another_thread_receives_does_the_same(self):
        self.interrupt(receiver=threading.current_thread)

    def interrupt(self, *, receiver: Callable[[], threading.Thread]) -> None:
        before, dropped = threading.active_count(), threading.Event()
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, signal.default_int_handler))

        class Slow(Work):
            def prove(self, task: WindowTask) -> Audit:
                signal.pthread_kill(receiver().ident or 0, signal.SIGINT)
                dropped.wait(20)
                raise StoppedError("dropped", signal_number=2)

        @contextlib.contextmanager
        def interrupting() -> Iterator[None]:
            dropped.set()
            yield

        with self.assertRaises(KeyboardInterrupt):
            Crew(Slow(), streams=1, interrupting=interrupting).run(companies(A=1))

        self.assertEqual(threading.active_count(), before)


class Failures(CrewCase):
    def test_a_failed_slice_leaves_the_others_alone(self):
        for what, done in [
            (f"open {A}", [f"open {A}"]),
            (f"prove {A} 1", [f"open {A}", f"prove {A} 1"]),
            (f"close {A} [1]", [f"open {A}", f"prove {A} 1", f"close {A} [1]"]),
        ]:
            with self.subTest(what=what):
                error = DataError("no")
                work = Work(errors={what: error})
                outcomes = self.run_crew(work, companies(A=2, B=1))
                self.assertEqual((outcomes[A].audit, outcomes[A].error), (None, error))
                self.assertIsNone(outcomes[B].error)
                self.assertEqual(work.done, [*done, f"open {B}", f"prove {B} 1", f"close {B} [1]"])

    def test_a_failed_window_leaves_the_other_windows_alone_and_the_slice_open(self):
        work = Work({A: [1, 1, 1]}, errors={f"prove {A} 1": NotProvedError("width", "no")})

        outcome = self.run_crew(work, companies(A=3))[A]

        self.assertEqual(work.done, [f"open {A}", f"prove {A} 1", f"prove {A} 2", f"prove {A} 3"])
        self.assertEqual((outcome.audit, outcome.result.reason), (None, "width"))
        self.assertEqual(outcome.tally.requests, 6)

    def test_a_permanent_failure_outweighs_temporary_ones(self):
        temporary, permanent = NotProvedError("width", "no"), ConflictError("no")
        for errors in ((temporary, permanent), (permanent, temporary)):
            with self.subTest(first=type(errors[0]).__name__):
                planned = {f"prove {A} {number}": error for number, error in enumerate(errors, 1)}
                outcome = self.run_crew(Work({A: [1, 1]}, errors=dict(planned)), companies(A=2))[A]
                self.assertIs(outcome.error, permanent)

    def test_a_bug_ends_the_run_and_is_raised(self):
        for what in (f"open {A}", f"prove {A} 1", f"close {A} [1]"):
            for streams in (1, 4):
                with self.subTest(what=what, streams=streams), self.assertRaisesRegex(ValueError, "a bug"):
                    Crew(Work(errors={what: ValueError("a bug")}), streams=streams).run(companies(A=9, B=1))

    def test_a_bug_leaves_the_remaining_slices_undone(self):
        work = Work(errors={f"open {A}": ValueError("a bug")})

        with self.assertRaises(ValueError):
            Crew(work, streams=1).run(companies(A=9, B=1))
        self.assertEqual(work.done, [f"open {A}"])

    def test_a_requested_stop_or_an_unwritable_lake_ends_the_run(self):
        for error in (StoppedError("stopped", signal_number=15), AccessError("the disk is full")):
            for what in (f"open {A}", f"prove {A} 1", f"close {A} [1]"):
                with self.subTest(what=what, error=type(error).__name__):
                    work = Work(errors={what: error})
                    with self.assertRaises(type(error)):
                        Crew(work, streams=1).run(companies(A=9, B=1))
                    self.assertEqual(work.done[-1], what)


class GivingUp(CrewCase):
    """A source that is down fails every window alike: the rest is left for the next run."""

    def test_a_block_or_a_republication_stops_all_requests_at_once(self):
        for error in (BlockedError("403"), ReleaseGoneError("404")):
            for what in (f"open {A}", f"prove {A} 1"):
                with self.subTest(error=type(error).__name__, what=what):
                    work = Work({A: [1, 1, 1]}, errors={what: error})
                    outcomes = self.run_crew(work, companies(A=9, B=5, C=1))
                    self.assertEqual(work.done[-1], what)
                    self.assertEqual({outcome.error for outcome in outcomes.values()}, {error})

    def test_two_consecutive_failures_per_stream_stop_the_run(self):
        for streams in (1, 3):
            with self.subTest(streams=streams):
                rows = {str(number): 100 - number for number in range(20)}
                work = Work(errors={f"prove {one} 1": DOWN for one in rows})
                planned = [PlannedCompany(company_id=one, rows=count) for one, count in rows.items()]
                outcomes = self.run_crew(work, planned, streams)
                asked = sum(what.startswith("prove") for what in work.done)
                self.assertIn(asked, range(2 * streams, 3 * streams))  # the other streams may be asking by then
                self.assertIs(outcomes["0"].error, DOWN)
                last = outcomes["19"].error
                self.assertIsInstance(last, UnavailableError)
                self.assertEqual(str(last), f"stopped after {2 * streams} consecutive failures, the last: 502")
                self.assertEqual(outcomes["19"].result.reason, "unavailable")

    def test_failures_to_open_a_slice_count_towards_giving_up(self):
        work = Work(errors={f"open {A}": DOWN, f"prove {B} 1": DOWN})

        self.run_crew(work, companies(A=9, B=5, C=1))

        self.assertEqual(work.done, [f"open {A}", f"open {B}", f"prove {B} 1"])

    def test_a_success_resets_the_count_of_consecutive_failures(self):
        work = Work(errors={f"prove {A} 1": DOWN, f"prove {C} 1": DOWN})

        outcomes = self.run_crew(work, [*companies(A=9, B=5, C=3), PlannedCompany(company_id="7", rows=1)])

        self.assertEqual([outcomes[one].error for one in (A, B, C, "7")], [DOWN, None, DOWN, None])

    def test_wrong_answers_do_not_count_towards_giving_up(self):
        wrong: list[PipelineError] = [NotProvedError("width", "no"), DataError("400"), TemporaryError("moved")]
        planned = companies(A=9, B=8, C=7)
        errors = {f"prove {one.company_id} 1": error for one, error in zip(planned, wrong, strict=True)}

        outcomes = self.run_crew(Work(errors=dict(errors)), planned)

        self.assertEqual([outcome.error for outcome in outcomes.values()], wrong)

    def test_giving_up_leaves_the_remaining_windows_of_a_slice(self):
        work = Work({A: [5, 5, 5, 5]}, errors={f"prove {A} {number}": DOWN for number in (1, 2)})

        self.run_crew(work, companies(A=20))

        self.assertEqual(work.done, [f"open {A}", f"prove {A} 1", f"prove {A} 2"])


class AnOutcome(unittest.TestCase):
    def test_an_outcome_becomes_a_line_of_the_manifest(self):
        company = PlannedCompany(company_id=COMPANY, rows=7)
        tally = Tally(requests=5, retries=2)
        cost = {"requests": 5, "retries": 2, "seconds": 1.235}
        cases: list[tuple[SliceAudit | None, PipelineError | None, dict[str, Any]]] = [
            (a_slice(), None, {"verdict": "proved", "rows": 3, "bytes": 300}),
            (a_slice(records=0, bytes=90), None, {"verdict": "empty", "rows": 0, "bytes": 90}),
            (None, NotProvedError("width", "no"), {"verdict": "failed", "reason": "width"}),
            (None, BlockedError("no"), {"verdict": "failed", "reason": "blocked"}),
        ]
        for audit, error, result in cases:
            with self.subTest(result=result):
                found = Outcome(company, audit, error, tally, 1.23456).result
                expected = {"company_id": COMPANY, "rows_expected": 7} | cost | result
                self.assertEqual(found, SliceResult.model_validate(expected))

import contextlib
import threading
import unittest

from etl_core.budget import FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS, Budget
from etl_core.errors import BlockedError, StoppedError
from etl_core.testing import ManualClock

WAIT = 20  # seconds after which a test that hangs fails


class Looks:
    """Called each time a waiting thread looks about; stops it at the second look, or moves a clock."""

    def __init__(self, clock: ManualClock | None = None, step: float = 0.0):
        self.clock = clock
        self.step = step
        self.number = 0
        self.stops = clock is None

    def __call__(self) -> None:
        self.number += 1
        if self.clock is not None and self.number > 1:
            self.clock.now += self.step
        if self.stops and self.number > 1:
            raise StoppedError("stopped", signal_number=15)


def cut(budget, times, clock, retry_after=0.0):
    for _ in range(times):
        clock.now += 1
        budget.throttled(clock.now, retry_after)


class Slots(unittest.TestCase):
    def test_there_are_as_many_as_the_ceiling(self):
        budget = Budget(3)
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                stack.enter_context(budget.slot())
            budget._check_stop = Looks()
            with self.assertRaises(StoppedError):
                stack.enter_context(budget.slot())

    def test_one_that_was_given_back_can_be_taken_again(self):
        budget = Budget(1, check_stop=lambda: None)
        for _ in range(3):
            with self.assertRaises(ZeroDivisionError), budget.slot():
                raise ZeroDivisionError
        budget._check_stop = Looks()
        with budget.slot():
            pass

    def test_a_waiting_thread_goes_on_when_one_is_given_back(self):
        budget = Budget(1)
        waiting, entered = threading.Event(), threading.Event()
        budget._check_stop = waiting.set

        def work() -> None:
            with budget.slot():
                entered.set()

        thread = threading.Thread(target=work)
        with budget.slot():
            waiting.clear()
            thread.start()
            self.assertTrue(waiting.wait(WAIT))
            self.assertFalse(entered.is_set())
        self.assertTrue(entered.wait(WAIT))
        thread.join(WAIT)

    def test_threads_never_hold_more_than_the_ceiling(self):
        budget = Budget(3)
        lock = threading.Lock()
        inside = most = 0

        def work() -> None:
            nonlocal inside, most
            for _ in range(40):
                with budget.slot():
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    with lock:
                        inside -= 1

        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual((inside, budget._in_use), (0, 0))
        self.assertLessEqual(most, 3)

    def test_it_gives_the_moment_it_was_taken(self):
        clock = ManualClock(17.0)
        with Budget(1, clock=clock).slot() as taken:
            self.assertEqual(taken, 17.0)

    def test_a_stop_is_noticed_before_a_free_slot_is_taken(self):
        def check() -> None:
            raise StoppedError("stopped", signal_number=15)

        budget = Budget(1, check_stop=check)
        with self.assertRaises(StoppedError), budget.slot():
            pass
        self.assertEqual(budget._in_use, 0)


class Throttling(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(100.0)
        self.budget = Budget(8, clock=self.clock)

    def test_each_time_it_halves_what_is_allowed_down_to_one(self):
        allowed = [self.budget.allowed]
        for _ in range(5):
            cut(self.budget, 1, self.clock)
            allowed.append(self.budget.allowed)
        self.assertEqual(allowed, [8, 4, 2, 1, 1, 1])

    def test_what_was_under_way_at_the_cut_does_not_cut_again(self):
        self.budget.throttled(99.0, 0.0)
        for taken in (90.0, 99.5, 100.0):
            self.budget.throttled(taken, 0.0)
        self.assertEqual(self.budget.allowed, 4)
        self.budget.throttled(100.1, 0.0)
        self.assertEqual(self.budget.allowed, 2)

    def test_what_is_allowed_is_what_is_given(self):
        cut(self.budget, 2, self.clock)
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(self.budget.slot())
            self.budget._check_stop = Looks()
            with self.assertRaises(StoppedError):
                stack.enter_context(self.budget.slot())

    def test_success_raises_it_by_one_per_round_up_to_the_ceiling(self):
        cut(self.budget, 2, self.clock)
        seen = []
        for _ in range(40):
            self.budget.succeeded()
            seen.append(self.budget.allowed)
        self.assertEqual(seen[:3], [2, 2, 3])
        for number in range(3, 8):
            self.assertIn(seen.count(number), (number, number + 1))
        self.assertEqual(seen[-1], 8)

    def test_nobody_is_let_through_before_the_moment_named(self):
        self.clock.now = 0.0
        budget = Budget(2, clock=self.clock, check_stop=Looks(self.clock, step=0.03))
        budget.throttled(0.0, 0.1)
        with budget.slot() as taken:
            self.assertGreaterEqual(taken, 0.1)
            self.assertLess(taken, 0.14)

    def test_the_latest_moment_named_counts(self):
        budget = Budget(2, clock=self.clock, check_stop=Looks(self.clock, step=0.05))
        budget.throttled(99.0, 0.1)
        budget.throttled(99.0, 0.01)
        with budget.slot() as taken:
            self.assertGreaterEqual(taken, 100.1)

    def test_a_single_answer_that_names_no_moment_holds_nobody(self):
        self.budget.throttled(99.0, None)
        with self.budget.slot() as taken:
            self.assertEqual(taken, 100.0)

    def test_in_a_row_they_hold_everybody_twice_as_long_each_time(self):
        holds = []
        for _ in range(9):
            self.clock.now += 1000
            self.budget.throttled(self.clock.now, None)
            holds.append(self.budget._not_before - self.clock.now)
        first, longest = FIRST_HOLD_SECONDS, LONGEST_HOLD_SECONDS
        self.assertEqual(holds, [0, first, 2, 4, 8, 16, 32, longest, longest])

    def test_very_many_in_a_row_are_no_reason_to_break(self):
        for _ in range(1100):
            self.clock.now += 1000
            self.budget.throttled(self.clock.now, None)
        self.assertEqual(self.budget._not_before, self.clock.now + LONGEST_HOLD_SECONDS)

    def test_a_success_ends_the_row(self):
        cut(self.budget, 3, self.clock, None)
        self.budget.succeeded()
        self.clock.now += 1000
        self.budget.throttled(self.clock.now, None)
        self.assertEqual(self.budget._not_before, self.clock.now)

    def test_a_moment_named_is_obeyed_in_a_row_too(self):
        cut(self.budget, 3, self.clock, 7.0)
        self.assertEqual(self.budget._not_before, self.clock.now + 7.0)


class Blocking(unittest.TestCase):
    def test_nobody_is_let_through_after_a_block(self):
        budget = Budget(2)
        budget.block("blocked by the edge")
        budget.block("another reason")
        with self.assertRaisesRegex(BlockedError, "^blocked by the edge$"), budget.slot():
            pass

    def test_who_waits_is_told(self):
        budget = Budget(1)
        waiting = threading.Event()
        budget._check_stop = waiting.set
        told: list[str] = []

        def work() -> None:
            try:
                with budget.slot():
                    told.append("let through")
            except BlockedError as error:
                told.append(str(error))

        thread = threading.Thread(target=work)
        with budget.slot():
            waiting.clear()
            thread.start()
            self.assertTrue(waiting.wait(WAIT))
            budget.block("blocked")
            thread.join(WAIT)
        self.assertEqual(told, ["blocked"])

    def test_what_is_under_way_ends_in_peace(self):
        budget = Budget(2)
        with budget.slot():
            budget.block("blocked")
            budget.succeeded()
        self.assertEqual(budget._in_use, 0)

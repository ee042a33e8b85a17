import contextlib
import itertools
import json
import tempfile
import threading
import unittest
from datetime import UTC, datetime
from pathlib import Path

from structlog.testing import capture_logs

from etl_core.budget import Budget
from etl_core.budget_state import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, LONGEST_REASON, STATE_TTL_SECONDS
from etl_core.errors import BlockedError, PermanentError, StoppedError
from etl_core.private_folder import PrivateFolder
from etl_core.retry import LONGEST_WAIT_SECONDS
from etl_core.testing import ManualClock

WAIT = 20  # seconds after which a test that hangs fails


def stop_at_look(number):
    """A check that stops whoever looks about for the so-manieth time."""
    looks = itertools.count(1)

    def check() -> None:
        if next(looks) >= number:
            raise StoppedError("stopped", signal_number=15)

    return check


class BudgetCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "budgets" / "source"
        self.shared = PrivateFolder(Path(folder.name), "budgets", "source")
        self.clock = ManualClock(1_000_000.0)

    def budget(self, ceiling=8, **options) -> Budget:
        return Budget(ceiling, self.shared, clock=self.clock, sleep=self.clock.sleep, **options)

    def cut(self, budget, times=1, retry_after: float | None = 0.0):
        for _ in range(times):
            self.clock.now += 1
            budget.throttled(self.clock.now, retry_after)

    def assert_no_slot(self, ceiling=8):
        """Another process of the same source finds none."""
        with self.assertRaises(StoppedError), self.budget(ceiling, check_stop=stop_at_look(3)).slot():
            pass


class Slots(BudgetCase):
    def test_there_are_as_many_slots_as_the_ceiling(self):
        budget = self.budget(3)
        with contextlib.ExitStack() as stack:
            for number in range(3):
                stack.enter_context(budget.slot())
                if number < 2:
                    with self.budget(3, check_stop=stop_at_look(2)).slot():
                        pass
            self.assert_no_slot(3)

    def test_a_freed_slot_can_be_taken_again(self):
        budget = self.budget(1)
        for _ in range(3):
            with self.assertRaises(ZeroDivisionError), budget.slot():
                raise ZeroDivisionError
        with self.budget(1, check_stop=stop_at_look(2)).slot():
            pass

    def test_a_waiting_thread_takes_a_freed_slot(self):
        waiting, entered = threading.Event(), threading.Event()
        budget = self.budget(1)

        def work() -> None:
            with self.budget(1, check_stop=waiting.set).slot():
                entered.set()

        thread = threading.Thread(target=work)
        with budget.slot():
            thread.start()
            self.assertTrue(waiting.wait(WAIT))
            self.assertFalse(entered.is_set())
        self.assertTrue(entered.wait(WAIT))
        thread.join(WAIT)

    def test_threads_never_hold_more_than_the_ceiling(self):
        lock = threading.Lock()
        inside = most = 0

        def work(budget) -> None:
            nonlocal inside, most
            for _ in range(25):
                with budget.slot():
                    with lock:
                        inside += 1
                        most = max(most, inside)
                    with lock:
                        inside -= 1

        shared = self.budget(3)
        threads = [threading.Thread(target=work, args=(shared,)) for _ in range(4)]
        threads += [threading.Thread(target=work, args=(self.budget(3),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        self.assertEqual(inside, 0)
        self.assertLessEqual(most, 3)

    def test_a_slot_yields_the_time_it_was_taken(self):
        with self.budget(1).slot() as taken:
            self.assertEqual(taken, self.clock.now)

    def test_a_stop_is_noticed_before_a_free_slot_is_taken(self):
        with self.assertRaises(StoppedError), self.budget(1, check_stop=stop_at_look(1)).slot():
            pass
        with self.budget(1, check_stop=stop_at_look(2)).slot():
            pass

    def test_a_lower_ceiling_limits_only_its_own_budget(self):
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(self.budget(2).slot())
            self.assert_no_slot(2)
            with self.budget(3, check_stop=stop_at_look(2)).slot():
                pass

    def test_a_folder_that_cannot_be_created_is_an_error(self):
        self.folder.parent.mkdir(mode=0o700)
        self.folder.touch()
        with self.assertRaisesRegex(PermanentError, f"cannot use {self.folder}"):
            self.budget()


class Throttling(BudgetCase):
    def test_each_throttled_answer_halves_the_limit_down_to_one(self):
        budget = self.budget()
        allowed = [budget.allowed]
        for _ in range(5):
            self.cut(budget)
            allowed.append(budget.allowed)
        self.assertEqual(allowed, [8, 4, 2, 1, 1, 1])

    def test_requests_under_way_at_a_cut_do_not_cut_again(self):
        budget = self.budget()
        now = self.clock.now
        budget.throttled(now - 1, 0.0)
        for taken in (now - 10, now - 0.5, now):
            budget.throttled(taken, 0.0)
        self.assertEqual(budget.allowed, 4)
        budget.throttled(now + 0.1, 0.0)
        self.assertEqual(budget.allowed, 2)

    def test_no_more_slots_are_taken_than_the_limit_allows(self):
        budget = self.budget()
        self.cut(budget, 2)
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(budget.slot())
            self.assert_no_slot()

    def test_a_round_of_successes_raises_the_limit_by_one(self):
        budget = self.budget()
        self.cut(budget, 2)
        seen = []
        for _ in range(40):
            budget.succeeded()
            seen.append(budget.allowed)
        self.assertEqual(seen[:3], [2, 2, 3])
        for number in range(3, 8):
            self.assertIn(seen.count(number), (number, number + 1))
        self.assertEqual(seen[-1], 8)

    def test_a_success_under_a_lower_ceiling_does_not_lower_the_limit(self):
        high, low = self.budget(8), self.budget(2)
        self.cut(high)
        low.succeeded()
        self.assertEqual((high.allowed, low.allowed), (4, 2))

    def test_no_request_is_sent_before_the_time_that_the_source_named(self):
        named = self.clock.now + 7.3
        self.budget().throttled(self.clock.now - 1, 7.3)
        with self.budget().slot() as taken:
            self.assertGreaterEqual(taken, named)
            self.assertLess(taken, named + 0.1)
        self.assertLessEqual(max(self.clock.slept), 0.5)

    def test_a_stop_ends_a_pause(self):
        self.budget().throttled(self.clock.now - 1, 500.0)
        with self.assertRaises(StoppedError), self.budget(check_stop=stop_at_look(3)).slot():
            pass
        self.assertEqual(len(self.clock.slept), 2)

    def test_the_latest_time_named_counts(self):
        budget, now = self.budget(), self.clock.now
        budget.throttled(now - 1, 9.0)
        budget.throttled(now - 1, 2.0)
        with budget.slot() as taken:
            self.assertGreaterEqual(taken, now + 9.0)

    def test_one_throttled_answer_without_a_time_pauses_nobody(self):
        budget = self.budget()
        self.cut(budget, 1, None)
        with budget.slot():
            self.assertEqual(self.clock.slept, [])

    def holds(self, budget, times):
        found = []
        for _ in range(times):
            self.clock.now += 1000
            budget.throttled(self.clock.now, None)
            found.append(max(0.0, budget._read().not_before - self.clock.now))
        return found

    def test_each_throttled_answer_in_a_row_doubles_the_pause(self):
        first, longest = FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS
        self.assertEqual(self.holds(self.budget(), 9), [0, first, 2, 4, 8, 16, 32, longest, longest])

    def test_a_thousand_throttled_answers_in_a_row_do_not_overflow(self):
        budget = self.budget()
        self.cut(budget)
        state = json.loads((self.folder / "state.json").read_text())
        (self.folder / "state.json").write_text(json.dumps(state | {"throttled_in_a_row": 2000}))
        self.assertEqual(self.holds(budget, 2), [LONGEST_PAUSE_SECONDS] * 2)

    def test_a_success_resets_the_pause_even_at_the_ceiling(self):
        budget = self.budget(1)
        self.cut(budget, 3, None)
        budget.succeeded()
        self.assertEqual(self.holds(budget, 2), [0, FIRST_PAUSE_SECONDS])

    def test_requests_under_way_do_not_double_the_pause(self):
        budget = self.budget()
        taken = self.clock.now
        for _ in range(5):
            self.clock.now += 1
            budget.throttled(taken, None)
        self.assertEqual(budget._read().throttled_in_a_row, 1)

    def test_a_time_named_counts_after_several_throttled_answers_too(self):
        budget = self.budget()
        self.cut(budget, 3, 7.0)
        self.assertEqual(budget._read().not_before, self.clock.now + 7.0)

    def test_a_budget_says_until_when_it_pauses(self):
        budget = self.budget()
        self.assertEqual(budget.held_until, 0.0)
        budget.throttled(self.clock.now - 1, 9.0)
        self.assertEqual(self.budget().held_until, self.clock.now + 9.0)

    def test_two_budgets_of_one_folder_share_their_state(self):
        self.cut(self.budget(), 2, 5.0)
        other = self.budget()
        self.assertEqual(other.allowed, 2)
        with other.slot() as taken:
            self.assertGreaterEqual(taken, 1_000_007.0)

    def test_a_long_pause_is_logged_once(self):
        for retry_after, told in [(1.0, []), (120.0, [120])]:
            self.setUp()
            self.cut(self.budget(), 1, retry_after)
            with self.subTest(retry_after=retry_after), capture_logs() as logs, self.budget().slot():
                self.assertEqual([line["seconds"] for line in logs], told)

    def test_an_old_state_is_ignored(self):
        budget = self.budget()
        self.cut(budget, 2)
        self.clock.now += STATE_TTL_SECONDS - 1
        self.assertEqual(budget.allowed, 2)
        self.clock.now += 1
        self.assertEqual(budget.allowed, 8)
        with budget.slot():
            self.assertEqual(self.clock.slept, [])

    def test_a_wait_longer_than_a_run_waits_for_ends_it_and_names_the_time(self):
        self.clock.now = datetime(2026, 11, 29, 18, 0, tzinfo=UTC).timestamp()
        self.budget().throttled(self.clock.now - 1, 7200.0)

        for minutes in (120, 45):
            self.clock.now += (120 - minutes) * 60
            with self.subTest(minutes), self.assertRaises(BlockedError) as caught, self.budget().slot():
                pass
            self.assertEqual(caught.exception.retry_after, minutes * 60)
            said = f"the source asked for no request before 2026-11-29 20:00:00 UTC, in {minutes} min. Run the same"
            self.assertTrue(str(caught.exception).startswith(said), str(caught.exception))
        self.assertEqual(self.clock.slept, [])

        self.clock.now += 45 * 60
        with self.budget().slot() as taken:
            self.assertEqual(taken, self.clock.now)

    def test_a_wait_as_long_as_a_run_waits_for_is_waited_out(self):
        named = self.clock.now + LONGEST_WAIT_SECONDS
        self.budget().throttled(self.clock.now - 1, LONGEST_WAIT_SECONDS)
        with self.budget().slot() as taken:
            self.assertGreaterEqual(taken, named)

    def test_a_pause_written_while_the_clock_was_wrong_is_no_longer_than_it_was(self):
        now = self.clock.now
        self.clock.now = now + 3000
        self.budget().throttled(self.clock.now - 1, 5.0)
        self.clock.now = now

        with self.budget().slot() as taken:
            self.assertLess(taken, now + 6.0)
            self.assertGreaterEqual(taken, now + 5.0)

    def test_a_block_counts_although_the_clock_was_wrong_at_the_start(self):
        self.clock.now += 3000
        budget = self.budget()
        self.clock.now -= 3000
        self.budget().block("blocked by the edge")
        with self.assertRaises(BlockedError), budget.slot():
            pass

    def test_a_damaged_state_is_ignored(self):
        budget = self.budget()
        whole = '{"allowed": 3.0, "updated": 1000000.0%s}'
        for text in (
            "", "nonsense", "[]", '{"other": 1}', "\0", "[" * 10_000, "1" * 100_000, '{"allowed": 0.5}',
            *(whole % one for one in (
                ', "other": 1', ', "not_before": 1e300', ', "not_before": NaN', ', "not_before": "2"',
                ', "throttled_in_a_row": -1', ', "blocked_why": "%s"' % ("x" * 2000), ', "block": 7',
            )),
        ):  # fmt: skip
            with self.subTest(text):
                (self.folder / "state.json").write_text(text)
                self.assertEqual(budget.allowed, 8)
                self.cut(budget)
                self.assertEqual(budget.allowed, 4)
                self.assertEqual(json.loads((self.folder / "state.json").read_text())["allowed"], 4.0)

    def test_no_change_of_a_thread_is_lost(self):
        budget = self.budget(1000)
        for _ in range(9):
            self.cut(budget)

        def work(one) -> None:
            for _ in range(20):
                one.succeeded()

        threads = [threading.Thread(target=work, args=(one,)) for one in (budget, budget, self.budget(1000))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        expected = 1000.0 / 2**9
        for _ in range(60):
            expected += 1.0 / expected
        self.assertAlmostEqual(budget._read().allowed, expected)


class Blocking(BudgetCase):
    def test_no_request_is_sent_after_a_block(self):
        one, other = self.budget(2), self.budget(2)
        one.block("blocked by the edge")
        for budget in (one, other):
            with self.assertRaisesRegex(BlockedError, "^blocked by the edge$"), budget.slot():
                pass

    def test_the_reason_of_a_block_is_printable(self):
        budget = self.budget(2)
        self.budget().block("403: \x1b[31mno\x1b]0;title\x07\n" + "x" * 5000)
        with self.assertRaises(BlockedError) as caught, budget.slot():
            pass
        self.assertTrue(str(caught.exception).isprintable())
        self.assertLessEqual(len(str(caught.exception)), LONGEST_REASON)

    def test_a_process_started_after_a_block_sends_requests(self):
        self.budget(2).block("blocked")
        self.clock.now += 1
        with self.budget(2).slot():
            pass

    def test_a_waiting_thread_raises_blocked_error(self):
        waiting = threading.Event()
        told: list[str] = []
        budget = self.budget(1)

        def work() -> None:
            try:
                with self.budget(1, check_stop=waiting.set).slot():
                    told.append("let through")
            except BlockedError as error:
                told.append(str(error))

        thread = threading.Thread(target=work)
        with budget.slot():
            thread.start()
            self.assertTrue(waiting.wait(WAIT))
            budget.block("blocked")
            thread.join(WAIT)
        self.assertEqual(told, ["blocked"])

    def test_a_block_between_the_look_at_the_state_and_the_lock_of_a_slot_sends_no_request(self):
        other = self.budget(2)
        reads = itertools.count(1)

        def block_after_the_read() -> float:
            if next(reads) == 2:  # the first call is the constructor's
                other.block("blocked by the edge")
            return self.clock()

        budget = Budget(2, self.shared, clock=block_after_the_read, sleep=self.clock.sleep)

        with self.assertRaises(BlockedError), budget.slot():
            self.fail("a slot was given after the block")

    def test_a_request_under_way_survives_a_block(self):
        budget = self.budget(2)
        with budget.slot():
            budget.block("blocked")
            budget.succeeded()
        with self.assertRaises(BlockedError), budget.slot():
            pass

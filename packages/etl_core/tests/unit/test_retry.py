import unittest
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from etl_core.errors import BlockedError, DataError, StoppedError, TemporaryError, UnavailableError
from etl_core.retry import LONGEST_RETRY_AFTER_SECONDS, Retry, RetryPolicy, parse_retry_after
from etl_core.testing import ManualClock


class Failing:
    """An action that raises what it is given, one after the other, and then returns its attempt."""

    def __init__(self, *failures: Exception, clock: ManualClock | None = None, takes: float = 0.0):
        self.failures = list(failures)
        self.attempts: list[int] = []
        self.clock = clock
        self.takes = takes

    def __call__(self, attempt: int) -> int:
        self.attempts.append(attempt)
        if self.clock is not None:
            self.clock.now += self.takes
        if self.failures:
            raise self.failures.pop(0)
        return attempt


class RetryPolicyCase(unittest.TestCase):
    def test_the_default_policy_limits_attempts_and_time(self):
        usual = RetryPolicy(attempts=6, total_seconds=900.0, first_wait_seconds=0.5, longest_wait_seconds=60.0)
        self.assertEqual(RetryPolicy(), usual)


class RetryCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(1000.0)

    def retry(self, chance=1.0, **policy) -> Retry:
        return Retry(RetryPolicy(**policy), sleep=self.clock.sleep, clock=self.clock, chance=lambda: chance)

    def test_a_first_success_is_returned_without_waiting(self):
        action = Failing()
        self.assertEqual(self.retry().call(action), 1)
        self.assertEqual((action.attempts, self.clock.slept), ([1], []))

    def test_temporary_errors_are_retried(self):
        action = Failing(UnavailableError("a"), TemporaryError("b"))
        self.assertEqual(self.retry().call(action), 3)
        self.assertEqual((action.attempts, self.clock.slept), ([1, 2, 3], [0.5, 1.0]))

    def test_jitter_shortens_a_wait_or_comes_on_top_of_it(self):
        for jitter_from, chance, slept in (
            (0.5, 0.0, [0.5, 1.0, 2.0, 4.0]),
            (1.0, 0.0, [1, 2, 4, 8]),
            (1.0, 1.0, [1.5, 3, 6, 12]),
        ):
            self.clock.slept.clear()
            policy = {"attempts": 5, "first_wait_seconds": 1.0, "longest_wait_seconds": 8.0, "jitter_from": jitter_from}
            with self.subTest(jitter_from=jitter_from, chance=chance):
                self.retry(chance, **policy).call(Failing(*[UnavailableError("a")] * 4))
                self.assertEqual(self.clock.slept, slept)

    def test_other_errors_are_not_retried(self):
        for error in (BlockedError("b"), DataError("d"), StoppedError("s", signal_number=15), ValueError("v")):
            with self.subTest(error):
                action = Failing(error)
                with self.assertRaises(type(error)) as caught:
                    self.retry().call(action)
                self.assertIs(caught.exception, error)
                self.assertEqual((action.attempts, self.clock.slept), ([1], []))

    def test_the_last_error_is_raised_after_the_last_attempt(self):
        failures = [UnavailableError(str(number)) for number in range(9)]
        action = Failing(*failures)
        with self.assertRaises(UnavailableError) as caught:
            self.retry(attempts=4).call(action)
        self.assertIs(caught.exception, failures[3])
        self.assertEqual(len(self.clock.slept), 3)

    def test_one_attempt_means_no_retry(self):
        action = Failing(UnavailableError("a"))
        with self.assertRaises(UnavailableError):
            Retry(RetryPolicy(attempts=1), sleep=self.clock.sleep).call(action)
        self.assertEqual((action.attempts, self.clock.slept), ([1], []))

    def test_no_wait_exceeds_the_total_time(self):
        for total, slept in [(1.5, [0.5, 1.0]), (1.49, [0.5]), (0.5, [0.5]), (0.49, [])]:
            with self.subTest(total):
                self.clock.slept.clear()
                with self.assertRaises(UnavailableError):
                    self.retry(attempts=100, total_seconds=total).call(Failing(*[UnavailableError("x")] * 99))
                self.assertEqual(self.clock.slept, slept)

    def test_the_time_of_the_attempts_counts(self):
        action = Failing(*[UnavailableError("x")] * 99, clock=self.clock, takes=10.0)
        with self.assertRaises(UnavailableError):
            self.retry(attempts=100, total_seconds=25.0).call(action)
        self.assertEqual(action.attempts, [1, 2, 3])

    def test_waits_double_up_to_the_longest(self):
        retry = self.retry(first_wait_seconds=1.0, longest_wait_seconds=5.0)
        error = TemporaryError("x")
        self.assertEqual([retry.wait_before(attempt, error) for attempt in range(2, 7)], [1, 2, 4, 5, 5])

    def test_jitter_shortens_a_wait_by_half_at_most(self):
        error = UnavailableError("x")
        self.assertEqual(self.retry(chance=0.0, first_wait_seconds=4.0).wait_before(2, error), 2.0)
        self.assertEqual(self.retry(chance=0.5, first_wait_seconds=4.0).wait_before(2, error), 3.0)

    def test_a_wait_is_a_little_longer_than_retry_after(self):
        for asked in (0.0, 7.0, 120.0):
            with self.subTest(asked):
                self.clock.slept.clear()
                self.retry().call(Failing(UnavailableError("x", retry_after=asked)))
                self.assertEqual(self.clock.slept, [asked + 0.05])

    def test_a_retry_after_beyond_the_total_time_ends_the_retries(self):
        action = Failing(UnavailableError("x", retry_after=60.0))
        with self.assertRaises(UnavailableError):
            self.retry(total_seconds=59.0).call(action)
        self.assertEqual((action.attempts, self.clock.slept), ([1], []))

    def test_on_retry_is_called_before_each_wait(self):
        told: list[tuple[int, str, float, int]] = []
        action = Failing(UnavailableError("a"), UnavailableError("b"))
        self.retry().call(
            action,
            on_retry=lambda attempt, error, wait: told.append((attempt, str(error), wait, len(self.clock.slept))),
        )
        self.assertEqual(told, [(1, "a", 0.5, 0), (2, "b", 1.0, 1)])

    def test_on_retry_is_not_called_without_a_retry(self):
        told: list[int] = []
        with self.assertRaises(UnavailableError):
            self.retry(attempts=2).call(
                Failing(*[UnavailableError("x")] * 9), on_retry=lambda attempt, *_: told.append(attempt)
            )
        self.assertEqual(told, [1])

    def test_a_stop_during_the_wait_ends_it(self):
        def sleep(_seconds: float) -> None:
            raise StoppedError("stopped", signal_number=15)

        with self.assertRaises(StoppedError):
            Retry(sleep=sleep).call(Failing(UnavailableError("x")))


class ParseRetryAfter(unittest.TestCase):
    def test_retry_after_is_seconds_or_a_date_or_ignored(self):
        soon = datetime.now(UTC) + timedelta(hours=3)
        for value, seconds in [
            (None, None),
            ("", None),
            ("120", 120.0),
            (" 7 ", 7.0),
            ("0", 0.0),
            (f"{soon:%a, %d %b %Y %H:%M:%S} GMT", 10_800.0),
            (f"{soon:%A, %d-%b-%y %H:%M:%S} GMT", 10_800.0),
            (f"{soon + timedelta(hours=2):%a, %d %b %Y %H:%M:%S} +0200", 10_800.0),
            ("Sat, 21 Nov 2020 11:00:00 GMT", 0.0),
            ("-5", None),
            ("1.5", None),
            ("soon", None),
            ("²", None),  # a digit to Python, no number
            ("٣", None),
        ]:
            with self.subTest(value):
                found = parse_retry_after(value)
                if seconds != 10_800.0:
                    self.assertEqual(found, seconds)
                else:
                    self.assertIsNotNone(found)
                    self.assertLess(abs((found or 0) - seconds), 1800)

    def test_a_date_is_compared_with_the_date_of_the_answer_and_not_with_the_clock_of_this_machine(self):
        sent, until = "Sat, 21 Nov 2020 11:00:00 GMT", "Sat, 21 Nov 2020 11:02:00 GMT"
        self.assertEqual(parse_retry_after(until, sent), 120.0)
        self.assertEqual(parse_retry_after(sent, until), 0.0)
        self.assertEqual(parse_retry_after(until, "nonsense"), 0.0)
        self.assertEqual(parse_retry_after("7", sent), 7.0)

    def test_no_wait_is_longer_than_a_week(self):
        for value in ("604801", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"):
            with self.subTest(value):
                self.assertEqual(parse_retry_after(value), LONGEST_RETRY_AFTER_SECONDS)

    @settings(max_examples=300, deadline=None, derandomize=True, database=None)
    @given(
        st.one_of(
            st.text(max_size=40),
            st.text("0123456789:,+- GMTSatNov²٣", max_size=40),
            st.from_regex(r"(Sat, )?\d{1,2} Nov \d{1,6} \d{1,2}:\d{1,3}:\d{1,3} [+-]?\d{1,12}", fullmatch=True),
        )
    )
    def test_no_retry_after_value_raises(self, value):
        seconds = parse_retry_after(value)
        self.assertTrue(seconds is None or seconds >= 0.0)

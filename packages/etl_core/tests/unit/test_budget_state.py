import unittest

from etl_core.budget_state import STATE_TTL_SECONDS, State, as_of, cut, parse, raised
from etl_core.retry import LONGEST_RETRY_AFTER_SECONDS

NOW = 1_000_000.0
STORED = State(allowed=2.0, not_before=NOW + 5, last_cut=NOW - 1, throttled_in_a_row=3, block="b", updated=NOW)


class Parsing(unittest.TestCase):
    def test_what_was_stored_is_read(self):
        self.assertEqual(parse(STORED.model_dump_json().encode(), NOW, 8), STORED)

    def test_a_pause_outlives_the_time_after_which_a_state_is_ignored(self):
        held = STORED.changed(not_before=NOW + 2 * STATE_TTL_SECONDS).model_dump_json().encode()
        for later, allowed in (
            (STATE_TTL_SECONDS, 2.0),
            (2 * STATE_TTL_SECONDS - 1, 2.0),
            (2 * STATE_TTL_SECONDS, 8.0),
        ):
            with self.subTest(later):
                self.assertEqual(parse(held, NOW + later, 8).allowed, allowed)

    def test_no_pause_is_longer_than_a_source_can_ask_for(self):
        for_ever = STORED.changed(not_before=NOW + 10 * LONGEST_RETRY_AFTER_SECONDS).model_dump_json().encode()
        self.assertEqual(parse(for_ever, NOW, 8).not_before, NOW + LONGEST_RETRY_AFTER_SECONDS)


class AnotherClock(unittest.TestCase):
    def test_a_state_of_the_future_is_taken_for_one_of_now(self):
        self.assertEqual(
            as_of(STORED, NOW - 3000), STORED.changed(not_before=NOW - 2995, last_cut=NOW - 3001, updated=NOW - 3000)
        )

    def test_a_state_of_the_past_stays(self):
        for now in (NOW, NOW + 3000):
            self.assertEqual(as_of(STORED, now), STORED)

    def test_no_time_is_before_the_epoch(self):
        self.assertEqual(as_of(STORED, 0.5).last_cut, 0.0)


class Changing(unittest.TestCase):
    def test_a_cut_halves_the_limit_and_a_success_raises_it_slowly(self):
        halved = cut(State(allowed=8.0), NOW, NOW - 1, 7.0)
        self.assertEqual((halved.allowed, halved.not_before, halved.last_cut), (4.0, NOW + 7.0, NOW))
        self.assertEqual(raised(halved, 8).allowed, 4.25)

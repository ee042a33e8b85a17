import unittest

from etl_core.breaker import Breaker
from etl_core.errors import BlockedError, DataError, UnavailableError


class ABreaker(unittest.TestCase):
    def test_opens_after_so_many_failures_in_a_row_and_stays_open(self):
        breaker = Breaker(3, "not tried after {} failures", advice="Wait.")
        for answers in ("ff", "sff", "sff"):
            for one in answers:
                if one == "s":
                    breaker.succeeded()
                else:
                    self.assertFalse(breaker.failed(UnavailableError("busy")))
                breaker.check()
        self.assertTrue(breaker.failed(UnavailableError("the last one")))
        for _ in range(2):
            with self.assertRaisesRegex(UnavailableError, "^not tried after 3 failures, the last: the last one Wait.$"):
                breaker.check()
            breaker.succeeded()
            self.assertFalse(breaker.failed(UnavailableError("one more")))

    def test_opens_for_a_permanent_failure_permanently(self):
        breaker = Breaker(1)
        breaker.failed(DataError("no JSON"))
        with self.assertRaisesRegex(DataError, "stopped after 1 consecutive failures, the last: no JSON"):
            breaker.check()

    def test_can_be_opened_at_once_and_keeps_the_first_reason(self):
        breaker, blocked = Breaker(1), BlockedError("403")
        breaker.open(blocked)
        breaker.open(BlockedError("another"))
        self.assertFalse(breaker.failed(UnavailableError("busy")))
        for _ in range(2):
            with self.assertRaises(BlockedError) as raised:
                breaker.check()
            self.assertIs(raised.exception, blocked)

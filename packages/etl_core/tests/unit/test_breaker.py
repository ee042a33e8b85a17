import unittest

from etl_core.breaker import Breaker
from etl_core.errors import UnavailableError


class ABreaker(unittest.TestCase):
    def test_opens_after_so_many_failures_in_a_row_and_stays_open(self):
        breaker = Breaker(3)
        for answers in ("ff", "sff", "sff"):
            for one in answers:
                breaker.failed(UnavailableError("busy")) if one == "f" else breaker.succeeded()
                breaker.check()
        breaker.failed(UnavailableError("the last one"))
        for _ in range(2):
            with self.assertRaisesRegex(UnavailableError, "not tried after 3 consecutive failures, .*: the last one"):
                breaker.check()
            breaker.succeeded()

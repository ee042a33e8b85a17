import unittest

from etl_core.errors import UnavailableError
from etl_core.least_rate import LeastRate
from etl_core.testing import ManualClock


class LeastRates(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock()
        self.rate = LeastRate("GET /x", seconds=60, bytes_per_second=10, clock=self.clock)

    def arrive(self, body, *, after):
        def read_available(size):
            self.clock.now += after
            return body[:size]

        return self.rate.read(read_available, 1000)

    def test_pass_on_what_arrives(self):
        self.assertEqual(self.arrive(b"abc", after=1), b"abc")
        self.assertEqual(self.arrive(b"x" * 2000, after=1), b"x" * 1000)
        self.assertEqual(self.arrive(b"", after=59), b"")

    def test_end_a_slow_body(self):
        self.arrive(b"x" * 100, after=59)
        with self.assertRaisesRegex(UnavailableError, "GET /x sent only 3 bytes a second for 61 s"):
            self.arrive(b"x" * 100, after=2)

    def test_begin_again_after_each_period(self):
        self.arrive(b"x" * 1000, after=60)
        with self.assertRaises(UnavailableError):
            self.arrive(b"x" * 599, after=60)

    def test_leave_out_the_time_between_reads(self):
        for _ in range(100):
            self.arrive(b"x" * 20, after=1)
            self.clock.now += 600

    def test_take_a_late_end_for_the_end(self):
        self.assertEqual(self.arrive(b"", after=600), b"")

import threading
import unittest

from etl_core.errors import DataError
from etl_core.lake import in_parallel


class ManyRequests(unittest.TestCase):
    def test_wait_side_by_side_and_are_answered_in_order(self):
        both = threading.Barrier(2, timeout=10)

        def answer(one: int, other: str) -> str:
            both.wait()
            return f"{one}{other}"

        self.assertEqual(in_parallel(answer, [1, 2], "ab"), ["1a", "2b"])

    def test_raise_what_one_of_them_raises(self):
        def answer(one: int) -> int:
            if one:
                raise DataError(f"no {one}")
            return one

        with self.assertRaisesRegex(DataError, "no 1"):
            in_parallel(answer, range(3))

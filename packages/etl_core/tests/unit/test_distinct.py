import resource
import tempfile
import unittest
from pathlib import Path

from etl_core.distinct import DistinctKeys


class Keys(unittest.TestCase):
    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.keys = self.enterContext(DistinctKeys(folder / "keys"))

    def test_are_new_the_first_time_only(self):
        found = [self.keys.add(key) for key in (b"a", b"b", b"a", b"", b"", b"a\x00", b"b")]
        self.assertEqual(found, [True, True, False, True, False, True, False])

    def test_are_told_apart_in_flat_memory(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        new = sum(self.keys.add(b"%d" % (number % 90_000)) for number in range(100_000))
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertEqual(new, 90_000)
        self.assertLess(grown, 40 * 1024, "KiB; a set of these keys would be no smaller at 5 million than 450 MB")

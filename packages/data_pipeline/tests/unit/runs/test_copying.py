import unittest

from data_pipeline.runs.copying import ToCopy, missing


class Missing(unittest.TestCase):
    def test_an_object_is_missing_where_the_other_lake_lacks_it_or_has_another_size(self):
        there = {"same": 3, "longer": 4, "empty": 0, "unknown": 9}
        wanted = [
            ToCopy("same", size=3), ToCopy("longer", size=3), ToCopy("empty", size=0), ToCopy("empty", size=1),
            ToCopy("unknown"), ToCopy("lacking", size=3), ToCopy("lacking"),
        ]  # fmt: skip

        self.assertEqual(missing(wanted, there), [wanted[1], wanted[3], wanted[5], wanted[6]])

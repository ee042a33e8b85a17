import unittest

from etl_core.lake import put_new_numbered
from etl_core.testing import MemoryStore


class Numbered(unittest.TestCase):
    def test_a_file_lies_under_the_first_key_that_is_free_or_holds_the_same(self):
        store = MemoryStore()
        self.addCleanup(store.close)
        path = store.scratch_file()
        for body, key in ((b"one", "a-1"), (b"two", "a-2"), (b"one", "a-1"), (b"two", "a-2"), (b"three", "a-3")):
            path.write_bytes(body)
            with self.subTest(body=body):
                self.assertEqual(put_new_numbered(store, lambda number: f"a-{number}", path), key)
                self.assertEqual((store.get(key), path.read_bytes()), (body, body))
        self.assertEqual(store.writes, ["a-1", "a-2", "a-3"])

import time
import unittest

from etl_core.testing import ManualClock, MemoryStore


class TestingCase(unittest.TestCase):
    def test_a_manual_clock_moves_by_sleeps_that_take_no_time(self):
        clock = ManualClock(5.0)
        before = time.monotonic()
        clock.sleep(1000.0)
        clock.now += 0.5
        clock.sleep(0.25)
        self.assertEqual((clock(), clock.slept), (1005.75, [1000.0, 0.25]))
        self.assertLess(time.monotonic() - before, 100)

    def test_a_memory_store_lists_its_writes_in_order(self):
        store = MemoryStore()
        store.put_new("b", b"1")
        store.put("a", b"2")
        store.put_new("b", b"3")
        store.put("b", b"4")
        self.assertEqual(store.writes, ["b", "a", "b"])
        self.assertEqual(store.url, "memory://")

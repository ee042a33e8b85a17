"""One thread for what is due and what was asked for."""

from __future__ import annotations

import contextlib
import io
from unittest import TestCase

from sandbox.cluster.loop import Loop


class LoopTest(TestCase):
    def setUp(self):
        self.loop = Loop()
        self.addCleanup(self.loop.stop)
        self.done: list[str] = []

    def wait(self, count):
        with self.loop.lock:
            self.assertTrue(self.loop.lock.wait_for(lambda: len(self.done) >= count, 20))

    def call(self, name):
        return lambda: self.done.append(name)

    def test_calls_come_in_order_and_timers_when_they_are_due(self):
        self.loop.after(0.2, self.call("late"))
        self.loop.after(0.1, self.call("early"))
        for name in "abc":
            self.loop.after(0, self.call(name))
        self.wait(5)
        self.assertEqual(self.done, ["a", "b", "c", "early", "late"])

    def test_a_timer_that_is_far_away_keeps_nobody(self):
        self.loop.after(3600, self.call("never"))
        self.loop.after(0, self.call("a"))
        self.wait(1)

    def test_a_bug_is_kept_and_the_next_call_comes_all_the_same(self):
        with contextlib.redirect_stderr(io.StringIO()) as told:
            self.loop.after(0, lambda: self.done.remove("b"))
            self.loop.after(0, self.call("a"))
            self.wait(1)
        self.assertEqual(len(self.loop.bugs), 1)
        self.assertIn("ValueError", self.loop.bugs[0])
        self.assertIn("ValueError", told.getvalue())

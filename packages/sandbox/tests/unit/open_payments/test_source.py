"""The faults of the source."""

from __future__ import annotations

from unittest import TestCase

from sandbox.open_payments.source import STAGES


class FaultsTest(TestCase):
    def test_every_fault_has_a_stage(self):
        self.assertEqual(len(STAGES), 24)
        self.assertEqual(set(STAGES.values()), {"edge", "conditions", "count", "header", "body"})

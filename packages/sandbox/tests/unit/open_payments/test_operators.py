"""Operators of conditions on one text (facts 1.3)."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.operators import holds


class HoldsTest(TestCase):
    def test_an_operator_decides_about_a_text(self):
        cases: list[tuple[str, Any, str, bool]] = [
            ("=", "ca", "CA", True),
            ("=", ["CA"], "ca", True),
            ("=", 1.5, "1.5", True),
            ("=", 5.0, "5", True),
            ("!=", "CA", "ca", False),
            ("<", "20", "100", True),
            ("in", ["a", 7], "7", True),
            ("not in", "a", "A", False),
            ("between", ["b", "d"], "C", True),
            ("like", "a%c", "A\nbc", True),
            ("like", "a_c", "ac", False),
            ("like", "100\\%", "100%", True),
            ("like", "100\\%", "1000", False),
            ("like", "a.c", "abc", False),
            ("contains", "50%", "at 50 to", True),
            ("starts with", "b", "abc", False),
            ("match", "acme", "The ACME, Inc.", True),
            ("match", "acm", "Acme", False),
            ("match", "acm*", "Acme", True),
            ("match", "+acme +gmbh", "Acme Inc", False),
            ("match", "-acme", "Other", False),
        ]
        for name, value, text, expected in cases:
            with self.subTest(name=name, value=value, text=text):
                self.assertIs(holds(name, value)(text), expected)

    def test_what_cannot_run_has_the_source_s_status_or_is_not_simulated(self):
        cases: list[tuple[str, Any, int]] = [
            ("in", [], 400),
            ("=", ["a", "b"], 400),
            ("like", ["a", "b"], 400),
            ("between", "a", 400),
            ("=", None, 400),
            ("between", ["a", "b", "c"], 501),
            ("starts with", ["a"], 501),
            ("regexp", "a", 501),
            ("match", '"acme inc"', 501),
            ("=", {"property": "a"}, 501),
        ]
        for name, value, status in cases:
            with self.subTest(name=name, value=value), self.assertRaises(ApiError) as caught:
                holds(name, value)
            self.assertEqual(caught.exception.status, status)

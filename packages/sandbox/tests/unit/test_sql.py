"""Conditions as SQL, and the full-text search (facts 1.3, 2.3)."""

from __future__ import annotations

from typing import Any
from unittest import TestCase

from sandbox.errors import ApiError
from sandbox.sql import boolean_match, columns_of, where
from sandbox.tables import SmallTable

TABLE = SmallTable("companies", "id", list)
NAME, STATE = "amgpo_making_payment_name", "amgpo_making_payment_state"
STATE_IS_X = {"property": STATE, "value": "x"}


class WhereTest(TestCase):
    def test_each_operator_has_its_expression(self):
        cases: list[tuple[list[dict[str, Any]], tuple[str, list[str]]]] = [
            ([], ("(1)", [])),
            ([{"property": NAME, "value": "x"}], ("(c1 = ?)", ["x"])),
            ([{"property": NAME.upper(), "operator": ">=", "value": 5}], ("(c1 >= ?)", ["5"])),
            ([{"property": NAME, "operator": "contains", "value": "x"}], ("(c1 like ?)", ["%x%"])),
            ([{"property": NAME, "operator": "starts with", "value": "x"}], ("(c1 like ?)", ["x%"])),
            ([{"property": STATE, "operator": "in", "value": ["a", "b"]}], ("(c2 in (?, ?))", ["a", "b"])),
            ([{"property": STATE, "operator": "not in", "value": "a"}], ("(c2 not in (?))", ["a"])),
            ([{"property": STATE, "operator": "between", "value": ["a", "b"]}], ("(c2 between ? and ?)", ["a", "b"])),
            ([{"groupOperator": "or", "conditions": [STATE_IS_X, STATE_IS_X]}], ("((c2 = ? or c2 = ?))", ["x", "x"])),
        ]
        for conditions, expected in cases:
            with self.subTest(conditions=conditions):
                self.assertEqual(where(conditions, TABLE), expected)

    def test_a_value_of_the_wrong_shape_is_a_database_error(self):
        wrong: tuple[dict[str, Any], ...] = (
            {"property": NAME, "operator": "between", "value": "x"},
            {"property": NAME, "operator": "between", "value": ["x"]},
            {"property": NAME, "value": ["x"]},
        )
        for condition in wrong:
            with self.subTest(condition=condition), self.assertRaisesRegex(ApiError, "Database internal error."):
                where([condition], TABLE)

    def test_columns_of_groups_are_found(self):
        inner = {"groupOperator": "and", "conditions": [{"property": STATE, "value": "y"}]}
        self.assertEqual(columns_of([{"property": NAME, "value": "x"}, inner], TABLE), {1, 2})
        with self.assertRaisesRegex(ApiError, "Column not found."):
            columns_of([{"property": "nothing", "value": "x"}], TABLE)


class BooleanMatchTest(TestCase):
    def test_words_stars_and_signs(self):
        text = "Pfizer & Sons, North America"
        cases = [
            ("pfizer", True),
            ("pfiz", False),
            ("pfiz*", True),
            ("zer*", False),
            ("absent sons", True),
            ("+absent sons", False),
            ("+pfizer +north", True),
            ("pfizer -north", False),
            ("absent", False),
            ("", False),
        ]
        for words, expected in cases:
            with self.subTest(words=words):
                self.assertIs(boolean_match(text, words), expected)

"""Parameters as PHP reads them, types as the schema wants them (facts 1.2, 1.3)."""

from __future__ import annotations

from unittest import TestCase

from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.payload import checked, php_arrays


class PhpArraysTest(TestCase):
    def test_brackets_make_arrays_and_objects(self):
        cases = [
            ("", {}),
            ("limit=5&offset=", {"limit": "5", "offset": ""}),
            ("a[0][b]=1&a[0][c]=2&a[1][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
            ("a%5B0%5D%5Bb%5D=1", {"a": [{"b": "1"}]}),
            ("a[]=1&a[]=2", {"a": ["1", "2"]}),
            ("a[0]=1&a[10]=2&a[2]=3", {"a": {"0": "1", "10": "2", "2": "3"}}),
            ("a[1]=1&a[0]=0", {"a": {"1": "1", "0": "0"}}),
            ("c[0][operator]==&c[0][value]=x+y%26z", {"c": [{"operator": "=", "value": "x y&z"}]}),
            ("a[0][v][0]=1&a[0][v][1]=2", {"a": [{"v": ["1", "2"]}]}),
            ("show-reference-ids", {"show-reference-ids": ""}),
            ("a=1&a[0]=2", {"a": "1"}),
            ("a=1&a=2", {"a": "2"}),
        ]
        for text, expected in cases:
            with self.subTest(text=text):
                self.assertEqual(php_arrays(text), expected)


class CheckedTest(TestCase):
    def test_texts_become_what_the_schema_says(self):
        query = checked({"limit": "5", "count": "false", "keys": "true", "x": "7"}, dialect="B", rows_limit=500)
        self.assertEqual((query["limit"], query["count"], query["keys"], query["x"]), (5, False, True, "7"))

    def test_defaults_follow_what_was_sent(self):
        query = checked({"format": "csv"}, dialect="B", rows_limit=None)
        self.assertEqual((query["format"], query["offset"], query["count"]), ("csv", 0, True))
        self.assertNotIn("limit", query)
        self.assertEqual(checked({}, dialect="B", rows_limit=500)["limit"], 500)

    def test_a_breach_names_keyword_place_and_expectation(self):
        condition = {"property": "a", "value": "b"}
        cases: list[tuple[dict[str, object], str, str, str]] = [
            ({"limit": 501}, "maximum", "limit", "The attribute value must be less than or equal 500."),
            ({"limit": 0}, "minimum", "limit", "The attribute value must be greater than or equal 1."),
            ({"offset": "x"}, "type", "offset", "The attribute expected to be of type 'integer' but 'string' given."),
            ({"results": None}, "type", "results", "The attribute expected to be of type 'boolean' but 'null' given."),
            ({"properties": {"0": "a"}}, "type", "properties",
             "The attribute expected to be of type 'array' but 'object' given."),
            ({"conditions": [condition, {"value": "b"}]}, "required", "conditions/1",
             "The attribute property 'property' is required."),
            ({"conditions": [{**condition, "operator": "~"}]}, "enum",
             "conditions/0/operator", "The attribute must be one of the following values: '=', '<>',"),
            ({"format": "xml"}, "enum", "format", "The attribute must be one of the following values: 'csv', 'json'."),
        ]  # fmt: skip
        for payload, keyword, pointer, message in cases:
            with self.subTest(payload=payload), self.assertRaises(ApiError) as caught:
                checked(payload, dialect="B", rows_limit=500)
            data = caught.exception.data["data"]
            self.assertEqual((data["keyword"], data["pointer"]), (keyword, pointer))
            self.assertTrue(data["message"].startswith(message))

    def test_the_older_line_has_no_minimum(self):
        self.assertEqual(checked({"limit": 0}, dialect="A", rows_limit=500)["limit"], 0)

    def test_a_download_has_no_maximum(self):
        self.assertEqual(checked({"limit": 10**6}, dialect="B", rows_limit=None)["limit"], 10**6)

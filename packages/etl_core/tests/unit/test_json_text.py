import unittest

from etl_core.json_text import parse_json


class JsonOfOthers(unittest.TestCase):
    def test_is_read(self):
        self.assertEqual(parse_json(b'{"a": [1, null]}'), {"a": [1, None]})

    def test_that_cannot_be_read_is_one_kind_of_error(self):
        for text in ("", "{", "[" * 100_000, b"\xff\xfe", "1" * 5_000):
            with self.subTest(text[:9]), self.assertRaises(ValueError):
                parse_json(text)

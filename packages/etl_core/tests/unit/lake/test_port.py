import unicodedata
import unittest

from etl_core.errors import DataError
from etl_core.lake import key_below

FOLDER = "raw/docs/"


class KeyBelow(unittest.TestCase):
    def test_is_the_name_itself_in_normal_form(self):
        for name, expected in (
            ("a.pdf", "a.pdf"),
            ("docs/2024/a b (1).pdf", "docs/2024/a b (1).pdf"),
            ("日本/語.pdf", "日本/語.pdf"),
            (unicodedata.normalize("NFD", "é.pdf"), "é.pdf"),
            ("...", "..."),
            ("a..b/.hidden", "a..b/.hidden"),
            ("=1+1.csv", "=1+1.csv"),
        ):
            with self.subTest(name):
                self.assertEqual(key_below(FOLDER, name), FOLDER + expected)

    def test_is_refused_where_the_name_could_mean_another_place(self):
        for name, why in (
            ("", "no plain path"),
            ("/etc/passwd", "no plain path"),
            ("../a", "no plain path"),
            ("a/../../b", "no plain path"),
            ("a/./b", "no plain path"),
            ("a//b", "no plain path"),
            ("a/", "no plain path"),
            ("..\\a", "no plain path"),
            ("a\nb", "control character"),
            ("a\x00b", "control character"),
            ("a\u202eb", "control character"),
            ("a\ud800b", "control character"),
            ("x" * 1025, "would have 1,034 bytes"),
            ("ü" * 508, "would have 1,025 bytes"),
        ):
            with self.subTest(name=ascii(name)[:40]), self.assertRaisesRegex(DataError, why):
                key_below(FOLDER, name)

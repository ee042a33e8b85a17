import unittest

from etl_core.printable import printable


class Printable(unittest.TestCase):
    def test_text_of_any_language_stays(self):
        self.assertEqual(printable("é 日本 x"), "é 日本 x")

    def test_control_characters_and_line_breaks_become_one_space(self):
        self.assertEqual(printable(" a\t b\u2028c\u202ed \x1b[2J"), "a b c d [2J")

    def test_long_text_is_shortened(self):
        self.assertEqual(len(printable("x" * 500)), 300)

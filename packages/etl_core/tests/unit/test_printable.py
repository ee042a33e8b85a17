import unittest

from etl_core.printable import dotted, escaped, has_password, printable, without_password


class Printable(unittest.TestCase):
    def test_text_of_any_language_stays(self):
        self.assertEqual(printable("é 日本 x"), "é 日本 x")

    def test_control_characters_and_line_breaks_become_one_space(self):
        self.assertEqual(printable(" a\t b\u2028c\u202ed \x1b[2J"), "a b c d [2J")

    def test_long_text_is_shortened(self):
        self.assertEqual(len(printable("x" * 500)), 300)


class Escaped(unittest.TestCase):
    def test_control_characters_are_shown_and_all_else_stays(self):
        for text, shown in [
            ("é 日本  x", "é 日本  x"),
            ("\x1b[2J\x9b31m\x07", "\\x1b[2J\\x9b31m\\x07"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u202e\u2028\u200b", "\\u202e\\u2028\\u200b"),
            ("\udcff", "\\udcff"),  # a byte of a file name that is no UTF-8
        ]:
            with self.subTest(shown):
                self.assertEqual(escaped(text), shown)
        self.assertEqual(escaped("a\nb\x1b", keep="\n"), "a\nb\\x1b")


class Dotted(unittest.TestCase):
    def test_each_control_character_is_a_dot(self):
        self.assertEqual(dotted("a\x1b\n\u202eé"), "a···é")


class Passwords(unittest.TestCase):
    def test_a_text_is_shown_without_those_in_its_urls(self):
        for text, shown in [
            ("s3://me:secret@bucket/x", "s3://…@bucket/x"),
            ("s3://me:se/cr@et@bucket/x", "s3://…@bucket/x"),
            (
                "cannot reach 'http://me:secret@host:1/': no, http://other/",
                "cannot reach 'http://…@host:1/': no, http://other/",
            ),
            ("https://host/path", "https://host/path"),
            ("me@host", "me@host"),
        ]:
            with self.subTest(text):
                self.assertEqual(without_password(text), shown)

    def test_a_url_that_holds_one_is_told_from_one_that_does_not(self):
        for url in ("https://me:secret@host/", "s3://me@bucket", "http://:secret@[::1]:80/", "http://me@[bad"):
            with self.subTest(url):
                self.assertTrue(has_password(url))
        for url in ("https://host/me@here", "me@host", "./data", "http://[bad", ""):
            with self.subTest(url):
                self.assertFalse(has_password(url))

import itertools
import unittest

from etl_core.csv_stream.dialect import parse_record, write_fields
from packages.etl_core.tests.support.tables import php_line


class ParseRecord(unittest.TestCase):
    def test_records_of_both_dialects_are_read(self):
        table = [
            ("nothing special", b"a,b,c", [b"a", b"b", b"c"]),
            ("empty fields", b",,", [b"", b"", b""]),
            ("an empty quoted field", b'a,"",c', [b"a", b"", b"c"]),
            ("a comma", b'a,"b, c",d', [b"a", b"b, c", b"d"]),
            ("a doubled quote", b'a,"say ""hi""",c', [b"a", b'say "hi"', b"c"]),
            ("only quotes", b'a,"""""",c', [b"a", b'""', b"c"]),
            ("line breaks", b'a,"b\r\nb\nb",c', [b"a", b"b\r\nb\nb", b"c"]),
            ("an unquoted backslash", b"a,C:\\x,c", [b"a", b"C:\\x", b"c"]),
            ("a quoted backslash", b'a,"C:\\x",c', [b"a", b"C:\\x", b"c"]),
            ("a backslash at the end of a field", b'a,"C:\\",c', [b"a", b"C:\\", b"c"]),
            ("a backslash at the end of the record", b'a,b,"C:\\"', [b"a", b"b", b"C:\\"]),
            ("an inch after a backslash, RFC 4180", b'a,"5\\"" x",c', [b"a", b'5\\" x', b"c"]),
            ("an inch after a backslash, PHP", b'a,"5\\" x",c', [b"a", b'5\\" x', b"c"]),
            ("two of them, PHP", b'a,"5\\" x 6\\" y",c', [b"a", b'5\\" x 6\\" y', b"c"]),
            ("one at the end, PHP", b'a,"5\\"",c', [b"a", b'5\\"', b"c"]),
            ("one before a comma, PHP", b'a,"5\\", 6",c', [b"a", b'5\\", 6', b"c"]),
            ("one and a doubled quote, PHP", b'a,"5\\" ""x""",c', [b"a", b'5\\" "x"', b"c"]),
            ("a backslash at the end beside a literal quote, PHP", b'"C:\\","5\\" x",c', [b"C:\\", b'5\\" x', b"c"]),
            ("bytes that are no UTF-8", b'a,\xff,"\xff\\"', [b"a", b"\xff", b"\xff\\"]),
        ]
        for what, raw, fields in table:
            with self.subTest(what):
                self.assertEqual(parse_record(raw, 3), fields)

    def test_a_record_without_a_reading_of_that_width_is_refused(self):
        table = [
            ("too few", b"a,b"),
            ("too many", b"a,b,c,d"),
            ("nothing", b""),
            ("a comma too many at the end", b"a,b,c,"),
            ("a quote inside an unquoted field", b'a,b"b,c'),
            ("a quote at the end of an unquoted field", b'a,b",c'),
            ("text after a quoted field", b'a,"b"b,c'),
            ("a space before a quoted field", b'a, "b",c'),
            ("an open quote", b'a,"b,c'),
            ("an open quote at the end", b'a,b,"'),
            ("a bare carriage return", b"a,b\r,c"),
            ("a bare line feed", b"a,b\n,c"),
            ("a carriage return at the end", b"a,b,c\r"),
            ("a literal quote in an unquoted field: a backslash forces quoting", b'a,b\\",c'),
            ("the same at the end", b'a,b,\\"'),
            ("a literal quote among bytes that are no UTF-8", b'a,"\xff5\\" x",c'),
        ]
        for what, raw in table:
            with self.subTest(what):
                self.assertIsNone(parse_record(raw, 3))

    def test_a_record_that_mixes_closing_and_literal_quotes_is_refused(self):
        # Its one reading is 5\\", 6 and C:\\ but neither "all" nor "none before a comma" finds it.
        self.assertIsNone(parse_record(b'"5\\", 6","C:\\",c', 3))

    def test_no_record_of_either_dialect_is_read_as_another(self):
        texts = ["".join(text) for length in range(4) for text in itertools.product('",\\a', repeat=length)]
        refused = 0
        for row in itertools.product(texts, repeat=2):
            for backslash in (False, True):
                fields = parse_record(php_line(row, backslash=backslash).encode(), 2)
                refused += fields is None
                assert fields in (None, [text.encode() for text in row]), (row, backslash)
        assert 0 < refused < len(texts) ** 2 // 10


class WriteFields(unittest.TestCase):
    def test_fields_are_quoted_as_the_source_does(self):
        table = [
            ([b"a", b""], b"a,"),
            ([b"a b"], b'"a b"'),
            ([b"a\tb"], b'"a\tb"'),
            ([b"a\nb"], b'"a\nb"'),
            ([b"a\rb"], b'"a\rb"'),
            ([b"a,b"], b'"a,b"'),
            ([b'a"b'], b'"a""b"'),
            ([b'"'], b'""""'),
            ([b"a\\b"], b"a\\b"),
            ([b"a\x0bb\x0cb\x1cb"], b"a\x0bb\x0cb\x1cb"),  # white space to Python, nothing special to PHP
            (["a\u2028b\u00a0c".encode()], "a\u2028b\u00a0c".encode()),
        ]
        for fields, raw in table:
            with self.subTest(raw):
                self.assertEqual(write_fields(fields), raw)

    def test_written_fields_are_read_back(self):
        fields = [b"", b" ", b'"', b"a,b", b"x\ny", b"\r\n", b"\\x", b"'", "\u2028".encode()]
        self.assertEqual(parse_record(write_fields(fields), len(fields)), fields)

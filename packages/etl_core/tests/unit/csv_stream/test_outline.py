import itertools
import unittest
from typing import ClassVar

from etl_core.csv_stream.outline import Cells, outline_of
from etl_core.csv_stream.reader import Layout, RecordError, RecordReader, Summary
from packages.etl_core.tests.support.tables import php_csv

# volatile, name, payer, text, day, key, amount, volatile
WIDTH, PAYER, DAY, KEY = 8, 2, 4, 5
VOLATILE = frozenset({0, WIDTH - 1})
OUTLINE = outline_of(WIDTH, {PAYER: b"77"}, KEY, DAY, VOLATILE)


def lines(*records: str) -> bytes:
    return "".join(record + "\n" for record in records).encode()


GOOD = "NEW,Ann,77,x,01/02/2024,5,1.0,2025"
QUOTED = 'NEW,"Ann, B",77,"x ""y"" z",01/03/2024,6,"1,0",2025'
BROKEN_LINE = 'NEW,"two\nlines",77,"a\n\nb",01/04/2024,7,,2025'


class WhatItAnswersFor(unittest.TestCase):
    def test_are_records_of_the_width_with_the_value_in_its_column(self):
        assert OUTLINE is not None
        self.assertEqual(
            OUTLINE.cells_of(lines(GOOD, QUOTED, BROKEN_LINE)),
            Cells([b"5", b"6", b"7"], [b"01/02/2024", b"01/03/2024", b"01/04/2024"]),
        )

    def test_are_layouts_without_bounds_too(self):
        outline = outline_of(WIDTH, {PAYER: b"77"}, KEY, None, VOLATILE)
        assert outline is not None
        self.assertEqual(outline.cells_of(lines(GOOD, QUOTED)), Cells([b"5", b"6"], []))


class WhatItLeavesToTheOther(unittest.TestCase):
    ODD: ClassVar = {
        "a first cell in quotes": '"NE,W",Ann,77,x,01/02/2024,5,1.0,2025',
        "a later record's first cell in quotes": GOOD + '\n"NE,W",Ann,77,x,01/02/2024,6,1.0,2025',
        "a last cell in quotes": 'NEW,Ann,77,x,01/02/2024,5,1.0,"20,25"',
        "a quote that does not end": 'NEW,"Ann,77,x,01/02/2024,5,1.0,2025',
        "a quote that does not end, from the start of a line": GOOD + '\n"Ann,77,x,01/02/2024,5,1.0,2025',
        "text before a quoted cell": 'NEW,A"nn",77,x,01/02/2024,5,1.0,2025',
        "text after a quoted cell": 'NEW,"Ann"x,77,x,01/02/2024,5,1.0,2025',
        "quotes within a bare cell": 'NEW,A"n,n"n,77,x,01/02/2024,5,1.0,2025',
        "text before one and after another": 'NEW,A"nn",77,"x"y,01/02/2024,5,1.0,2025',
        "a cell too few": "NEW,Ann,77,01/02/2024,5,1.0,2025",
        "a cell too many": GOOD + ",",
        "one too few beside one too many": GOOD + ",\nNEW,Ann,77,01/02/2024,5,1.0,2025",
        "the value in another column": "NEW,77,Ann,x,01/02/2024,5,1.0,2025",
        "the value twice": "NEW,77,77,x,01/02/2024,5,1.0,2025",
        "another value": "NEW,Ann,78,x,01/02/2024,5,1.0,2025",
        "a bare carriage return": "NEW,Ann,77,x,01/02/2024,5,1.0\r,2025",
        "the mark itself": "NEW,Ann,\x01,x,01/02/2024,5,1.0,2025",
        "a key in quotes": 'NEW,Ann,77,x,01/02/2024,"5",1.0,2025',
        "a key that is no number": "NEW,Ann,77,x,01/02/2024,5a,1.0,2025",
        "a day in quotes": 'NEW,Ann,77,x,"01/02/2024",5,1.0,2025',
        "an empty line": GOOD + "\n",
    }

    def test_is_whatever_is_odd(self):
        assert OUTLINE is not None
        for what, odd in self.ODD.items():
            for before in ("", GOOD + "\n"):
                with self.subTest(what, alone=not before):
                    self.assertIsNone(OUTLINE.cells_of(before.encode() + lines(odd)))

    def test_is_a_layout_of_another_order_or_with_other_volatile_columns(self):
        for what, outline in {
            "no fixed value": outline_of(WIDTH, {}, KEY, DAY, VOLATILE),
            "two of them": outline_of(WIDTH, {PAYER: b"77", 3: b"x"}, KEY, DAY, VOLATILE),
            "the key before the value": outline_of(WIDTH, {PAYER: b"77"}, 1, DAY, VOLATILE),
            "the bounds after the key": outline_of(WIDTH, {PAYER: b"77"}, 4, 5, VOLATILE),
            "the key is volatile": outline_of(WIDTH, {PAYER: b"77"}, WIDTH - 1, DAY, VOLATILE),
            "one volatile column": outline_of(WIDTH, {PAYER: b"77"}, KEY, DAY, frozenset({0})),
            "a value that would be quoted": outline_of(WIDTH, {PAYER: b"7,7"}, KEY, DAY, VOLATILE),
        }.items():
            with self.subTest(what):
                self.assertIsNone(outline)


HEADER = ("type", "name", "company", "text", "date", "id", "amount", "country", "published")
BOUNDS = ("date", "01/01/2024", "02/01/2024")
ENDS = frozenset({"type", "published"})
TOGETHER = Layout(HEADER, "id", equal={"company": "77"}, between=BOUNDS, volatile=ENDS)
# Two fixed values have no outline: every record is parsed.
SINGLY = Layout(HEADER, "id", equal={"company": "77", "country": "US"}, between=BOUNDS, volatile=ENDS)
PLAIN = ("x", "", 'say "y"', "a, b", "two\nlines", '"', "\n\n", "\u00e9\u2028")
TEXTS = (*PLAIN, "back\\slash", 'ends in \\"', "C:\\", 'both \\" and, "')


def body_of(backslash: bool, days: tuple[str, ...] = ("01/02/2024",), texts: tuple[str, ...] = TEXTS) -> bytes:
    rows = [
        ("NEW", name, "77", text, days[number % len(days)], str(number + 1), "1.0", "US", "2025")
        for number, (name, text) in enumerate((name, text) for name in ("Ann", "B, C") for text in texts)
    ]
    return php_csv(HEADER, rows, backslash=backslash)


def read(layout: Layout, body: bytes, *cuts: int) -> Summary | str:
    reader = RecordReader(layout)
    try:
        for start, end in itertools.pairwise([0, *cuts, len(body)]):
            reader.feed(body[start:end])
        return reader.finish()
    except RecordError as error:
        return error.reason


class Together(unittest.TestCase):
    def test_finds_what_record_by_record_finds_in_either_dialect_however_cut(self):
        for backslash in (False, True):
            body = body_of(backslash)
            for cut in range(len(body) + 1):
                self.assertEqual(read(TOGETHER, body, cut), read(SINGLY, body, cut), (backslash, cut))
            self.assertIsInstance(read(TOGETHER, body_of(backslash=False)), Summary)

    def test_refuses_a_day_out_of_bounds(self):
        for day in ("12/31/2023", "02/01/2024", "00"):
            self.assertEqual(read(TOGETHER, body_of(False, ("01/02/2024", day), PLAIN)), "foreign", day)

    def test_refuses_what_only_looks_right_by_rfc_4180(self):
        # One record whole by RFC 4180, another that is so in neither dialect, in one chunk with a sign of the other.
        good = 'NEW,Ann,77,"a\\""b",01/02/2024,1,1.0,US,2025\n'
        wrong = "NEW,Ann,77,x,01/02/2024,2,1.0,US\n"
        head = ",".join(HEADER) + "\n"
        self.assertEqual(read(TOGETHER, (head + good + wrong).encode()), read(SINGLY, (head + good + wrong).encode()))
        self.assertEqual(read(TOGETHER, (head + good + wrong).encode()), "width")

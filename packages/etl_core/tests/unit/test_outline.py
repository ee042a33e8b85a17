import unittest
from typing import ClassVar

from etl_core.outline import Cells, outline_of

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

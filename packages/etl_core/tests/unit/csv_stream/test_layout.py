import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import ClassVar

from etl_core.csv_stream.layout import Layout, plain_record

LAYOUT = Layout(
    ("type", "name", "company", "text", "date", "id", "published"),
    "id",
    equal={"company": "77"},
    between=("date", "", ""),
    volatile=frozenset({"type", "published"}),
)


class PlainRecord(unittest.TestCase):
    USUAL: ClassVar = {
        "bare fields": (b"NEW,", b"Ann,77,x,01/02/2024,5", b",2025"),
        "quoted fields": (b"NEW,", b'"Ann, B",77,"x ""y"" z",01/02/2024,5', b",2025"),
        "line breaks": (b"NEW,", b'"two\nlines",77,"a\r\n\nb",01/02/2024,5', b",2025"),
        "empty fields": (b",", b",77,,01/02/2024,5", b","),
        "quoted volatile fields": (b'"N, W",', b"Ann,77,x,01/02/2024,5", b',"20 25"'),
    }

    def test_usual_records_are_plain(self):
        for what, (first, steady, last) in self.USUAL.items():
            with self.subTest(what):
                found = plain_record(LAYOUT).fullmatch(first + steady + last + b"\n")
                assert found is not None
                self.assertEqual(
                    found.groupdict(), {"steady1": steady, "equal0": b"77", "between": b"01/02/2024", "key": b"5"}
                )

    ODD: ClassVar = {
        "an open quote": b'NEW,"Ann,77,x,01/02/2024,5,2025',
        "text before a quote": b'NEW,A"nn",77,x,01/02/2024,5,2025',
        "text after a quote": b'NEW,"An n"x,77,x,01/02/2024,5,2025',
        "a field less": b"NEW,77,x,01/02/2024,5,2025",
        "a field more": b"NEW,Ann,77,x,01/02/2024,5,2025,",
        "a carriage return": b"NEW,Ann\r,77,x,01/02/2024,5,2025",
        "a quoted key": b'NEW,Ann,77,x,01/02/2024,"5 6",2025',
        "a quoted date": b'NEW,Ann,77,x,"01 02",5,2025',
        "quotes without need": b'NEW,"Ann",77,x,01/02/2024,5,2025',
        "a space without quotes": b"NEW,Ann B,77,x,01/02/2024,5,2025",
        "a backslash": b'NEW,"a\\b",77,x,01/02/2024,5,2025',
        "nothing": b"",
    }

    def test_odd_records_are_not_plain(self):
        for what, raw in self.ODD.items():
            with self.subTest(what):
                self.assertIsNone(plain_record(LAYOUT).match(raw + b"\n"))

    def test_columns_may_have_any_order_and_several_roles(self):
        layout = Layout(
            ("a", "b", "c", "d"), "d", equal={"c": "x, y"}, between=("a", "", ""), mark="a", volatile=frozenset("bd")
        )
        found = plain_record(layout).fullmatch(b'1,"2 3","x, y",4\n')
        assert found is not None
        self.assertEqual(
            found.groupdict(),
            {"steady0": b"1", "mark": b"1", "between": b"1", "steady2": b'"x, y"', "equal0": b'"x, y"', "key": b"4"},
        )

    def test_a_quoted_key_with_a_fixed_value_is_never_plain(self):
        layout = Layout(("a", "b"), "a", equal={"a": "x y"})
        self.assertIsNone(plain_record(layout).match(b'"x y",1\n'))
        self.assertIsNotNone(plain_record(replace(layout, equal={"a": "x"})).match(b"x,1\n"))

    def test_layouts_that_differ_in_a_fixed_value_alone_share_one_pattern(self):
        self.assertIs(plain_record(LAYOUT), plain_record(replace(LAYOUT, equal={"company": "78"})))
        self.assertIsNot(plain_record(LAYOUT), plain_record(replace(LAYOUT, equal={"name": "78"})))

    def test_is_compiled_once_for_threads_that_begin_together(self):
        wide = replace(LAYOUT, header=(*LAYOUT.header, *map(str, range(90))))
        together = threading.Barrier(8)

        def compiled(_number):
            together.wait(10)
            return plain_record(wide)

        with ThreadPoolExecutor(8) as pool:
            self.assertEqual(len({id(one) for one in pool.map(compiled, range(8))}), 1)

import csv
import io
import unittest

from data_pipeline.lakehouse.trace import Place, places_of

PLAIN = b'Name,Record_ID,Note\none,11,"two\nlines and ""quotes"""\nmentions 13,12,x\n"a ""13"" and\n\n13,13,",13,last\n'
BACKSLASH = b'Record_ID,Note\n1,"5\\" wide\nand 3"\n2,"C:\\"\n3,"say ""3"""\n'


class PlacesOfCase(unittest.TestCase):
    def test_number_line_and_byte_of_a_record_are_those_of_its_start(self):
        self.assertEqual(places_of(PLAIN, "record_id", "11"), [Place(1, 2, 20)])
        (place,) = places_of(PLAIN, "record_id", "13")
        self.assertEqual((place.record, place.line), (3, 5))
        self.assertTrue(PLAIN[place.byte :].startswith(b'"a ""13""'))

    def test_the_backslash_dialect_is_read_too(self):
        (place,) = places_of(BACKSLASH, "Record_ID", "3")
        self.assertEqual((place.record, place.line, BACKSLASH[place.byte :][:2]), (3, 5, b"3,"))

    def test_a_key_that_is_only_mentioned_is_not_found(self):
        self.assertEqual(places_of(PLAIN, "record_id", "1"), [])

    def test_every_record_of_a_part_is_found_where_the_csv_module_sees_it(self):
        rows = [[f"name {one}", str(one), "\n" * (one % 3)] for one in range(200)]
        out = io.StringIO(newline="")
        csv.writer(out, lineterminator="\n").writerows([["Name", "Record_ID", "Note"], *rows])
        body = out.getvalue().encode()
        line = 2
        for number, row in enumerate(rows, 1):
            (place,) = places_of(body, "record_id", row[1])
            self.assertEqual((place.record, place.line), (number, line))
            line += 1 + row[2].count("\n")

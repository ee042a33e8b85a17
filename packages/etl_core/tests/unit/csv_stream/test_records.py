import unittest

from etl_core.csv_stream.reader import RecordError
from etl_core.csv_stream.records import fields_of

PLAIN = b'id,"a, name",note\n1,Ann,x\n2,"Bo, ""B""","two\nlines"\n'
BACKSLASH = b'id,name,note\n1,"5\\" x",y\n2,"C:\\",z\n'


class Fields(unittest.TestCase):
    def test_are_those_of_each_record_in_either_dialect_however_the_bytes_are_cut(self):
        for body, records in [
            (PLAIN, [[b"1", b"Ann", b"x"], [b"2", b'Bo, "B"', b"two\nlines"]]),
            (BACKSLASH, [[b"1", b'5\\" x', b"y"], [b"2", b"C:\\", b"z"]]),
            (b"id\n", []),
        ]:
            for size in (1, 7, 1000):
                with self.subTest(body=body, size=size):
                    chunks = [body[at : at + size] for at in range(0, len(body), size)]
                    self.assertEqual(list(fields_of(chunks)), records)

    def test_of_what_is_no_csv_stream_are_refused(self):
        for body, reason in [
            (b"", "no_header"), (b"id,name", "no_header"), (b"id,name\n1,Ann", "truncated"),
            (b'id,name\n1,"Ann\n', "truncated"), (b"id,name\n1\n", "malformed"),
            (b'id,name\n1,"' + b"\n" * 1100, "malformed"),
        ]:  # fmt: skip
            with self.subTest(body=body[:20]), self.assertRaises(RecordError) as caught:
                list(fields_of([body]))
            self.assertEqual(caught.exception.reason, reason)

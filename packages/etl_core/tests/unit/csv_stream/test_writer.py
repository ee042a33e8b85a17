import hashlib
import io
import unittest

from etl_core.csv_stream.layout import Layout
from etl_core.csv_stream.reader import RecordReader
from etl_core.csv_stream.writer import RecordWriter

HEADER = ("id", "of the day", "note")
RECORDS = [
    ["1", "", "plain"],
    ["2", "a\tb", 'a "b", c\\"'],
    ["3", "C:\\", "c\r\nd"],
    ["4", "ü", '\\"'],
    ["5", " ", ","],
]


class AWriter(unittest.TestCase):
    def test_finds_what_our_reader_finds_in_the_file(self):
        for records in ([], RECORDS):
            stream = io.BytesIO()
            writer = RecordWriter(stream, HEADER)
            for record in records:
                writer.write([one.encode() for one in record])
            reader = RecordReader(Layout(header=HEADER, key="id"))
            reader.feed(stream.getvalue())
            with self.subTest(records=len(records)):
                self.assertEqual(writer.summary, reader.finish())
                self.assertEqual(writer.summary.sha256, hashlib.sha256(stream.getvalue()).hexdigest())

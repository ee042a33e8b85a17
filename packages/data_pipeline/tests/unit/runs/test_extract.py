import csv
import hashlib
import io

from data_pipeline.runs.extract import publish_extract
from etl_core.csv_stream.records import fields_of
from etl_core.errors import ConflictError, DataError
from packages.data_pipeline.tests.unit.runs.pages import START, LakeCase

HEADER = ("id", "note")
RECORDS = [["1", 'says "a, b"'], ["2", "two\nlines"], ["3", ""], ["4", "ü \\"]]


class AnExtract(LakeCase):
    def publish(self, records=RECORDS, key: str = ""):
        return publish_extract(
            self.store, lambda sha256: key or f"raw/x/{sha256[:8]}.csv", HEADER, records, id_column="id",
            now=lambda: START,
        )  # fmt: skip

    def test_is_a_csv_file_with_the_audit_of_a_part(self):
        audit = self.publish()
        body = self.store.get(audit.key) or b""

        self.assertEqual(list(csv.reader(io.StringIO(body.decode(), newline="")))[1:], RECORDS)
        self.assertEqual((audit.records, audit.bytes, audit.dialect), (4, len(body), "rfc4180"))
        self.assertEqual(audit.sha256, hashlib.sha256(body).hexdigest())
        self.assertEqual([[one.decode() for one in fields] for fields in fields_of([body])], RECORDS)

    def test_of_the_same_records_is_the_same_file(self):
        self.assertEqual(self.publish().key, self.publish().key)
        self.assertEqual(self.store.writes, [self.publish().key])

    def test_with_an_id_twice_is_refused(self):
        with self.assertRaisesRegex(DataError, "id 1 occurs more than once"):
            self.publish([["1", "a"], ["1", "b"]])
        self.assertEqual(self.store.writes, [])

    def test_is_not_written_over_another_file(self):
        self.store.put("raw/x/a.csv", b"theirs")
        with self.assertRaisesRegex(ConflictError, "holds other content"):
            self.publish(key="raw/x/a.csv")

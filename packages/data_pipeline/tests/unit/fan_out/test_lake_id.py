import unittest

from data_pipeline.fan_out.lake_id import ensure_lake_id, read_lake_id
from etl_core.errors import DataError
from etl_core.lake.port import Body, PutResult
from etl_core.testing import MemoryStore

KEY = "metadata/lake_id.json"


class FasterWriter(MemoryStore):
    """Another submitter writes its id between our read and our write."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        super().put(key, b'{"schema_version":1,"id":"0123456789ab"}\n')
        return super().put_new(key, body, sha256=sha256)


class TheIdOfALake(unittest.TestCase):
    def test_it_is_written_once_and_stays(self):
        store = MemoryStore()
        self.assertIsNone(read_lake_id(store))

        first = ensure_lake_id(store)

        self.assertRegex(first, r"\A[0-9a-f]{12}\Z")
        self.assertEqual((ensure_lake_id(store), read_lake_id(store)), (first, first))
        self.assertEqual(store.writes, [KEY])

    def test_every_lake_has_another(self):
        self.assertNotEqual(ensure_lake_id(MemoryStore()), ensure_lake_id(MemoryStore()))

    def test_of_two_writers_the_first_one_counts(self):
        self.assertEqual(ensure_lake_id(FasterWriter()), "0123456789ab")

    def test_a_damaged_id_is_refused(self):
        for body in (b"", b"{}", b'{"schema_version":1,"id":"a b,c"}'):
            with self.subTest(body=body):
                store = MemoryStore()
                store.put(KEY, body)
                with self.assertRaisesRegex(DataError, f"{KEY} is no LakeId"):
                    ensure_lake_id(store)

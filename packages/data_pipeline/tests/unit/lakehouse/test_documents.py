import unittest

from pydantic import ValidationError

from data_pipeline.lakehouse.documents import BuildFile, BuildManifest, StagedPart, StoredFile
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START

FILE = StoredFile(key="staging/x.parquet", bytes=1, sha256="0" * 64)
PART = {
    "part": "raw/x.csv", "part_sha256": "0" * 64, "contract": "7fa310f0", "records": 3, "staged": 2, "quarantined": 1,
    "file": FILE, "quarantine": FILE, "reasons": {}, "flags": {}, "new_values": (), "amounts": {}, "least": None,
    "drift": None, "greatest": None, "staged_at": START, "software": {},
}  # fmt: skip


class StagedParts(unittest.TestCase):
    def test_a_record_that_disappeared_is_refused(self):
        self.assertEqual(StagedPart.model_validate(PART).staged_file, FILE)
        for changes in ({"quarantined": 0}, {"records": 2}, {"staged": 3}):
            with self.subTest(**changes), self.assertRaisesRegex(ValidationError, "are not"):
                StagedPart.model_validate(PART | changes)

    def test_staged_records_are_in_a_file(self):
        for changes in ({"file": None}, {"staged": 0, "quarantined": 3}):
            with self.subTest(**changes), self.assertRaisesRegex(ValidationError, "staged records are in"):
                StagedPart.model_validate(PART | changes)


class Builds(unittest.TestCase):
    def test_a_manifest_gives_the_files_of_each_table_in_order(self):
        files = [
            BuildFile(key=f"curated/{table}-{number}", bytes=1, sha256="0" * 64, table=table, rows=1)
            for table, number in (("payments", 0), ("payers", 0), ("payments", 1))
        ]
        build = BuildManifest(
            scope="x", build="00", table="payments", dataset="x", year=2024, release="a", run_id="r1", closed=True,
            contract="00", parts=1, rows=2, quarantined=0, amounts={}, files=tuple(files), created_at=START,
            software={},
        )  # fmt: skip

        self.assertEqual(build.tables, {"payments": (files[0], files[2]), "payers": (files[1],)})

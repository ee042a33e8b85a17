import unittest

from pydantic import ValidationError

from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
from data_pipeline.lakehouse.documents import BuildFile, BuildManifest, StagedPart, StoredFile
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, raw_key
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT
from packages.data_pipeline.tests.unit.lakehouse.test_curate import SCOPE, BuildCase

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


class Places(BuildCase):
    """A copy under another name, or one whose files lie elsewhere, is the document of another place."""

    def test_a_staged_part_lies_at_the_place_of_its_part_and_contract(self):
        part = self.parts[raw_key("5")]
        own = StagedKeys.of_part(part.part, part.contract).document

        self.assertTrue(part.is_at(own))
        self.assertFalse(part.is_at(own.replace("payer=5", "payer=6")))
        for changes in ({"contract": "00000000"}, {"part": "elsewhere.csv"}, {"quarantine": FILE}, {"file": FILE}):
            with self.subTest(**changes):
                self.assertFalse(part.model_copy(update=changes).is_at(own))

    def test_a_manifest_lies_at_its_number_and_its_files_in_its_own_folder(self):
        build = self.curation().run()
        own = build_manifest(SCOPE, 1)

        self.assertTrue(build.is_at(own))
        self.assertFalse(build.is_at(build_manifest(SCOPE, 2)))
        for changes in ({"scope": "x"}, {"build": "00000000"}, {"number": 2}):
            with self.subTest(**changes):
                self.assertFalse(build.model_copy(update=changes).is_at(own))

    def test_a_contract_lies_at_its_hash(self):
        self.assertTrue(CONTRACT.is_at(f"metadata/contracts/{CONTRACT.hash}.json"))
        self.assertFalse(CONTRACT.is_at("metadata/contracts/00000000.json"))


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

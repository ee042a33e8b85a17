import json

from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase
from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class NothingCommitted(CommandCase):
    def test_a_lake_without_a_run_of_the_whole_year_is_named_with_what_to_do(self):
        status, fact, _ = self.run_job("check_year", "--year", "2024")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("run_pipeline -- --dataset general-payments --year 2024", fact["message"])

    def test_a_bound_is_a_share(self):
        for words in ("--max-difference 2", "--max-difference nan", "--max-quarantined -0.1"):
            with self.subTest(words):
                status, fact, _ = self.run_job("check_year", "--year", "2024", *words.split())
                self.assertEqual((status, fact), (2, {}))


class Committed(TablesCase):
    def failed(self) -> list[str]:
        before = self.files()
        status, fact, err = self.run_job("check_year", "--year", "2024")
        self.assertEqual((status, fact["status"], fact["run_id"], fact["rows"]), (3, "failed", "second", 16), err)
        self.assertEqual(self.files(), before, "nothing is written")
        for name in fact["failed"]:
            self.assertIn(f"FAILED  {name.replace('_', ' ')}", err)
        return list(fact["failed"])

    def test_what_was_not_made_of_a_year_fails_it_and_what_holds_passes(self):
        self.assertEqual(self.failed(), ["staged_records", "curated_records", "marts_records", "company_summaries"])
        self.stage_and_build()
        self.assertEqual(self.failed(), ["marts_records", "marts_usd", "company_summaries"])

    def test_a_lost_table_and_a_lost_part_of_staging_are_found(self):
        self.stage_and_build()
        next(self.lake.glob("curated/**/*.parquet")).unlink()
        next(self.lake.glob("metadata/staging/**/part-*.json")).unlink()

        failed = self.failed()

        self.assertEqual(failed[:4], ["staged_records", "curated_records", "curated_usd", "marts_records"])
        self.assertIn("lost_files", failed)

    def test_a_list_of_audits_that_the_manifest_does_not_name_ends_it(self):
        listed = self.lake / "metadata/runs/run_id=second/file_audits.jsonl"
        first, *others = listed.read_text().splitlines()
        listed.write_text("\n".join([json.dumps(json.loads(first) | {"records": 1}), *others]) + "\n")

        status, fact, _ = self.run_job("check_year", "--year", "2024")

        self.assertEqual((status, fact["error"]), (3, "DataError"))
        self.assertIn("write_manifest -- --run-id second", fact["message"])

from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class DownloadCompany(CommandCase):
    def test_needs_a_year_and_a_company_and_a_run_id_that_can_be_a_key(self):
        for words in (
            "--year 2024", "--company-id 1", f"--year 2024 --company-id {'x' * 101}",
            "--year 2024 --company-id 1 --run-id a/b",
        ):  # fmt: skip
            with self.subTest(words=words):
                status, fact, _ = self.run_job("download_company", *words.split())
                self.assertEqual((status, fact, self.lake.exists()), (2, {}, False))

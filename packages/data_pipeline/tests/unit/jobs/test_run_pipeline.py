from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class RunPipeline(CommandCase):
    def test_refuses_a_wrong_selection_before_it_asks_anybody(self):
        for words in (
            "--year 2024 --company-id 1 --max-files 2", "--year 2024 --company-id 1 --slice 1/2", "",
            "--year 2024 --slice 3/2", f"--year 2024 --company-id {'x' * 101}", "--max-files 2",
        ):  # fmt: skip
            with self.subTest(words=words):
                status, fact, _ = self.run_job("run_pipeline", *words.split())
                self.assertEqual((status, fact, self.lake.exists()), (2, {}, False))

from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class BuildCurated(CommandCase):
    def test_wants_a_year_or_a_run(self):
        status, fact, _ = self.run_job("build_curated")

        self.assertEqual((status, fact["error"]), (2, "UsageError"))

    def test_a_run_that_is_not_there_is_named(self):
        status, fact, _ = self.run_job("build_curated", "--run-id", "r9")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("has no run r9", fact["message"])

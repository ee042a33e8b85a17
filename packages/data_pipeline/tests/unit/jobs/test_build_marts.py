from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class NothingBuilt(CommandCase):
    def test_a_lake_without_tables_has_no_marts(self):
        status, fact, _ = self.run_job("build_marts")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("Run stage and build_curated first", fact["message"])

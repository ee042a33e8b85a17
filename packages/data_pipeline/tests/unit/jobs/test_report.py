from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class Report(CommandCase):
    def test_a_lake_without_marts_of_the_year_is_named_with_what_to_do(self):
        status, fact, _ = self.run_job("report", "--year", "2024")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("has no marts with general-payments 2024", fact["message"])

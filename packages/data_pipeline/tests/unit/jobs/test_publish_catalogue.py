from pathlib import Path

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class PublishCatalogue(TablesCase):
    def test_wants_a_build_and_then_a_database(self):
        status, fact, _ = self.run_job("publish_catalogue", "--year", "2024")
        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))

        self.stage_and_build()
        status, fact, _ = self.run_job("publish_catalogue", "--year", "2024")
        self.assertEqual((status, fact["error"]), (3, "ConfigError"))
        self.assertIn("CATALOGUE_DATABASE is not set", fact["message"])

        Path(".env").write_text("CATALOGUE_DATABASE=ours\n", encoding="utf-8")
        status, fact, _ = self.run_job("publish_catalogue", "--year", "2024")
        self.assertEqual((status, fact["error"]), (3, "ConfigError"))
        self.assertIn("Athena reads lakes in S3 only", fact["message"])

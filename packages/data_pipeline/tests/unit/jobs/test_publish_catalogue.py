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

        for name, message in (("no name", "CATALOGUE_DATABASE='no name'"), ("ours", "Athena reads lakes in S3 only")):
            with self.subTest(name):
                Path(".env").write_text(f"CATALOGUE_DATABASE='{name}'\n", encoding="utf-8")
                status, fact, _ = self.run_job("publish_catalogue", "--year", "2024")
                self.assertEqual((status, fact["error"]), (3, "ConfigError"))
                self.assertIn(message, fact["message"])

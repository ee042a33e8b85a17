from pathlib import Path

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class LoadWarehouse(TablesCase):
    def test_wants_a_build_and_then_an_address_of_which_no_password_is_said(self):
        status, fact, _ = self.run_job("load_warehouse", "--year", "2024")
        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))

        self.stage_and_build()
        for url, advice in (
            ("", "WAREHOUSE_URL is not set"),
            ("mysql://u:hunter2@h/d", "WAREHOUSE_URL is not set, or names no warehouse"),
            ("postgresql://u:hunter2%zz@h/d", "WAREHOUSE_URL is no address of a database"),
            ("redshift://workgroup/db", "Redshift reads lakes in S3 only"),
        ):
            with self.subTest(url):
                Path(".env").write_text(f"WAREHOUSE_URL='{url}'\n", encoding="utf-8")
                status, fact, err = self.run_job("load_warehouse", "--year", "2024")
                self.assertEqual((status, fact["error"]), (3, "ConfigError"))
                self.assertIn(advice, fact["message"])
                self.assertNotIn("hunter2", f"{fact}{err}")

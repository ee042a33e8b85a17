from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class Engine(TablesCase):
    def test_spark_without_its_extra_is_named_and_nothing_is_written(self):
        before = {path for path in self.lake.rglob("*") if path.is_file()}
        status, fact, _ = self.run_job("stage", "--year", "2024", "--engine", "spark")

        self.assertEqual((status, fact["error"]), (3, "ConfigError"))
        self.assertIn("data_pipeline[spark]", fact["message"])
        written = {path for path in self.lake.rglob("*") if path.is_file()} - before
        self.assertEqual([path for path in written if "metadata/logs/" not in path.as_posix()], [])

    def test_what_duckdb_staged_needs_no_spark_again(self):
        self.stage_and_build()

        status, fact, _ = self.run_job("stage", "--year", "2024", "--engine", "spark")

        self.assertEqual((status, fact["status"], fact["new_parts"]), (0, "already staged", 0))

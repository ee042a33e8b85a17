"""The job as a user runs it, with dbt as it is."""

import duckdb
import pytest

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class Built(TablesCase):
    @pytest.mark.timeout(300)
    def test_the_marts_of_a_lake_are_one_file_and_the_same_command_again_does_nothing(self):
        (self.folder / ".env").write_text(f"XDG_CACHE_HOME={self.folder / 'cache'}\n")
        self.stage_and_build()
        status, fact, err = self.run_job("build_marts")

        self.assertEqual(len(list((self.folder / "cache").rglob("*.msgpack"))), 1, "the next build reads the project")
        self.assertEqual((status, fact["status"]), (0, "built"), err)
        self.assertEqual((fact["rows"], fact["quarantined"], fact["closed"], fact["warnings"]), (16, 0, True, []))
        (source,) = fact["inputs"]
        self.assertEqual((source["dataset"], source["year"], source["run_id"]), ("general-payments", 2024, "second"))
        path = self.lake / fact["file"]
        with duckdb.connect(str(path.rename(self.folder / "taken home.duckdb")), read_only=True) as database:
            self.assertEqual(
                database.execute("SELECT count(*), sum(amount_usd)::VARCHAR FROM fct_payments").fetchall(),
                [(fact["tables"]["fct_payments"], source["amount_usd"])],
            )
        (self.folder / "taken home.duckdb").rename(path)
        before = self.files()
        status, again, _ = self.run_job("build_marts")

        self.assertEqual((status, again["status"]), (0, "already built"))
        self.assertEqual(
            {key: again[key] for key in ("build", "manifest", "file", "tables")},
            {key: fact[key] for key in ("build", "manifest", "file", "tables")},
        )
        self.assertEqual(self.files(), before)
        self.check_page(fact["build"])
        self.check_year()

    def check_page(self, build: str) -> None:
        """``report`` writes one page of these marts, once."""
        for said in ("written", "already there"):
            status, fact, err = self.run_job("report", "--year", "2024")
            self.assertEqual((status, fact["status"], fact["marts"], fact["closed"]), (0, said, build, True), err)
        page = (self.lake / fact["page"]).read_text()
        self.assertEqual(len(page.encode()), fact["bytes"])
        self.assertIn('<h2 id="verdict">Complete</h2>', page)
        for words in (
            "3,638.88",
            "2026-01-23-09a6314f",
            "mart_top_companies",
            "Run second, completed",
            "Nothing: no record violates a rule",
        ):
            self.assertIn(words, page)

    def check_year(self) -> None:
        """``check_year`` holds the real marts against the run; this lake has no summary of CMS."""
        status, fact, err = self.run_job("check_year", "--year", "2024")
        self.assertEqual((status, fact["failed"]), (3, ["company_summaries"]), err)
        status, fact, err = self.run_job("check_year", "--year", "2024", "--allow-unreconciled")
        self.assertEqual((status, fact["status"]), (0, "passed"), err)
        (usd,) = [one for one in fact["checks"] if one["name"] == "marts_usd"]
        self.assertEqual((usd["found"], usd["expected"]), ("3638.88", "3638.88"))

from data_pipeline.customers.run import ingest
from etl_core.errors import UnavailableError
from packages.data_pipeline.tests.unit.customers.fake_api import FakeApi, a_crm
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class IngestCustomers(CommandCase):
    """The job over what is in the lake already; against an API it runs in tests/end_to_end."""

    def setUp(self) -> None:
        super().setUp()
        self.settings(API_BASE_URL="https://crm.test", API_TOKEN="t0ken")

    def settings(self, **values: str) -> None:
        (self.folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()))

    def a_run(self, *failing: int) -> str:
        api = FakeApi()
        api.failing = lambda page: UnavailableError("down") if page in failing else None
        return ingest(a_crm(self.store, api), "r1").manifest.run_id

    def test_of_a_day_that_is_done_says_so_and_shows_the_report(self):
        self.a_run()

        status, fact, said = self.run_job("ingest_customers", "--run-id", "r1")

        self.assertEqual((status, fact["status"], fact["rows"], fact["closed"]), (0, "already done", 5, True))
        self.assertEqual(fact["extract"], "raw/customers/date=2026-11-29/customers_extract_20261129_141500.csv")
        self.assertIn("--- Execution Report ---", said)
        self.assertIn("Records Ingested: 5", said)

    def test_leaves_a_copy_outside_the_lake(self):
        self.a_run()
        for local, copy in ((".", f"{self.folder.name}"), ("a.csv", "a.csv")):
            with self.subTest(local=local):
                _, fact, _ = self.run_job("ingest_customers", "--run-id", "r1", "--local", local)
                self.assertEqual(
                    (self.folder / fact["local"]).read_bytes(), self.store.get(fact["extract"]), (local, copy)
                )

    def test_does_not_copy_an_extract_that_is_not_what_its_manifest_says(self):
        self.a_run()
        (extract,) = (entry.key for entry in self.store.list("raw/") if entry.key.endswith(".csv"))
        self.store.put(extract, b"other")

        status, _, said = self.run_job("ingest_customers", "--run-id", "r1", "--local", "a.csv")

        self.assertEqual((status, (self.folder / "a.csv").exists()), (3, False))
        self.assertIn(f"{extract} is not the part that its audit proves", said)

    def test_needs_to_be_told_which_api_and_token(self):
        for values, said in [
            ({}, "API_BASE_URL='' is no address"),
            ({"API_BASE_URL": "crm.test"}, "API_BASE_URL='crm.test' is no address"),
            ({"API_BASE_URL": "https://crm.test"}, "API_TOKEN is not set"),
            ({"API_BASE_URL": "https://me:secret@crm.test"}, "a user name or password here would be stored"),
        ]:
            self.settings(**values)
            status, _, message = self.run_job("ingest_customers")
            with self.subTest(values=values):
                self.assertEqual((status, said in message, "secret" in message), (3, True, False))

    def test_retries_the_newest_run_alone(self):
        status, _, said = self.run_job("ingest_customers", "--retry-failed")
        self.assertEqual((status, "has no run of customers that ended" in said), (3, True))
        for more in (["--new"], ["--run-id", "r1"]):
            with self.subTest(more):
                status, _, said = self.run_job("ingest_customers", "--retry-failed", *more)
                self.assertEqual((status, "leave out --new and --run-id" in said), (2, True))
        self.a_run()
        self.settings(API_BASE_URL="https://crm.test", API_TOKEN="t0ken", API_CUSTOMERS_PATH="/api/v1/customers")
        status, fact, _ = self.run_job("ingest_customers", "--retry-failed")
        self.assertEqual((status, fact["status"]), (0, "already done"))

    def test_of_dead_letters_is_the_rerun_of_another_job_too(self):
        self.a_run()
        status, fact, _ = self.run_job("rerun", "--run-id", "r1", "--failed")
        self.assertEqual((status, fact["job"], fact["status"]), (0, "rerun", "already done"))
        status, _, said = self.run_job("rerun", "--run-id", "r1", "--failed", "--dry-run")
        self.assertEqual((status, "their manifest names the pages" in said), (2, True))

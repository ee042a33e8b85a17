from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit
from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import START, TITLES, a_plan, a_release
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class Verify(CommandCase):
    """Of a run that proved nothing: what it finds is ``open_payments.verify``'s matter."""

    def setUp(self) -> None:
        super().setUp()
        write_plan(self.store, a_plan())
        release = a_release()
        key = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
        columns = ", ".join(f'{{"title": "{one}", "name": "{one.lower()}"}}' for one in TITLES)
        self.store.put_new(key, f'{{"columns": [{columns}]}}'.encode())

    def commit(self) -> None:
        commit.commit_run(self.store, a_plan(), known={}, source_rows=3, release_at_end=a_release(), now=START)

    def test_ends_with_0_and_a_fact_if_nothing_is_found(self):
        self.commit()
        before = self.files()

        status, fact, err = self.run_job("verify", "--run-id", "r1")

        self.assertEqual((status, fact["status"], fact["findings"], err), (0, "verified", [], ""))
        self.assertEqual((fact["job"], fact["run_id"], fact["slices"], fact["parts"]), ("verify", "r1", 0, 0))
        self.assertEqual(self.files(), before)

    def test_ends_with_3_and_names_what_it_found(self):
        self.commit()
        report = lake_layout.open_payments.download_report("r1", 2024)
        self.store.put(report, b"")

        status, fact, err = self.run_job("verify", "--run-id", "r1")

        detail = (
            "it is not what the manifest and the audits give; "
            "derive it again: data-pipeline run write_manifest -- --run-id r1"
        )
        self.assertEqual((status, fact["status"]), (3, "faulty"))
        self.assertEqual(fact["findings"], [{"finding": "report_differs", "key": report, "detail": detail}])
        self.assertIn(f"report_differs  {report}: {detail}", err)
        self.assertEqual(self.run_job("verify", "--run-id", "r1", "--json")[2], "")

    def test_refuses_a_run_that_is_not_committed_and_says_how_to(self):
        status, fact, err = self.run_job("verify", "--run-id", "r1")

        self.assertEqual((status, fact["error"]), (3, "DataError"))
        self.assertIn("write_manifest -- --run-id r1", err)

    def test_needs_a_run_and_a_name_that_is_one(self):
        self.assertEqual([self.run_job("verify")[0], self.run_job("verify", "--run-id", "a/b")[0]], [2, 2])

from data_pipeline.open_payments.ledger import commit
from data_pipeline.runs.attempts import write_attempt
from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import START, a_plan, a_release, an_attempt
from packages.data_pipeline.tests.unit.jobs.command_case import CommittedCase


class WriteManifest(CommittedCase):
    def test_leaves_a_committed_run_as_it_is(self):
        self.commit()
        files = sorted(self.lake.rglob("*"))

        status, fact, err = self.run_job("write_manifest", "--run-id", "r1")

        self.assertEqual((status, fact["job"], fact["run_id"]), (0, "write_manifest", "r1"))
        self.assertEqual((fact["status"], fact["proved"], fact["rows"]), ("completed", 1, 3))
        self.assertEqual((fact["closed"], fact["release"]), (True, "2026-06-30-9323b84e"))
        self.assertIn("run        r1  completed", err)
        self.assertEqual(sorted(self.lake.rglob("*")), files)

    def test_ends_as_the_run_did(self):
        for temporary, expected in [(False, 3), (True, 4)]:
            with self.subTest(temporary=temporary):
                self.setUp()
                write_plan(self.store, a_plan())
                write_attempt(self.store, an_attempt(temporary=temporary))
                commit.commit_run(self.store, a_plan(), known={}, source_rows=3, release_at_end=a_release(), now=START)
                status, fact, _ = self.run_job("write_manifest", "--run-id", "r1")
                self.assertEqual((status, fact["status"], fact["failed"]), (expected, "failed", 1))

    def test_needs_a_run_that_was_planned(self):
        status, fact, err = self.run_job("write_manifest", "--run-id", "r1")

        self.assertEqual((status, fact["status"], fact["error"]), (3, "failed", "NotFoundError"))
        self.assertIn("has no run r1", err)

    def test_needs_a_name_that_is_one(self):
        status, fact, _ = self.run_job("write_manifest", "--run-id", "../x")

        self.assertEqual((status, fact), (2, {}))

from datetime import timedelta

from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import START, a_plan
from packages.data_pipeline.tests.unit.jobs.command_case import CommittedCase


class Runs(CommittedCase):
    def test_are_listed_the_newest_first_and_nothing_is_written(self):
        self.commit()
        write_plan(self.store, a_plan(run_id="r2", created_at=START + timedelta(minutes=5), max_files=1))
        before = self.files()

        status, fact, err = self.run_job("runs")

        self.assertEqual(status, 0)
        self.assertEqual(
            [(one["run_id"], one["status"]) for one in fact["runs"]], [("r2", "open"), ("r1", "completed")]
        )
        newest, oldest = err.splitlines()
        self.assertRegex(newest, r"\Ar2 +open +general-payments 2024: max-files 1\Z")
        self.assertRegex(oldest, r"\Ar1 +completed +3 rows +general-payments 2024")
        self.assertEqual(self.files(), before)

    def test_are_as_many_as_asked_for(self):
        self.commit()
        write_plan(self.store, a_plan(run_id="r2", created_at=START + timedelta(minutes=5), max_files=1))

        _, fact, _ = self.run_job("runs", "--limit", "1")

        self.assertEqual([one["run_id"] for one in fact["runs"]], ["r2"])

    def test_may_be_none(self):
        self.assertEqual(self.run_job("runs")[1]["runs"], [])


class LastRun(CommittedCase):
    def test_takes_the_place_of_a_run_id(self):
        self.commit()

        for job in ("status", "verify"):
            with self.subTest(job):
                self.assertEqual(self.run_job(job, "--last")[1]["run_id"], "r1")

    def test_is_not_given_beside_one(self):
        self.commit()

        status, _, err = self.run_job("verify", "--last", "--run-id", "r1")

        self.assertEqual(status, 2)
        self.assertIn("Give either --run-id or --last.", err)

    def test_or_a_run_id_must_be_given(self):
        for job in ("verify", "write_manifest"):
            with self.subTest(job):
                status, _, err = self.run_job(job)

                self.assertEqual(status, 2)
                self.assertIn("--last", err)

    def test_is_there_only_after_the_first(self):
        self.assertEqual(self.run_job("status", "--last")[0], 3)

from data_pipeline.open_payments.ledger import commit
from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import START, a_plan, a_release
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class Status(CommandCase):
    def test_of_the_newest_run_goes_to_stderr_and_its_fact_to_stdout(self):
        write_plan(self.store, a_plan())
        before = self.files()

        status, fact, err = self.run_job("status")

        self.assertEqual((status, fact["run_id"], fact["status"], fact["planned"]), (0, "r1", "open", 1))
        self.assertTrue(err.startswith("run        r1  open, not committed\n"), err)
        self.assertEqual(self.files(), before)

    def test_of_another_run_must_be_asked_for(self):
        write_plan(self.store, a_plan(run_id="r0"))
        commit.commit_run(
            self.store, a_plan(run_id="r0"), known={}, source_rows=3, release_at_end=a_release(), now=START
        )
        write_plan(self.store, a_plan())

        _, fact, err = self.run_job("status", "--run-id", "r0", "--json")

        self.assertEqual((fact["run_id"], fact["status"], fact["failed_by_reason"]), ("r0", "failed", {"not_tried": 1}))
        self.assertEqual(err, "")

    def test_of_a_committed_run_is_not_watched_any_longer(self):
        commit.commit_run(
            self.store, a_plan(run_id="r1"), known={}, source_rows=3, release_at_end=a_release(), now=START
        )
        write_plan(self.store, a_plan(run_id="r1"))

        _, fact, err = self.run_job("status", "--watch", "--run-id", "r1")

        self.assertEqual((fact["committed"], err.count("run        r1")), (True, 1))

    def test_is_of_a_run_that_is_there(self):
        for words in ([], ["--run-id", "r9"]):
            with self.subTest(words=words):
                self.assertEqual(self.run_job("status", *words)[0], 3)

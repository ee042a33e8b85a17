from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.runs.plans import write_plan
from packages.data_pipeline.tests.unit.fakes import COMPANY, START, a_plan, a_release, a_slice
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class Rerun(CommandCase):
    """Without a source: what it works on is ``test_rerun`` of the domain and of end to end."""

    def setUp(self) -> None:
        super().setUp()
        write_plan(self.store, a_plan())

    def test_of_a_run_with_nothing_left_is_done_already_and_writes_nothing(self):
        Audits(self.store, a_release()).close_slice(COMPANY, a_slice().parts, 3, START)
        before = self.files()

        for what in ("--failed", "--missing"):
            with self.subTest(what=what):
                status, fact, err = self.run_job("rerun", "--run-id", "r1", what)
                self.assertEqual((status, fact["status"], fact["planned"]), (0, "already done", 0))
                self.assertIn(f"no company of run r1 is {what.removeprefix('--')}", err)
        self.assertEqual(self.files(), before)

    def test_of_what_failed_leaves_out_what_was_never_tried(self):
        self.assertEqual(self.run_job("rerun", "--run-id", "r1", "--failed")[0], 0)

    def test_must_be_told_which_companies_to_retry(self):
        for words in ([], ["--failed", "--missing"]):
            with self.subTest(words=words):
                status, _, err = self.run_job("rerun", "--run-id", "r1", *words)
                self.assertEqual(status, 2)
                self.assertIn("name either --failed or --missing", err)

    def test_is_of_a_run_that_is_there(self):
        self.assertEqual(self.run_job("rerun", "--run-id", "r9", "--failed")[0], 3)

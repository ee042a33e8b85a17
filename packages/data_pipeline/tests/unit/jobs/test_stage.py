from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase, CommittedCase


class Stage(CommandCase):
    def test_wants_a_year_or_a_run(self):
        for words in ((), ("--year", "2024", "--run-id", "r1"), ("--dataset", "research-payments", "--run-id", "r1")):
            with self.subTest(words=words):
                status, fact, _ = self.run_job("stage", *words)

                self.assertEqual((status, fact["error"]), (2, "UsageError"))
                self.assertIn("--year", fact["message"])

    def test_a_year_without_a_closed_run_names_the_way_to_a_partial_one(self):
        status, fact, _ = self.run_job("stage", "--year", "2024")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("has no closed run of general-payments 2024", fact["message"])
        self.assertIn("--run-id", fact["message"])


class StageOfARun(CommittedCase):
    def test_a_part_that_is_not_the_audited_one_fails_the_job_and_is_named(self):
        self.commit()
        self.store.put(
            "metadata/schemas/dataset=general-payments/year=2024/release=2026-06-30-3f8e2a1c/schema.json", b"{}"
        )

        status, fact, _ = self.run_job("stage", "--run-id", "r1")

        self.assertEqual((status, fact["error"]), (3, "DataError"))
        self.assertIn("does not say which columns the release has", fact["message"])

from data_pipeline.runs import attempts
from data_pipeline.runs.status import exit_code_of
from packages.data_pipeline.tests.unit.runs import pages
from packages.data_pipeline.tests.unit.runs.pages import (
    LakeCase,
    PageAttempt,
    a_run,
)

LIST = "metadata/runs/run_id=r1/file_audits.jsonl"


class Attempts(LakeCase):
    def test_are_kept_by_run_and_unit_the_oldest_first(self):
        for page, minutes in ((1, 5), (0, 3), (1, 1)):
            attempts.write_attempt(self.store, pages.an_attempt(page, temporary=True, minutes=minutes))
        attempts.write_attempt(self.store, pages.an_attempt(7, temporary=True, run_id="r2"))

        found = [one.page for one in attempts.read_attempts(PageAttempt, self.store, "r1")]
        one = attempts.read_attempts(PageAttempt, self.store, "r1", unit="page=1")
        rest = attempts.read_attempts(PageAttempt, self.store, "r1", leave_out={"page=1"})

        self.assertEqual((found, len(one), [attempt.page for attempt in rest]), ([1, 0, 1], 2, [0]))

    def test_say_whether_running_again_helps(self):
        done = a_run(self.store, "done")
        refused = a_run(self.store, "refused", missing=1)
        later = pages.an_attempt(1, temporary=True, minutes=3)
        first = pages.an_attempt(1, temporary=False)
        for manifest, tried, code in [
            (done, [], 0), (refused, [first], 3), (refused, [first, later], 4), (refused, [], 4),
            (refused.model_copy(update={"status": "torn"}), [first], 4),
        ]:  # fmt: skip
            with self.subTest(status=manifest.status, tried=len(tried)):
                self.assertEqual(exit_code_of(manifest, tried), code)

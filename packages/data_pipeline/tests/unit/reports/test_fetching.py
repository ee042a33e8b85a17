from datetime import timedelta

from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.reports.fetching import fetching_of, pace_of
from data_pipeline.reports.run_values import INTERVALS, Interval
from packages.data_pipeline.tests.unit.fakes import START, an_attempt, an_audit
from packages.data_pipeline.tests.unit.jobs.command_case import CommittedCase

WHOLE = timedelta(seconds=INTERVALS)


class Pace(CommittedCase):
    def test_requests_retries_and_faults_are_in_the_interval_in_which_they_began(self):
        parts = [
            an_audit(started_at=START, requests=3, retries=1),
            an_audit(started_at=START + timedelta(seconds=0.9), requests=2, retries=0),
            an_audit(started_at=START + timedelta(seconds=59), requests=2, retries=0),
        ]
        faults = [an_attempt(at=START + timedelta(seconds=2))]

        pace = pace_of(parts, faults, START, WHOLE)

        self.assertEqual(len(pace), INTERVALS)
        self.assertEqual([one for one in pace if one.whole], [
            Interval(0, 4, 1), Interval(2, 0, 0, 1), Interval(59, 2),
        ])  # fmt: skip

    def test_clocks_that_differ_put_nothing_outside_the_run(self):
        for seconds, expected in ((-5, 0), (60, 59), (10_000, 59)):
            with self.subTest(seconds=seconds):
                pace = pace_of([], [an_attempt(at=START + timedelta(seconds=seconds))], START, WHOLE)
                self.assertEqual([one.number for one in pace if one.faults], [expected])
        self.assertEqual(pace_of([], [an_attempt(at=START)], START, timedelta())[0].faults, 1)

    def test_a_column_is_filled_from_below_and_ends_at_the_top_if_it_is_the_highest(self):
        self.assertEqual(list(Interval(0, 1, 1, 1).stacked(3)), [("", 67, 34), ("again", 34, 34), ("fault", 0, 34)])
        self.assertEqual(list(Interval(0, 1).stacked(10)), [("", 90, 10)])
        self.assertEqual(list(Interval(0).stacked(10)), [])


class Fetched(CommittedCase):
    def test_what_a_run_did_is_summed_over_its_parts_and_failed_attempts(self):
        self.commit()
        for number, reason in enumerate(("rows_missing", "rows_missing", "http")):
            attempt = an_attempt(reason=reason, attempt=number)
            self.store.put_new(f"metadata/runs/run_id=r1/failures/company_id=1/{number}.json", attempt.to_bytes())
        run = open_run(self.store, "r1")

        found = fetching_of(self.store, run)

        (part,) = run.parts()
        self.assertEqual(
            (found.parts, found.reused, found.requests, found.retries), (1, 0, part.requests, part.retries)
        )
        self.assertEqual(found.faults, (("rows_missing", 2), ("http", 1)))
        self.assertEqual(sum(one.faults for one in found.pace), 3)
        self.assertTrue(found.all_selected_proved)

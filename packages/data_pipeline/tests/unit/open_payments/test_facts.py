import unittest
from typing import Any

from data_pipeline.open_payments.facts import Costs, ended_fact, exit_code_of_outcomes
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.fetch.task import DriftedError, NotProvedError
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from etl_core.errors import BlockedError, PipelineError, UnavailableError
from etl_core.telemetry import Tally, Telemetry
from packages.data_pipeline.tests.unit.fakes import a_slice


class ExitCodes(unittest.TestCase):
    def test_of_outcomes_are_4_if_one_failure_is_temporary(self):
        company = PlannedCompany(company_id="1", rows=1)
        temporary, permanent = NotProvedError("width", "no"), DriftedError("no")
        cases: list[tuple[list[PipelineError | None], int]] = [
            ([], 0), ([None], 0), ([permanent], 3), ([None, permanent], 3), ([temporary], 4),
            ([permanent, temporary], 4), ([BlockedError("no"), None], 4),
        ]  # fmt: skip
        for errors, code in cases:
            with self.subTest(code=code, errors=len(errors)):
                outcomes = [Outcome(company, None, error, Tally(), 0.0) for error in errors]
                self.assertEqual(exit_code_of_outcomes(outcomes), code)


class EndedFacts(unittest.TestCase):
    def test_the_fact_of_a_run_without_a_manifest_names_what_failed_why_and_how_long_to_wait(self):
        proved = Outcome(PlannedCompany(company_id="1", rows=3), a_slice("1"), None, Tally(), 0.0)
        busy = UnavailableError("503, the source is busy", retry_after=30.0)
        failed = Outcome(PlannedCompany(company_id="2", rows=1), None, busy, Tally(), 0.0)
        cases: list[tuple[list[Outcome], str, list[tuple[str, str]], float | None]] = [
            ([proved], "proved", [], None),
            ([proved, failed], "failed", [("2", "503, the source is busy")], 30.0),
        ]
        for outcomes, status, failures, wait in cases:
            with self.subTest(status=status):
                fact: dict[str, Any] = ended_fact(None, outcomes)
                self.assertEqual((fact["status"], fact["retry_after_seconds"]), (status, wait))
                self.assertEqual([(one.company_id, one.detail) for one in fact["failures"]], failures)


class TheCosts(unittest.TestCase):
    def test_are_those_since_they_were_made(self):
        telemetry = Telemetry()
        telemetry.count("source_requests_total", 5, status="200")
        now = iter([10.0, 12.5])
        costs = Costs(telemetry, clock=lambda: next(now))
        telemetry.count("source_requests_total", 2, status="500")
        telemetry.count("source_bytes_total", 100)

        self.assertEqual(costs.so_far(), {"seconds": 2.5, "requests": 2, "retries": 0, "bytes_received": 100})

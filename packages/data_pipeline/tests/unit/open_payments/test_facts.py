import unittest

from data_pipeline.open_payments.facts import Costs, exit_code_of_outcomes
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.fetch.task import DriftedError, NotProvedError
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from etl_core.errors import BlockedError, PipelineError
from etl_core.telemetry import Tally, Telemetry


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


class TheCosts(unittest.TestCase):
    def test_are_those_since_they_were_made(self):
        telemetry = Telemetry()
        telemetry.count("source_requests_total", 5, status="200")
        now = iter([10.0, 12.5])
        costs = Costs(telemetry, clock=lambda: next(now))
        telemetry.count("source_requests_total", 2, status="500")
        telemetry.count("source_bytes_total", 100)

        self.assertEqual(costs.so_far(), {"seconds": 2.5, "requests": 2, "retries": 0, "bytes_received": 100})

import unittest
from typing import Any

from data_pipeline.open_payments.facts import Expected, FailedCompany, RunFact
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from data_pipeline.open_payments.summary import text_of
from packages.data_pipeline.tests.unit.fakes import OTHER

FACT: dict[str, Any] = {
    "job": "run_pipeline",
    "run_id": "r1",
    "dataset": "general-payments",
    "year": 2024,
    "release": "2026-06-30-9323b84e",
    "status": "completed",
    "exit_code": 0,
    "closed": True,
    "note": "it adds up",
    "planned": 3,
    "proved": 1,
    "empty": 1,
    "failed": 1,
    "rows": 3000,
    "bytes": 5_000_000,
    "failures": (FailedCompany(company_id=OTHER, reason="blocked"),),
    "seconds": 2.0,
    "requests": 1234,
    "retries": 56,
    "bytes_received": 9_000_000,
    "lake": "memory://",
}


def lines_of(**changes: Any) -> list[str]:
    return text_of(RunFact(**FACT | changes)).splitlines()


class TextOfARun(unittest.TestCase):
    def test_is_a_dozen_lines(self):
        self.assertEqual(
            lines_of(),
            [
                "run        r1  completed",
                "release    2026-06-30-9323b84e of general-payments 2024",
                "slices     1 proved, 1 empty, 1 failed, of 3",
                "rows       3,000",
                "bytes      5,000,000",
                "time       2.0 s  4.5 MB/s",
                "requests   1,234, 56 of them retries",
                "year       closed: it adds up",
                "lake       memory://",
                "failed     100000000066  blocked",
            ],
        )

    def test_says_what_is_special_about_it(self):
        cases: list[tuple[dict[str, Any], str]] = [
            ({"closed": False, "note": "1 slice is open"}, "year       not closed: 1 slice is open"),
            ({"status": "already done"}, "run        r1  already done; nothing was fetched"),
            ({"closed": None, "note": "no company failed"}, "note       no company failed"),
            ({"seconds": 0.0}, "time       0.0 s"),
            ({"failed": 11}, "           and 10 more, all in the report CSV"),
            ({"retry_after_seconds": 7200.0}, "again      in 7,200 s, as the source asks"),
            (
                {"failures": (FailedCompany(company_id="7", reason="blocked", detail="403. Wait an hour."),)},
                "because    blocked: 403. Wait an hour.",
            ),
        ]
        for changes, line in cases:
            with self.subTest(line=line):
                self.assertIn(line, lines_of(**changes))

    def test_says_nothing_of_the_year_where_no_manifest_was_written(self):
        self.assertFalse([line for line in lines_of(closed=None) if line.startswith("year")])


class TextOfADryRun(unittest.TestCase):
    def test_says_what_a_run_would_do(self):
        expected = Expected(
            companies=1709,
            rows=1_000_000,
            rows_of_year=15_498_687,
            windows=1800,
            requests=4000,
            bytes=572_000_000,
            seconds=4321.5,
            first_companies=(PlannedCompany(company_id="7", rows=1000), PlannedCompany(company_id="8", rows=None)),
        )

        self.assertEqual(
            lines_of(status="planned", planned=1729, proved=20, expected=expected),
            [
                "release    2026-06-30-9323b84e of general-payments 2024",
                "companies  1,729, 20 of them proved already",
                "rows       1,000,000 of the year's 15,498,687",
                "bytes      about 572,000,000",
                "requests   about 4,000 for 1,800 windows",
                "time       about 4,322 s at the source's usual speed",
                "lake       memory://",
                "  7  1,000 rows",
                "  8  ? rows",
                "  and 1,707 more",
            ],
        )

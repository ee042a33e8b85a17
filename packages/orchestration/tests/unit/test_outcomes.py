"""What follows from an exit status and a fact."""

from __future__ import annotations

import json
import unittest

from etl_core.errors import EXIT_STATUSES
from orchestration.outcomes import LONGEST_WAIT_SECONDS, Outcome, fact_in, references


class TheVerdict(unittest.TestCase):
    def test_it_follows_the_table_of_exit_statuses(self):
        verdicts = {status.code: Outcome(status.code).verdict for status in EXIT_STATUSES}

        self.assertEqual(
            verdicts,
            {
                0: "success",
                1: "default",
                2: "fail",
                3: "fail",
                4: "retry",
                129: "default",
                130: "default",
                143: "default",
            },
        )

    def test_what_no_table_knows_is_infrastructure(self):
        for status in (137, 139, 77):
            self.assertEqual(Outcome(status).verdict, "default")


class TheWait(unittest.TestCase):
    def test_it_is_what_the_source_asked_for_within_bounds(self):
        for given, wait in (
            (30, 30.0),
            (0.5, 0.5),
            (10**9, LONGEST_WAIT_SECONDS),
            (0, None),
            (-1, None),
            (float("nan"), None),
            ("soon", None),
            (True, None),
            (None, None),
        ):
            with self.subTest(given=given):
                self.assertEqual(Outcome(4, {"retry_after_seconds": given}).retry_after_seconds, wait)

    def test_a_fact_without_it_says_nothing(self):
        self.assertIsNone(Outcome(4).retry_after_seconds)


class TheFact(unittest.TestCase):
    def test_it_is_the_last_line_that_is_an_object(self):
        self.assertEqual(fact_in(["noise", '{"a": 1}', "[2]", '{"job": "stage"}', "more noise"]), {"job": "stage"})
        self.assertEqual(fact_in(["noise", "3", ""]), {})

    def test_airflow_keeps_references_and_counts_of_it(self):
        fact = {"run_id": "r", "rows": 3, "closed": True, "build": None, "inputs": [1], "tables": {}, "note": "x" * 999}

        self.assertEqual(references(fact), {"run_id": "r", "rows": 3, "closed": True, "build": None})
        json.dumps(references(fact))


class TheDiagnosis(unittest.TestCase):
    def test_it_has_the_run_s_own_words_and_what_to_do_next(self):
        fact = {
            "run_id": "general-payments-2023-x",
            "note": "2 of 12 companies are not proved",
            "manifest": "metadata/runs/run_id=x/manifest.json",
            "failures": [{"company_id": "100000000053", "reason": "http_500", "detail": "the source failed"}],
        }

        text = Outcome(4, fact).diagnosis("data-pipeline run run_pipeline")

        for words in (
            "status 4 (temporary: run again)",
            "2 of 12 companies are not proved",
            "company_id 100000000053; reason http_500; detail the source failed",
            "manifest: metadata/runs/run_id=x/manifest.json",
            "data-pipeline run status -- --run-id general-payments-2023-x",
        ):
            self.assertIn(words, text)

    def test_of_a_checked_year_it_names_what_failed_only(self):
        checks = [
            {"name": "staged_plus_quarantined", "status": "failed", "found": "41", "expected": "42"},
            {"name": "companies_proved", "status": "passed", "found": "12", "expected": "12"},
        ]

        text = Outcome(3, {"checks": checks}).diagnosis("check")

        self.assertIn("name staged_plus_quarantined; found 41; expected 42", text)
        self.assertNotIn("companies_proved", text)

    def test_a_cluster_s_diagnosis_is_part_of_it(self):
        self.assertIn("out_of_memory: killed", Outcome(1, {}, "out_of_memory: killed").diagnosis("x"))

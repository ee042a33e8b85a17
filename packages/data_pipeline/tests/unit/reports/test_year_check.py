import unittest
from dataclasses import replace
from decimal import Decimal
from typing import Any

from data_pipeline.lakehouse.documents import BuildManifest, StagedPart, StoredFile
from data_pipeline.reports.year_check import Bounds, YearState, check_year, lines_of
from packages.data_pipeline.tests.unit.fakes import START, a_manifest, a_release, a_result
from packages.data_pipeline.tests.unit.reports.values import a_manifest as marts_manifest
from packages.data_pipeline.tests.unit.reports.values import a_source, reconciled

AMOUNT, USD = "total_amount_of_payment_usdollars", Decimal("50000.00")
FILE = StoredFile(key="staging/x.parquet", bytes=1, sha256="0" * 64)
CLOSURE = a_manifest().closure.model_copy(update={"source_rows": 1000, "proved_rows": 1000})


def a_run(**changes: Any) -> Any:
    return a_manifest(a_result(rows=1000, rows_expected=1000), **{"closure": CLOSURE} | changes)


def a_staged_part(**changes: Any) -> StagedPart:
    values: dict[str, Any] = {
        "part": "raw/1.csv", "part_sha256": "1" * 64, "contract": "7fa310f0", "records": 1000, "staged": 1000,
        "quarantined": 0, "file": FILE, "quarantine": None, "reasons": {}, "flags": {}, "new_values": (),
        "amounts": {AMOUNT: USD}, "least": None, "drift": None, "greatest": None, "staged_at": START, "software": {},
    }  # fmt: skip
    return StagedPart(**values | changes)


def a_build(**changes: Any) -> BuildManifest:
    values: dict[str, Any] = {
        "scope": "x", "build": "0cf12a56", "table": "general_payments", "dataset": "general-payments", "year": 2024,
        "release": a_release().name, "run_id": "r1", "closed": True, "contract": "7fa310f0", "parts": 1, "rows": 1000,
        "quarantined": 0, "amounts": {AMOUNT: USD}, "files": (), "created_at": START, "software": {},
    }  # fmt: skip
    return BuildManifest(**values | changes)


def some_marts(source: dict[str, Any] | None = None, **changes: Any) -> Any:
    inputs = (a_source(**{"rows": 1000, "amount_usd": USD} | (source or {})), a_source(year=2023, rows=7))
    return marts_manifest(**{"inputs": inputs, "reconciled": (reconciled(),)} | changes)


FINISHED = YearState(
    run=a_run(),
    newest=a_run(),
    parts={"raw/1.csv": (1000, "1" * 64)},
    amount=AMOUNT,
    staged=(a_staged_part(),),
    build=a_build(),
    marts=some_marts(),
)


class AYear(unittest.TestCase):
    def check(self, bounds: Bounds | None = None, **changes: Any) -> dict[str, str]:
        """The checks that did not pass, and how a person reads them."""
        checks = check_year(replace(FINISHED, **changes), bounds or Bounds())
        lines = list(lines_of(checks))
        return {
            one.name: f"{one.status}: {' '.join(line.split())}"
            for one, line in zip(checks, lines, strict=True)
            if one.status != "passed"
        }

    def test_that_is_finished_passes_every_check(self):
        self.assertEqual(self.check(), {})
        names = [one.name for one in check_year(FINISHED, Bounds())]
        self.assertEqual(names, [
            "proved_companies", "proved_records", "audited_records", "staged_records", "quarantined_records",
            "curated_records", "curated_usd", "marts_records", "marts_usd", "lost_files", "company_records",
            "company_usd",
        ])  # fmt: skip

    def test_fails_by_the_equation_that_does_not_hold(self):
        partial = a_run(status="partial", closure=CLOSURE.model_copy(update={"proved_rows": 990, "closed": False}))
        failed = a_manifest(a_result(rows=1000), a_result("2", verdict="failed"), closure=CLOSURE)
        quarantine = {"staged": 998, "quarantined": 2, "quarantine": FILE}
        for name, changes in [
            ("proved_companies", {"run": failed, "newest": failed}),
            ("proved_records", {"run": partial, "newest": partial}),
            ("audited_records", {"parts": {"raw/1.csv": (999, "1" * 64)}}),
            ("staged_records", {"staged": ()}),
            ("staged_records", {"staged": (a_staged_part(part_sha256="2" * 64),)}),
            ("staged_records", {"parts": {"raw/1.csv": (1000, "1" * 64), "raw/2.csv": (0, "2" * 64)}}),
            ("quarantined_records", {"staged": (a_staged_part(**quarantine),)}),
            ("curated_records", {"build": None}),
            ("curated_records", {"build": a_build(rows=999)}),
            ("curated_records", {"build": a_build(release="2025-06-30-00000000")}),
            ("curated_records", {"build": a_build(closed=False)}),
            ("curated_usd", {"build": a_build(amounts={AMOUNT: USD - Decimal("0.01")})}),
            ("marts_records", {"marts": None}),
            ("marts_records", {"marts": some_marts({"year": 2022})}),
            ("marts_records", {"marts": some_marts({"rows": 999})}),
            ("marts_records", {"marts": some_marts({"build": "00000000"})}),
            ("marts_usd", {"marts": some_marts({"amount_usd": USD + 1})}),
            ("lost_files", {"lost": ["curated/x.parquet"]}),
            ("company_summaries", {"marts": some_marts(reconciled=())}),
            ("company_summaries", {"marts": some_marts(reconciled=(reconciled(year=2023),))}),
        ]:
            with self.subTest(name, **changes):
                said = self.check(**changes)
                self.assertIn(name, said)
                self.assertTrue(said[name].startswith("failed: FAILED"), said)

    def test_says_with_numbers_what_does_not_hold(self):
        part = a_staged_part(staged=998, quarantined=2, quarantine=FILE)
        self.assertEqual(
            self.check(staged=(part,), build=a_build(rows=998), lost=["marts/x.duckdb"]),
            {
                "quarantined_records": "failed: FAILED quarantined records 2, at most 1.00",
                "marts_records": "failed: FAILED marts records 1,000 of 998",
                "lost_files": "failed: FAILED lost files 1 of 0 Such as marts/x.duckdb.",
            },
        )

    def test_may_differ_from_the_summaries_of_cms_within_the_bound(self):
        for difference, payments, failed in [
            ("50.00", 1, []),
            ("50.01", 1, ["company_usd"]),
            ("50.00", -2, ["company_records"]),
        ]:
            with self.subTest(difference=difference, payments=payments):
                one = reconciled(
                    amount_differing_usd=Decimal(difference), payments_difference=payments, entities_differing=3
                )
                self.assertEqual(list(self.check(marts=some_marts(reconciled=(one,)))), failed)
        one = reconciled(entity_kind="teaching_hospital", amount_differing_usd=Decimal(60), entities_differing=3)
        said = self.check(Bounds(Decimal("0.0011")), marts=some_marts(reconciled=(reconciled(), one)))
        self.assertEqual(said, {
            "teaching_hospital_usd": "failed: FAILED teaching hospital usd 60, at most 55.00"
            " 3 of 1,500 differ from CMS's summary 2026-06-30-d5762bed."
        })  # fmt: skip

    def test_may_lack_the_summary_of_cms_if_that_was_allowed(self):
        said = self.check(Bounds(unreconciled=True), marts=some_marts(reconciled=()))

        self.assertEqual(list(said), ["company_summaries"])
        self.assertTrue(said["company_summaries"].startswith("warned: WARNED"))

    def test_is_only_warned_of_by_a_newer_run_that_is_partial_and_by_new_values(self):
        newer = a_run(run_id="r2", status="partial", closure=CLOSURE.model_copy(update={"proved_rows": 10}))
        said = self.check(newest=newer, marts=some_marts(warnings=("nature_is_known",)))

        self.assertEqual(said, {
            "newest_run": f"warned: WARNED newest run 10 of 1,000 Run r2 of {a_release().name} is partial; checked is"
            " run r1.",
            "warnings_of_tests": "warned: WARNED warnings of tests 1 nature_is_known",
        })  # fmt: skip

import json
import unittest
from typing import Any

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP, Dataset
from data_pipeline.open_payments.source.reference_count import (
    SUMMARY_TITLE,
    Confirmation,
    HalfImportedError,
    NoReferenceCountError,
    ReferenceCount,
    confirm,
    count_of_run,
    fetch_reference_count,
    require_full_import,
)
from data_pipeline.runs.plans import write_plan
from etl_core.errors import BlockedError, StoppedError, TemporaryError, UnavailableError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    WorldCase,
    a_manifest,
    a_plan,
    a_release,
    blocks,
    edits,
    nobody_answers,
    payments,
    says,
    sends,
)


class FetchReferenceCount(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.publish(2024)
        self.site.summarise(y2023=9, y2024=6)

    def fetch(self, year: int = 2024, dataset: Dataset = GENERAL) -> ReferenceCount:
        return fetch_reference_count(self.world.source, dataset, year)

    def test_the_summary_says_how_many_rows_a_year_has(self):
        self.assertEqual(self.fetch(), ReferenceCount(6, "the summary by reporting entity"))
        self.assertEqual(self.site.kinds(), ["catalogue", "sum"])

    def test_each_dataset_is_summed_over_a_column_of_its_own(self):
        self.site.summarise("trans_invested", y2024=3)

        self.assertEqual(self.fetch(dataset=OWNERSHIP), ReferenceCount(3, "the summary by reporting entity"))
        self.assertEqual(
            self.site.of_kind("sum")[-1]["properties[0][expression][operands][0]"], OWNERSHIP.reference_column
        )

    def test_a_summary_without_the_year_or_with_no_rows_of_it_is_permanent(self):
        self.site.summarise(y2023=9, y2024=0)
        for year in (2012, 2024):
            with self.subTest(year=year), self.assertRaisesRegex(NoReferenceCountError, f"no rows of .* {year}"):
                self.fetch(year)

    def test_a_summary_that_is_gone_is_permanent_and_one_that_does_not_answer_is_not(self):
        titled = json.dumps(SUMMARY_TITLE).encode()
        twice = [{"title": SUMMARY_TITLE, "identifier": one} for one in ("a", "b")]
        cases: list[tuple[str, Any, type[Exception]]] = [
            ("catalogue", says(500), UnavailableError),
            ("catalogue", nobody_answers, UnavailableError),
            ("sum", says(500), UnavailableError),
            ("sum", sends({"results": [{"rows": "many"}]}), UnavailableError),
            ("catalogue", says(404), NoReferenceCountError),
            ("catalogue", sends([]), NoReferenceCountError),
            ("catalogue", sends([{"title": SUMMARY_TITLE}]), NoReferenceCountError),
            ("catalogue", sends(twice), NoReferenceCountError),
            ("catalogue", edits(lambda body: body.replace(titled, b'"Another summary"')), NoReferenceCountError),
            ("sum", says(404), NoReferenceCountError),
            ("sum", says(400), NoReferenceCountError),
        ]
        for kind, change, error in cases:
            with self.subTest(kind=kind, error=error):
                self.setUp()
                self.site.fault(kind, change, NEVER)
                with self.assertRaises(error):
                    self.fetch()

    def test_a_blocked_or_stopped_run_does_not_go_on_without_a_reference_count(self):
        self.site.fault("catalogue", blocks)
        with self.assertRaises(BlockedError):
            self.fetch()

        self.setUp()
        self.world.stop.request()
        with self.assertRaises(StoppedError):
            self.fetch()


class Confirm(WorldCase):
    """The table holds six rows."""

    def confirm(self, *, trust_count: bool = False) -> Confirmation:
        resolved = self.world.resolved(self.table)
        return confirm(self.world.source, self.store, resolved, trust_count=trust_count)

    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, 6))

    def had_before(self, rows: int) -> None:
        """An earlier plan of the release."""
        write_plan(self.store, a_plan(run_id=f"r{rows}", release=a_release(self.table), reference_rows=rows))

    def test_keeps_the_count_of_the_summary(self):
        self.had_before(9)
        self.assertEqual(self.confirm(), Confirmation(6, trusts_count=False))
        self.assertEqual(self.confirm(trust_count=True), Confirmation(6, trusts_count=False), "nothing to trust")

    def test_refuses_a_table_that_lacks_rows_unless_its_count_is_trusted(self):
        self.site.summarise(y2024=7)
        with self.assertRaises(HalfImportedError):
            self.confirm()
        self.assertEqual(self.confirm(trust_count=True), Confirmation(7, trusts_count=True))

    def test_compares_with_what_the_lake_knows_while_the_source_says_nothing(self):
        for change in (says(500), says(404), sends({"results": [{"rows": "0"}]})):
            with self.subTest(change=change):
                self.setUp()
                self.site.fault("sum", change, NEVER)
                self.had_before(6)
                self.assertEqual(self.confirm(), Confirmation(6, trusts_count=False))
                self.had_before(10)
                with self.assertRaisesRegex(HalfImportedError, "6 rows, an earlier run of the release .* says 10"):
                    self.confirm()
                self.assertEqual(self.confirm(trust_count=True), Confirmation(10, trusts_count=True))

    def test_a_count_that_fails_for_now_is_temporary_if_the_lake_knows_none(self):
        self.site.fault("sum", says(503, Retry_After="7"), NEVER)
        with self.assertRaisesRegex(UnavailableError, "nothing can confirm .* Nothing was fetched") as caught:
            self.confirm()
        self.assertEqual(caught.exception.retry_after, 7)
        self.assertEqual(self.confirm(trust_count=True), Confirmation(None, trusts_count=True))

    def test_where_there_is_no_count_anywhere_the_plan_has_none(self):
        self.site.lose_summary()
        self.assertEqual(self.confirm(), Confirmation(None, trusts_count=False))
        self.assertEqual(self.confirm(trust_count=True), Confirmation(None, trusts_count=True))


class CountOfRun(unittest.TestCase):
    def test_a_committed_run_says_how_many_rows_the_year_had(self):
        self.assertEqual(count_of_run(a_manifest()), ReferenceCount(3, "run r1 of the release 2026-06-30-9323b84e"))

    def test_without_a_run_there_is_no_reference_count(self):
        self.assertIsNone(count_of_run(None))


class RequireFullImport(unittest.TestCase):
    def test_a_table_within_the_tolerance_is_whole(self):
        for rows in (1000, 980, 1001, 5000):
            with self.subTest(rows=rows):
                require_full_import(GENERAL, 2024, rows, ReferenceCount(1000, "somebody"))
        require_full_import(GENERAL, 2024, 0, None)

    def test_a_table_that_lacks_more_is_refused(self):
        for rows in (979, 0):
            with self.subTest(rows=rows), self.assertRaises(HalfImportedError):
                require_full_import(GENERAL, 2024, rows, ReferenceCount(1000, "somebody"))

    def test_the_refusal_says_what_is_missing_and_what_to_do(self):
        with self.assertRaises(HalfImportedError) as caught:
            require_full_import(GENERAL, 2024, 9_000_000, ReferenceCount(15_000_000, "the summary"))

        self.assertEqual(
            str(caught.exception),
            "the table of general-payments 2024 holds 9,000,000 rows, the summary says 15,000,000: "
            "6,000,000 (40.0%, tolerance 2%) are missing, so it is still being imported. "
            "Nothing was fetched. Run the same command again later; "
            "--trust-count fetches what there is, as a partial run.",
        )
        self.assertIsInstance(caught.exception, TemporaryError)
        self.assertFalse(caught.exception.retryable)

import json
import unittest
from typing import Any

from structlog.testing import capture_logs

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP, Dataset
from data_pipeline.open_payments.source.reference_count import (
    SUMMARY_TITLE,
    HalfImportedError,
    ReferenceCount,
    count_of_run,
    fetch_reference_count,
    require_full_import,
)
from etl_core.errors import BlockedError, StoppedError, TemporaryError
from packages.data_pipeline.tests.unit.fakes import (
    NEVER,
    WorldCase,
    a_manifest,
    blocks,
    edits,
    nobody_answers,
    says,
    sends,
)


class FetchReferenceCount(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.publish(2024)
        self.site.summarise(y2023=9, y2024=6)

    def fetch(self, year: int = 2024, dataset: Dataset = GENERAL) -> ReferenceCount | None:
        return fetch_reference_count(self.world.source, dataset, year)

    def test_the_summary_says_how_many_rows_a_year_has(self):
        self.assertEqual(self.fetch(), ReferenceCount(6, "the summary by reporting entity"))
        self.assertEqual(self.site.kinds(), ["catalogue", "sum"])

    def test_each_dataset_is_summed_over_a_column_of_its_own(self):
        self.site.summarise("Trans_Invested", y2024=3)

        self.assertEqual(self.fetch(dataset=OWNERSHIP), ReferenceCount(3, "the summary by reporting entity"))
        self.assertEqual(
            self.site.of_kind("sum")[-1]["properties[0][expression][operands][0]"], OWNERSHIP.reference_column
        )

    def test_the_summary_has_no_count_of_a_year_it_does_not_know(self):
        self.assertIsNone(self.fetch(2012))

    def test_there_is_no_reference_count_where_the_summary_cannot_be_had(self):
        titled = json.dumps(SUMMARY_TITLE).encode()
        cases: list[tuple[str, Any]] = [
            ("catalogue", says(500)),
            ("catalogue", says(404)),
            ("catalogue", nobody_answers),
            ("catalogue", sends([])),
            ("catalogue", sends([{"title": SUMMARY_TITLE}])),
            ("catalogue", edits(lambda body: body.replace(titled, b'"Another summary"'))),
            ("sum", says(500)),
            ("sum", says(404)),
            ("sum", says(400)),
            ("sum", sends({"results": [{"rows": "many"}]})),
        ]
        for kind, change in cases:
            with self.subTest(kind=kind):
                self.setUp()
                self.site.fault(kind, change, NEVER)
                with capture_logs() as logs:
                    self.assertIsNone(self.fetch())
                self.assertEqual(logs[-1]["event"], "no summary by reporting entity to compare the count with")

    def test_a_blocked_or_stopped_run_does_not_go_on_without_a_reference_count(self):
        self.site.fault("catalogue", blocks)
        with self.assertRaises(BlockedError):
            self.fetch()

        self.setUp()
        self.world.stop.request()
        with self.assertRaises(StoppedError):
            self.fetch()


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

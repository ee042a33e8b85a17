import json
from typing import Any

from structlog.testing import capture_logs

from data_pipeline.open_payments.ledger.selection import ReferenceCount
from data_pipeline.open_payments.source.reference_count import (
    SUMMARY_TITLE,
    HalfImportedError,
    must_not_contradict,
    summary_reference,
)
from etl_core.errors import BlockedError, StoppedError, TemporaryError
from packages.data_pipeline.tests.unit.fakes import (
    NEVER,
    WorldCase,
    blocks,
    edits,
    nobody_answers,
    says,
    sends,
)


class TheSummary(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.publish(2024)
        self.site.summarise(y2023=9, y2024=6)

    def witness(self, year: int = 2024) -> ReferenceCount | None:
        return summary_reference(self.world.source, year)

    def test_says_how_many_rows_a_year_has(self):
        self.assertEqual(self.witness(), ReferenceCount(6, "the summary by reporting entity"))
        self.assertEqual(self.site.kinds(), ["catalogue", "sum"])

    def test_says_nothing_of_a_year_it_does_not_know(self):
        self.assertIsNone(self.witness(2012))

    def test_is_done_without_where_it_cannot_be_had(self):
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
                    self.assertIsNone(self.witness())
                self.assertEqual(logs[-1]["event"], "no summary by reporting entity to hold the count against")

    def test_is_not_done_without_where_the_edge_refuses_or_somebody_says_stop(self):
        self.site.fault("catalogue", blocks)
        with self.assertRaises(BlockedError):
            self.witness()

        self.setUp()
        self.world.stop.ask()
        with self.assertRaises(StoppedError):
            self.witness()


class MustNotContradict(WorldCase):
    def test_lets_through_what_is_within_two_in_a_hundred(self):
        for rows in (1000, 980, 1001, 5000):
            with self.subTest(rows=rows):
                must_not_contradict(2024, rows, ReferenceCount(1000, "somebody"))
        must_not_contradict(2024, 0, None)

    def test_refuses_what_lacks_more(self):
        for rows in (979, 0):
            with self.subTest(rows=rows), self.assertRaises(HalfImportedError):
                must_not_contradict(2024, rows, ReferenceCount(1000, "somebody"))

    def test_says_what_is_missing_and_what_to_do(self):
        with self.assertRaises(HalfImportedError) as caught:
            must_not_contradict(2024, 9_000_000, ReferenceCount(15_000_000, "the summary"))

        self.assertEqual(
            str(caught.exception),
            "the table of 2024 holds 9,000,000 rows, the summary says 15,000,000: 6,000,000 (40.0%, tolerance 2%) are "
            "missing, so it is still being imported. Nothing was fetched. Run the same command again later; "
            "--trust-count fetches what there is, as a partial run.",
        )
        self.assertIsInstance(caught.exception, TemporaryError)
        self.assertFalse(caught.exception.retryable)

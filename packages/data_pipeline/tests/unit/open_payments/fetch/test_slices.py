import functools
from typing import Any

from data_pipeline.open_payments.fetch.slices import Slices
from data_pipeline.open_payments.fetch.task import NotProvedError, ReleaseGoneError, WindowTask
from data_pipeline.open_payments.fetch.window import WindowFetcher
from data_pipeline.open_payments.ledger.audits import Audits, keys_of, read_attempts
from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, SliceAudit
from data_pipeline.open_payments.windows import Window, cut, tiles
from etl_core.errors import BlockedError, DataError, UnreachableError
from etl_core.telemetry import Tally
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    Reply,
    Row,
    WorldCase,
    a_task,
    an_audit,
    blocks,
    edits,
    nobody_answers,
    payments,
    says,
    sends,
)

DAYS = ("01/15/2024", "04/30/2024", "11/30/0002", "05/30/2024")


@functools.cache
def many() -> list[Row]:
    """As many rows as make two windows; a quarter on each of four days."""
    return payments(COMPANY, 60_001, days=DAYS)


class SlicesCase(WorldCase):
    rows: list[Row] | None = None

    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, [*(self.rows or payments(COMPANY, 3)), *payments(OTHER, 2)])
        self.resolved = self.world.resolved(self.table)
        self.audits = Audits(self.store, self.resolved.release)
        self.site.asked.clear()

    def slices(self, *, trusted: bool = True) -> Slices:
        fetcher = WindowFetcher(
            self.world.source,
            self.store,
            self.audits,
            retry=self.world.retry,
            progress=self.world.progress,
            now=self.world.now,
        )
        return Slices(
            self.world.source,
            self.audits,
            fetcher,
            run_id="r1",
            release=self.resolved.release,
            columns=self.resolved.table.columns,
            trusted_counts=trusted,
            now=self.world.now,
            progress=self.world.progress,
        )

    def opened(self, rows: int | None, *, trusted: bool = True, of: int | None = None) -> list[WindowTask]:
        return self.slices(trusted=trusted).open(PlannedCompany(company_id=COMPANY, rows=rows), of)

    def reasons_kept(self) -> list[str]:
        return [one.reason for one in read_attempts(self.store, "r1") if one.final]


class OpenSmall(SlicesCase):
    def test_a_small_slice_trusts_a_count_of_its_release(self):
        (task,) = self.opened(7)

        self.assertEqual(self.site.asked, [])
        self.assertEqual((task.window, task.expected, task.company_id), (Window(1, 1, "", ""), 7, COMPANY))
        self.assertEqual((task.run_id, task.release), ("r1", self.resolved.release))
        self.assertEqual(task.columns, self.resolved.table.columns)

    def test_a_slice_with_an_unknown_or_old_count_is_counted(self):
        for rows, trusted in [(None, True), (None, False), (7, False), (0, False)]:
            with self.subTest(rows=rows, trusted=trusted):
                self.site.asked.clear()
                (task,) = self.opened(rows, trusted=trusted)
                self.assertEqual((task.expected, self.site.kinds()), (3, ["count"]))
                self.assertEqual(self.site.asked[0]["conditions[0][value]"], COMPANY)
                self.assertEqual(task.tally.requests, 1)

    def test_a_planned_count_of_zero_is_trusted(self):
        (task,) = self.opened(0)

        self.assertEqual((task.expected, self.site.asked), (0, []))


class OpenLarge(SlicesCase):
    def setUp(self) -> None:
        self.rows = many()
        super().setUp()

    def test_one_count_by_date_gives_the_counts_of_all_windows(self):
        tasks = self.opened(60_001)

        self.assertEqual([task.window for task in tasks], [Window(1, 2, "", "06/30"), Window(2, 2, "06/30", "")])
        self.assertEqual([task.expected for task in tasks], [45_001, 15_000])
        self.assertEqual(self.site.kinds(), ["groups"])
        asked = self.site.asked[0]
        self.assertEqual((asked["groupings[0]"], asked["conditions[0][value]"]), ("date_of_payment", COMPANY))
        self.assertEqual([task.tally.requests for task in tasks], [1, 0])

    def test_counts_that_disagree_are_requested_again(self):
        """The plan's count is of yesterday, or either answer was a bad one."""
        tasks = self.opened(120_001)

        self.assertEqual([task.window.of for task in tasks], [2, 2])
        self.assertEqual(self.site.kinds(), ["groups", "count", "groups"])
        self.assertEqual(tasks[0].tally.requests, 3)

    def test_a_given_number_of_windows_is_kept_whatever_the_count_is(self):
        for of in (1, 2, 3):
            with self.subTest(of=of):
                tasks = self.opened(120_001, of=of)
                self.assertEqual([task.window for task in tasks], list(tiles(of)))
                self.assertEqual(sum(task.expected or 0 for task in tasks), 120_001 if of == 1 else 60_001)

    def test_a_slice_whose_new_count_is_small_has_one_window(self):
        self.site.fault("groups", sends({"results": []}))
        self.site.fault("count", sends({"count": 5}))

        (task,) = self.opened(60_001)

        self.assertEqual((task.window.of, task.expected, task.tally.requests), (1, 5, 2))

    def test_a_slice_whose_counts_disagree_three_times_is_not_proved(self):
        self.site.fault("groups", edits(lambda body: body.replace(b'"15000"', b'"14999"', 1)), NEVER)

        with self.assertRaises(NotProvedError) as caught:
            self.opened(60_001)

        self.assertEqual(
            str(caught.exception), f"counts_disagree: company {COMPANY} has 60001 rows and 60000 by payment date"
        )
        self.assertEqual(self.site.kinds(), ["groups", "count"] * 3)
        self.assertEqual(self.reasons_kept(), ["counts_disagree"])

    def test_without_grouped_counts_each_window_is_counted_on_its_own(self):
        for change in (says(400, "Database internal error."), says(400, "no groups"), sends({"results": None})):
            with self.subTest():
                self.site.asked.clear()
                self.site.fault("groups", change, 4)
                tasks = self.opened(60_001)
                self.assertEqual([(task.window.of, task.expected) for task in tasks], [(2, None)] * 2)
                self.site._faults.clear()

    def test_an_unreachable_source_is_not_asked_window_by_window(self):
        for change, error in ((nobody_answers, UnreachableError), (blocks, BlockedError)):
            with self.subTest():
                self.site.fault("groups", change, 4)
                with self.assertRaises(error):
                    self.opened(60_001)
                self.site._faults.clear()


class CloseLarge(SlicesCase):
    """Two windows of few rows: a count of 60,001 makes the cut, the table may hold what it likes."""

    company = PlannedCompany(company_id=COMPANY, rows=60_001)
    rows = payments(COMPANY, 8, days=DAYS)

    def setUp(self) -> None:
        super().setUp()
        self.work = self.slices()
        self.tally = Tally()

    def parts(self) -> list[Audit]:
        windows = cut(60_001)
        tasks = [a_task(self.resolved, window=window) for window in windows]
        proved = [self.work.prove(task) for task in tasks]
        self.site._faults.clear()
        self.site.asked.clear()
        return proved

    def close(self, parts: list[Audit]) -> SliceAudit:
        return self.work.close(self.company, parts, self.tally)

    def moves(self, *rows: Row, at: str = "download") -> None:
        """Rows that come into the table before the next request of a kind."""

        def comes(real: Reply) -> Reply:
            self.table.rows += rows
            return real

        self.site.fault(at, comes)

    def test_all_windows_are_counted_together_after_the_last_row(self):
        parts = self.parts()

        closed = self.close(parts)

        self.assertEqual(self.site.kinds(), ["groups"])
        asked = self.site.asked[0]
        self.assertEqual((asked["groupings[0]"], asked["conditions[0][value]"]), ("date_of_payment", COMPANY))
        self.assertTrue(asked.bypass_cache)
        self.assertEqual((closed.records, closed.count_before, closed.count_after), (8, 8, 8))
        self.assertEqual((closed.counts_after, closed.parts), ((6, 2), tuple(parts)))
        self.assertEqual([part.count_after for part in parts], [None, None])
        self.assertEqual((self.tally.requests, self.world.progress.slices), (1, 1))

    def test_a_changed_count_is_confirmed_before_a_window_is_fetched_again(self):
        parts = self.parts()
        self.site.fault("groups", edits(lambda body: body.replace(b'"2"', b'"3"', 1)))

        self.assertEqual(self.close(parts).parts, tuple(parts))
        self.assertEqual(self.site.kinds(), ["groups", "groups"])

    def test_only_the_window_whose_count_changed_is_proved_again(self):
        parts = self.parts()
        self.table.rows += payments(COMPANY, 1, days=("11/30/0002",), first=9)

        closed = self.close(parts)

        self.assertEqual(self.site.kinds(), ["groups", "groups", "count", "download", "groups"])
        self.assertEqual((closed.parts[0], closed.parts[1].generation), (parts[0], 2))
        self.assertEqual((closed.records, closed.counts_after), (9, (6, 3)))
        self.assertEqual(self.tally.requests, 5)
        again = self.slices()
        self.assertEqual([again.prove(a_task(self.resolved, window=window)) for window in cut(60_001)],
                         list(closed.parts), "another process goes on from the newest")  # fmt: skip

    def test_a_slice_of_a_table_that_keeps_changing_is_not_proved(self):
        parts = self.parts()
        self.table.rows += payments(COMPANY, 1, days=("11/30/0002",), first=9)
        self.moves(*payments(COMPANY, 1, days=("11/30/0002",), first=10))

        with self.assertRaises(NotProvedError) as caught:
            self.close(parts)

        self.assertEqual(
            str(caught.exception),
            f"count_moved: the 2 proved windows of company {COMPANY} hold 9 records, the source counts 10; "
            "windows [2] keep changing",
        )
        self.assertEqual(self.reasons_kept(), ["count_moved"])
        self.assertIsNone(self.audits.slice_audit(COMPANY))
        self.assertEqual(self.world.progress.slices, 0)
        closed = self.close([self.work.prove(a_task(self.resolved, window=window)) for window in cut(60_001)])
        self.assertEqual([part.generation for part in closed.parts], [1, 3])

    def test_a_slice_of_a_withdrawn_release_is_left_to_the_next_run(self):
        parts = self.parts()
        del self.site.tables[self.table.dataset_id]

        for ask in (lambda: self.close(parts), lambda: self.opened(60_001), lambda: self.opened(None)):
            with self.subTest(), self.assertRaisesRegex(ReleaseGoneError, "CMS has republished. Run the same command"):
                ask()

    def test_without_grouped_counts_a_slice_is_closed_by_window_counts(self):
        parts = self.parts()
        self.site.fault("groups", says(400, "no groups"), NEVER)

        closed = self.close(parts)

        self.assertEqual(self.site.kinds(), ["groups", "count", "count"])
        self.assertEqual((closed.counts_after, self.tally.requests), ((6, 2), 3))


class Close(SlicesCase):
    company = PlannedCompany(company_id=COMPANY, rows=3)

    def close(self, *records: int, **part: Any) -> tuple[int, Tally]:
        tally = Tally()
        parts = [
            an_audit(number=number, of=len(records), records=count, release=self.resolved.release, **part)
            for number, count in enumerate(records, 1)
        ]
        return self.slices().close(self.company, parts, tally).count_after, tally

    def test_a_slice_of_one_window_is_closed_with_its_own_count(self):
        self.assertEqual(self.close(3, count_after=3), (3, Tally()))

        self.assertEqual(self.site.asked, [])
        self.assertEqual(self.store.writes, [keys_of(self.resolved.release, COMPANY).slice_audit()])
        self.assertEqual(self.world.progress.slices, 1)
        closed = self.audits.slice_audit(COMPANY)
        self.assertEqual(closed and closed.proved_at, START)

    def test_a_slice_of_one_window_with_another_count_is_not_closed(self):
        with self.assertRaisesRegex(NotProvedError, "count_moved"):
            self.close(3, count_after=4)

    def test_a_slice_whose_windows_leave_a_gap_is_not_closed(self):
        first, _, last = (an_audit(window=window) for window in tiles(3))

        with self.assertRaises(DataError) as caught:
            self.slices().close(PlannedCompany(company_id=COMPANY, rows=3), [first, last], Tally())

        self.assertIn("leave a gap or overlap", str(caught.exception))
        self.assertEqual(self.audits.closed(), {})
        self.assertEqual(self.reasons_kept(), ["refused"])

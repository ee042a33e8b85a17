import math
import unittest
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.open_payments.windows import (
    MOST_WINDOWS,
    ROWS_PER_WINDOW,
    Window,
    cut,
    rows_of,
    tile_the_slice,
    tiles,
)
from sandbox.open_payments import Settings
from sandbox.open_payments.columns import load_json
from sandbox.open_payments.companies import directory

YEAR = [(date(2024, 1, 1) + timedelta(days=day)).strftime("%m/%d/%Y") for day in range(366)]
ODD = ["", "11/30/0002", "02/29/2024", "00/00/0000", "13/45/2024", "2024-01-15", "\u00e9", "~"]

counts = st.integers(0, 40_000_000)
dates = st.one_of(st.sampled_from(YEAR + ODD), st.dates().map(lambda day: day.strftime("%m/%d/%Y")), st.text())


def holders(windows: tuple[Window, ...], day: str) -> list[int]:
    return [window.number for window in windows if window.holds(day)]


class Cut(unittest.TestCase):
    def test_a_slice_has_a_window_per_sixty_thousand_rows_then_one_per_stream_and_round(self):
        for rows, windows in [
            (0, 1), (1, 1), (60_000, 1), (60_001, 2), (120_000, 2), (120_001, 3), (240_000, 4),
            (240_001, 8), (720_000, 8), (720_001, 16), (1_720_871, 24), (25_920_000, 288), (40_000_000, 288),
        ]:  # fmt: skip
            with self.subTest(rows=rows):
                self.assertEqual(len(cut(rows)), windows)

    def test_a_small_slice_has_one_window(self):
        (window,) = cut(ROWS_PER_WINDOW)

        self.assertEqual(window, Window(1, 1, "", ""))
        self.assertTrue(window.is_whole_slice)
        self.assertFalse(cut(ROWS_PER_WINDOW + 1)[0].is_whole_slice)

    def test_the_windows_of_a_count_are_always_the_same(self):
        self.assertEqual(
            cut(200_000),
            (
                Window(1, 4, "", "04/04"),
                Window(2, 4, "04/04", "06/30"),
                Window(3, 4, "06/30", "09/28"),
                Window(4, 4, "09/28", ""),
            ),
        )

    def test_every_window_of_the_largest_cut_has_a_day_of_its_own(self):
        windows = cut(40_000_000)

        days = Counter(holders(windows, day)[0] for day in YEAR)
        self.assertEqual(sorted(days), list(range(1, MOST_WINDOWS + 1)))
        self.assertLessEqual(max(days.values()), 2)

    def test_windows_hold_about_equal_rows_of_a_company_that_meets_people_on_working_days(self):
        months = load_json("pools.json")["months"]
        days = [date(2024, 1, 1) + timedelta(days=number) for number in range(366)]
        by_date = {f"{day:%m/%d/%Y}": months[day.month - 1] * (1 if day.weekday() >= 5 else 10) for day in days}
        for of in (2, 8, 24):
            with self.subTest(of=of):
                rows = rows_of(tiles(of), by_date).values()
                self.assertLess(max(rows), 1.15 * sum(rows) / of)

    @settings(deadline=None)  # a loaded machine is no failure
    @given(rows=counts, day=dates)
    def test_every_text_is_in_exactly_one_window(self, rows, day):
        self.assertEqual(len(holders(cut(rows), day)), 1)

    @settings(deadline=None)  # a loaded machine is no failure
    @given(rows=counts)
    def test_windows_are_open_at_both_ends_and_meet(self, rows):
        windows = cut(rows)

        self.assertEqual([window.number for window in windows], list(range(1, len(windows) + 1)))
        self.assertEqual({window.of for window in windows}, {len(windows)})
        self.assertEqual((windows[0].low, windows[-1].high), ("", ""))
        self.assertEqual([window.high for window in windows[:-1]], [window.low for window in windows[1:]])
        self.assertEqual(sorted({window.low for window in windows}), [window.low for window in windows])

    def test_the_source_reads_no_more_rows_of_a_real_year_than_with_windows_of_sixty_thousand(self):
        rows_per_company = directory(Settings(years=(2024,), scale=1.0)).rows["general", 2024].values()

        touched = sum(rows * len(cut(rows)) for rows in rows_per_company)

        self.assertLessEqual(touched, sum(rows * math.ceil(rows / ROWS_PER_WINDOW) for rows in rows_per_company))


class TileTheSlice(unittest.TestCase):
    @settings(deadline=None)  # a loaded machine is no failure
    @given(rows=counts)
    def test_all_windows_of_a_cut_tile_the_slice(self, rows):
        self.assertTrue(tile_the_slice(cut(rows)))

    def test_missing_repeated_reordered_and_foreign_windows_do_not_tile_the_slice(self):
        one, two, three = tiles(3)
        for windows in (
            [], [one], [one, two], [two, three], [one, three], [one, two, two], [one, three, two],
            [one, replace(two, low="04/03"), three], [one, two, replace(three, high="12/31")], [*tiles(2), three],
        ):  # fmt: skip
            with self.subTest(windows=windows):
                self.assertFalse(tile_the_slice(windows))


class Holds(unittest.TestCase):
    def test_a_window_includes_its_low_and_excludes_its_high_bound(self):
        window = Window(2, 3, "04/02", "07/02")

        for day, held in [
            ("04/01/2024", False), ("04/02", True), ("04/02/2024", True), ("07/01/9999", True),
            ("07/02", False), ("07/02/2024", False), ("", False),
        ]:  # fmt: skip
            with self.subTest(day=day):
                self.assertEqual(window.holds(day), held)

    def test_odd_dates_are_in_the_window_of_their_text(self):
        windows = cut(700_000)  # eight

        for day, number in [("11/30/0002", 8), ("", 1), ("02/29/2024", 2), ("13/45/2024", 8)]:
            with self.subTest(day=day):
                self.assertEqual(holders(windows, day), [number])


class RowsOf(unittest.TestCase):
    def test_rows_per_date_are_summed_by_window(self):
        windows = cut(180_000)

        self.assertEqual(
            rows_of(windows, {"": 1, "01/15/2024": 10, "04/30/2024": 100, "11/30/0002": 1000, "12/31/2024": 5}),
            {1: 111, 2: 0, 3: 1005},
        )

    @given(st.dictionaries(dates, st.integers(1, 1_000_000)), counts)
    def test_every_row_is_counted_in_exactly_one_window(self, by_date, rows):
        self.assertEqual(sum(rows_of(cut(rows), by_date).values()), sum(by_date.values()))

import unittest
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data_pipeline.open_payments.datasets import GENERAL, OWNERSHIP, RESEARCH
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from data_pipeline.open_payments.ledger.selection import (
    Forecast,
    company_named,
    describe,
    forecast,
    parse_slice,
    select,
)
from etl_core.errors import NotFoundError, UsageError
from packages.data_pipeline.tests.unit.fakes import a_selection

ROWS: dict[str, int | None] = {"9": 1, "100": 2, "20": None, "1000": 4, "3": 5}
IN_ORDER = ["3", "9", "20", "100", "1000"]


def chosen(**selection: object) -> list[str]:
    return [company.company_id for company in select(ROWS, a_selection(**selection))]


class ParseSlice(unittest.TestCase):
    def test_parse_slice_reads_k_of_n(self):
        for text, found in [("1/1", (1, 1)), ("2/4", (2, 4)), (" 10/10 ", (10, 10))]:
            with self.subTest(text=text):
                self.assertEqual(parse_slice(text), found)

    def test_parse_slice_refuses_anything_else_and_says_what_it_wants(self):
        for text in ["", "1", "1/", "/4", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "a/b", "1.0/4", "01/4", "1 / 4"]:
            with self.subTest(text=text), self.assertRaises(UsageError) as caught:
                parse_slice(text)
            self.assertIn(f"--slice {text!r} is not K/N", str(caught.exception))


class Select(unittest.TestCase):
    def test_select_takes_all_in_ascending_order_of_id_whatever_their_lengths(self):
        self.assertEqual(chosen(), IN_ORDER)

    def test_select_keeps_the_rows_of_each_known_or_not(self):
        self.assertEqual(
            select(ROWS, a_selection(max_files=3)),
            (
                PlannedCompany(company_id="3", rows=5),
                PlannedCompany(company_id="9", rows=1),
                PlannedCompany(company_id="20", rows=None),
            ),
        )

    def test_select_takes_the_first_so_many(self):
        """S1.4: --max-files."""
        for most, found in [(1, ["3"]), (4, IN_ORDER[:4]), (5, IN_ORDER), (99, IN_ORDER)]:
            with self.subTest(max_files=most):
                self.assertEqual(chosen(max_files=most), found)

    def test_select_takes_every_nth_from_the_kth(self):
        """S1.4: --slice."""
        for part, found in [("1/2", ["3", "20", "1000"]), ("2/2", ["9", "100"]), ("1/1", IN_ORDER), ("6/6", [])]:
            with self.subTest(part=part):
                self.assertEqual(chosen(slice_of=part), found)

    def test_select_takes_the_first_so_many_of_a_part(self):
        self.assertEqual(chosen(slice_of="1/2", max_files=2), ["3", "20"])

    def test_select_takes_a_company_named_by_hand_known_or_not(self):
        for company_id, rows in [("100", 2), ("20", None), ("777", 0)]:
            with self.subTest(company_id=company_id):
                self.assertEqual(
                    select(ROWS, a_selection(company_id=company_id)),
                    (PlannedCompany(company_id=company_id, rows=rows),),
                )
        self.assertEqual(chosen(company_ids=("1000", "777", "20")), ["20", "777", "1000"])

    @settings(deadline=None)  # a loaded machine is no failure
    @given(st.dictionaries(st.integers(1, 10**12).map(str), st.integers(1, 100)), st.integers(1, 12))
    def test_select_makes_parts_that_share_nothing_and_leave_nothing(self, rows, n):
        parts = [select(rows, a_selection(slice_of=f"{k}/{n}")) for k in range(1, n + 1)]

        together = [company.company_id for part in parts for company in part]
        self.assertEqual(sorted(together), sorted(rows))
        self.assertLessEqual(max(map(len, parts)) - min(map(len, parts)), 1)


def companies(*rows: int | None) -> list[PlannedCompany]:
    return [PlannedCompany(company_id=str(number), rows=count) for number, count in enumerate(rows)]


class CompanyNamed(unittest.TestCase):
    names = (("1", "Acme Inc"), ("2", "Acme Devices"), ("3", "Bolt\x1b[31m"), ("4", "Acme Inc. of Ohio"))

    def test_is_the_one_of_that_name_or_the_only_one_that_has_the_text(self):
        for text, company_id in (("acme inc", "1"), ("devices", "2"), ("BOLT", "3"), ("ohio", "4")):
            with self.subTest(text):
                self.assertEqual(company_named(self.names, text), company_id)

    def test_is_listed_with_others_that_have_the_text(self):
        with self.assertRaisesRegex(UsageError, "3 companies are called like 'acme': 1 Acme Inc, 2 Acme Devices, 4"):
            company_named(self.names, "acme")
        with self.assertRaisesRegex(UsageError, "9 companies .* and 1 more. Give --company-id."):
            company_named([(str(number), "Acme") for number in range(9)], "acme")

    def test_must_be_there(self):
        with self.assertRaisesRegex(NotFoundError, "no company is called 'pfizer'"):
            company_named(self.names, "pfizer")


class ForecastNumbers(unittest.TestCase):
    def test_a_forecast_counts_two_requests_a_slice_and_one_a_window_with_two_counts_for_a_cut_slice(self):
        for rows, windows, requests in [(0, 1, 2), (None, 1, 2), (60_000, 1, 2), (60_001, 2, 4), (180_000, 3, 5)]:
            with self.subTest(rows=rows):
                found = forecast(GENERAL, companies(rows), set(), streams=1)
                self.assertEqual((found.windows, found.requests), (windows, requests))

    def test_the_numbers_of_a_forecast_take_the_size_of_a_row_and_the_windows_from_the_dataset(self):
        for dataset, windows, bytes_ in [
            (GENERAL, 2, 34_320_572),
            (RESEARCH, 2, 57_480_958),
            (OWNERSHIP, 1, 22_800_380),
        ]:
            with self.subTest(dataset=dataset.name):
                found = forecast(dataset, companies(60_001), set(), streams=1)
                self.assertEqual((found.windows, found.bytes), (windows, bytes_))

    def test_the_numbers_of_a_forecast_leave_out_what_is_proved(self):
        self.assertEqual(
            forecast(GENERAL, companies(1000, 500, 250), {"1"}, streams=1),
            Forecast(
                companies=3, already_proved=1, rows=1250, windows=2, requests=4, bytes=715_000,
                seconds=round(715_000 / 2_000_000 + 4 * 2.0, 1),
            ),
        )  # fmt: skip

    def test_the_numbers_of_a_forecast_share_the_time_among_the_streams(self):
        one, four = (forecast(GENERAL, companies(*[10_000] * 4), set(), streams=streams).seconds for streams in (1, 4))

        self.assertEqual((one, four), (27.4, 6.9))

    def test_the_numbers_of_a_forecast_know_that_one_window_cannot_be_shared(self):
        for rows, seconds in [(60_000, 17.2), (120_000, 17.2)]:  # 60,000 rows of 572 bytes at 2 MB/s
            with self.subTest(rows=rows):
                self.assertEqual(forecast(GENERAL, companies(rows, 1), set(), streams=64).seconds, seconds)

    def test_the_numbers_of_a_forecast_are_zero_where_nothing_is_left(self):
        nothing = Forecast(companies=1, already_proved=1, rows=0, windows=0, requests=0, bytes=0, seconds=0.0)

        self.assertEqual(forecast(GENERAL, companies(5), {"0"}, streams=8), nothing)


class Describe(unittest.TestCase):
    def test_describe_says_a_selection_in_words(self):
        cases: list[tuple[dict[str, Any], str]] = [
            ({}, "general-payments 2024, all companies"),
            ({"company_id": "53"}, "general-payments 2024, company 53"),
            ({"company_ids": ("53", "7", "-1")}, "general-payments 2024, companies 7, '-1' (x2d31 in keys), 53"),
            (
                {"company_ids": tuple(map(str, range(1, 11)))},
                "general-payments 2024, companies 1, 2, 3, 4, 5, 6, 7, 8 and 2 more",
            ),
            ({"max_files": 20}, "general-payments 2024, the first 20 companies"),
            ({"slice_of": "2/4"}, "general-payments 2024, all companies, part 2/4 of them"),
            ({"slice_of": "2/4", "max_files": 3}, "general-payments 2024, the first 3 companies, part 2/4 of them"),
            ({"rerun_of": "r1", "rerun_what": "failed"}, "general-payments 2024, what run r1 left failed"),
        ]
        for selection, words in cases:
            with self.subTest(selection=selection):
                self.assertEqual(describe(a_selection(**selection)), words)

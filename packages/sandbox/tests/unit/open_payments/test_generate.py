"""Rows are like the real ones: widths, shares, dates, amounts, ids (facts 3.1, 3.3)."""

from __future__ import annotations

from collections import Counter
from datetime import date
from statistics import median, quantiles
from unittest import TestCase

from sandbox.open_payments.columns import columns, load_json, position
from sandbox.open_payments.generate import NOTHING, Codes, Edit, assemble, published
from sandbox.open_payments.slices import Slice

ROWS = 40_000


def first(company: str, ids: range, year: int = 2024, seed: int = 7) -> Codes:
    return published(seed, year, company, NOTHING, Edit(0, removed=0, changed=0, new_ids=ids))


def made(company: str = "100000000053", rows: int = ROWS, seed: int = 7) -> Slice:
    return assemble(seed, 2024, company, first(company, range(rows), seed=seed), date(2025, 6, 30))


class ShapeTest(TestCase):
    rows: Slice

    @classmethod
    def setUpClass(cls):
        cls.rows = made()

    def column(self, title: str) -> list[str]:
        return self.rows.texts(position("general", title))

    def test_a_row_has_the_average_length_of_the_file(self):
        """Facts 3.3: some 565 bytes."""
        body, offsets = self.rows.body("B")
        self.assertEqual((len(offsets), offsets[-1]), (ROWS + 1, len(body)))
        self.assertTrue(520 <= len(body) / ROWS <= 600, len(body) / ROWS)

    def test_columns_are_as_often_empty_as_in_the_real_file(self):
        """PY2025, all 16,131,856 rows; a payer's own products may stray a little."""
        shares = load_json("empty_shares.json")
        for column in columns("general"):
            empty = self.column(column.title).count("") / ROWS
            with self.subTest(column=column.title, empty=empty):
                product = column.title.endswith(("_1", "_2", "_3", "_4", "_5")) and "Primary" not in column.title
                self.assertAlmostEqual(empty, shares[column.title], delta=0.12 if product else 0.025)

    def test_natures_forms_and_types_have_their_shares(self):
        """Facts 3.1."""
        natures = Counter(self.column("Nature_of_Payment_or_Transfer_of_Value"))
        self.assertAlmostEqual(natures["Food and Beverage"] / ROWS, 0.9152, delta=0.015)
        self.assertEqual(len(natures), 17)
        kinds = Counter(self.column("Covered_Recipient_Type"))
        self.assertAlmostEqual(kinds["Covered Recipient Non-Physician Practitioner"] / ROWS, 0.37, delta=0.02)
        self.assertAlmostEqual(Counter(self.column("Form_of_Payment_or_Transfer_of_Value"))
                               ["Cash or cash equivalent"] / ROWS, 0.13, delta=0.1)  # fmt: skip

    def test_amounts_are_small_with_a_long_tail(self):
        """Facts 3.1: quartiles 15.79, 21.16, 30.12; two places, always above zero."""
        texts = self.column("Total_Amount_of_Payment_USDollars")
        amounts = list(map(float, texts))
        low, middle, high = quantiles(amounts, n=4)
        self.assertTrue(13 <= low <= 18, low)
        self.assertTrue(18 <= middle <= 24, middle)
        self.assertTrue(24 <= high <= 36, high)
        self.assertGreater(min(amounts), 0)
        self.assertGreater(max(amounts), 20_000)
        self.assertTrue(all(text[-3] == "." for text in texts))

    def test_dates_follow_the_months_and_stand_in_the_order_of_their_text(self):
        """Facts 3.1: rows per month; 11/30/0002 sorts among the days of November."""
        texts = self.column("Date_of_Payment")
        self.assertTrue(texts == sorted(texts))
        months = Counter(text[:2] for text in texts)
        real = load_json("pools.json")["months"]
        for month, rows in enumerate(real, 1):
            with self.subTest(month=month):
                self.assertAlmostEqual(months[f"{month:02d}"] / ROWS, rows / sum(real), delta=0.01)
        self.assertEqual({text[6:] for text in texts}, {"2024", "0002"})

    def test_a_person_appears_at_more_than_one_address(self):
        addresses: dict[str, set[str]] = {}
        lines = self.column("Recipient_Primary_Business_Street_Address_Line1")
        for profile, line in zip(self.column("Covered_Recipient_Profile_ID"), lines, strict=True):
            addresses.setdefault(profile, set()).add(line)
        self.assertGreater(len(addresses), 3_000)
        self.assertEqual(median(len(known) for known in addresses.values()), 2)

    def test_a_row_read_singly_is_the_row_of_the_file(self):
        line = bytes(self.rows.body("B")[0][: self.rows.body("B")[1][1]])
        self.assertEqual(line.count(b"\n"), 1)
        self.assertEqual(len(self.rows.row(0)), 91)


class IdsTest(TestCase):
    def test_ids_do_not_follow_the_dates(self):
        ids = made(rows=100).texts(position("general", "Record_ID"))
        self.assertTrue(ids != sorted(ids))

    def test_the_same_seed_makes_the_same_bytes(self):
        self.assertEqual(bytes(made(rows=50).body("A")[0]), bytes(made(rows=50).body("A")[0]))
        self.assertNotEqual(bytes(made(rows=50).body("A")[0]), bytes(made(rows=50, seed=8).body("A")[0]))

    def test_every_hard_row_is_in_two_thousand(self):
        """One of each kind, whatever the company."""
        hard = set(load_json("pools.json")["hard_contexts"].values())
        for company in ("100000000053", "100000000204", "100001451204"):
            slice_ = made(company, 2_000)
            with self.subTest(company=company):
                self.assertEqual(hard - set(slice_.texts(position("general", "Contextual_Information"))), set())
                self.assertTrue("11/30/0002" in slice_.texts(position("general", "Date_of_Payment")))
                for title in ("Covered_Recipient_NPI", "Recipient_State"):
                    self.assertTrue("" in slice_.texts(position("general", title)))
                self.assertTrue("Canada" in slice_.texts(position("general", "Recipient_Country")))


class EditTest(TestCase):
    def test_an_edit_does_what_it_says(self):
        before, new = first("100000000053", range(1_000)), range(1_000, 1_060, 2)
        after = published(7, 2024, "100000000053", before, Edit(1, removed=100, changed=20, new_ids=new))
        self.assertEqual(Counter(after.mark), {3: 880, 2: 20, 1: 30})
        self.assertEqual(len(set(after.record) & set(before.record)), 900)
        self.assertEqual(set(after.record) - set(before.record), set(new))
        self.assertEqual(list(after.date), sorted(after.date))

    def test_a_publication_without_an_edit_changes_only_marks(self):
        before = first("100000000053", range(50))
        after = published(7, 2024, "100000000053", before, Edit(1, 0, 0, range(0)))
        self.assertEqual(before[1:], after[1:])
        self.assertEqual(set(after.mark), {3})

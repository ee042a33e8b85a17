"""Rows are like the real ones: widths, shares, dates, amounts, ids (facts 3.1, 3.3)."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import date
from itertools import product
from statistics import median, quantiles
from unittest import TestCase

from sandbox.open_payments.columns import columns, load_json, position
from sandbox.open_payments.csv_dialect import record
from sandbox.open_payments.datasets import DATASETS
from sandbox.open_payments.generate import Codes, Edit, assemble, nothing, published
from sandbox.open_payments.slices import Slice

ROWS = 40_000


def first(company: str, ids: range, seed: int = 7, name: str = "general") -> Codes:
    dataset = DATASETS[name]
    return published(dataset, seed, 2024, company, nothing(dataset), Edit(0, removed=0, changed=0, new_ids=ids))


def made(
    company: str = "100000000053",
    rows: int = ROWS,
    seed: int = 7,
    name: str = "general",
    modified: date = date(2025, 6, 30),
) -> Slice:
    codes = first(company, range(rows), seed=seed, name=name)
    return assemble(DATASETS[name], seed, 2024, company, codes, modified)


class GeneralTest(TestCase):
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
                of_a_product = column.title.endswith(("_1", "_2", "_3", "_4", "_5")) and "Primary" not in column.title
                self.assertAlmostEqual(empty, shares[column.title], delta=0.12 if of_a_product else 0.025)

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


class ResearchTest(TestCase):
    rows: Slice

    @classmethod
    def setUpClass(cls):
        cls.rows = made(rows=4_000, name="research")

    def column(self, title: str) -> list[str]:
        return self.rows.texts(position("research", title))

    def test_a_row_has_the_columns_of_the_header_and_the_average_length_of_the_file(self):
        """Facts 3.3, 3.4: 1,034,644,732 bytes for 1,080,157 rows of PY2023."""
        self.assertEqual(len(self.rows.row(0)), 252)
        self.assertTrue(900 <= len(self.rows.body("B")[0]) / 4_000 <= 1_020, len(self.rows.body("B")[0]) / 4_000)

    def test_each_kind_of_recipient_fills_its_own_columns(self):
        kinds = self.column("Covered_Recipient_Type")
        self.assertEqual(len(set(kinds)), 4)
        for title, kind in (
            ("Noncovered_Recipient_Entity_Name", "Non-covered Recipient Entity"),
            ("Teaching_Hospital_CCN", "Covered Recipient Teaching Hospital"),
        ):
            with self.subTest(title=title):
                filled = [text != "" for text in self.column(title)]
                self.assertEqual(filled, [one == kind for one in kinds])

    def test_most_rows_name_one_investigator_and_some_five(self):
        named = [
            sum(texts != "" for texts in row)
            for row in zip(
                *(self.column(f"Principal_Investigator_{number}_Last_Name") for number in range(1, 6)), strict=True
            )
        ]
        self.assertEqual(set(named), {0, 1, 2, 3, 4, 5})
        self.assertAlmostEqual(named.count(1) / 4_000, 0.86, delta=0.03)

    def test_dates_and_amounts_are_written_as_in_general_payments(self):
        dates = self.column("Date_of_Payment")
        self.assertEqual(dates, sorted(dates))
        self.assertEqual({text[6:] for text in dates}, {"2024", "0002"})
        for text in self.column("Total_Amount_of_Payment_USDollars"):
            self.assertRegex(text, r"^\d+\.\d\d$")

    def test_a_payer_has_its_own_studies(self):
        here, there = (
            set(made(company, 400, name="research").texts(position("research", "Name_of_Study")))
            for company in ("100000000053", "100000000066")
        )
        self.assertLess(len(here), 60)
        self.assertNotEqual(here, there)


class OwnershipTest(TestCase):
    rows: Slice

    @classmethod
    def setUpClass(cls):
        cls.rows = made(rows=2_000, name="ownership")

    def column(self, title: str) -> list[str]:
        return self.rows.texts(position("ownership", title))

    def test_a_row_has_the_columns_of_the_header(self):
        """Facts 3.5."""
        row = dict(zip([column.title for column in columns("ownership")], self.rows.row(0), strict=True))
        self.assertEqual((row["Change_Type"], row["Payment_Publication_Date"]), ("NEW", "06/30/2025"))
        self.assertEqual(row["Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"], "100000000053")
        self.assertEqual(row["Program_Year"], "2024")
        self.assertIn("|", row["Physician_Specialty"])

    def test_amounts_have_two_places_and_may_be_zero_where_nothing_was_invested(self):
        invested, values = self.column("Total_Amount_Invested_USDollars"), self.column("Value_of_Interest")
        self.assertTrue(all(text[-3] == "." for text in invested + values))
        self.assertAlmostEqual(invested.count("0.00") / 2_000, 0.4, delta=0.05)
        self.assertTrue(all(float(text) > 0 for text in values))

    def test_holders_are_physicians_or_their_family(self):
        holders = Counter(self.column("Interest_Held_by_Physician_or_an_Immediate_Family_Member"))
        self.assertEqual(holders.keys(), {"Physician Covered Recipient", "Immediate family member"})


class EveryDatasetTest(TestCase):
    def test_every_column_has_a_value_in_every_row(self):
        for name in DATASETS:
            rows = made(rows=30, name=name)
            with self.subTest(dataset=name):
                self.assertEqual({len(rows.row(at)) for at in range(30)}, {len(columns(name))})

    def test_datasets_of_one_seed_draw_apart_from_each_other(self):
        names = [
            made(rows=50, name=name).texts(position(name, title))
            for name, title in (("general", "Covered_Recipient_Last_Name"), ("ownership", "Physician_Last_Name"))
        ]
        self.assertNotEqual(*names)

    def test_the_content_hash_ignores_the_mark_and_the_publication_date_and_nothing_else(self):
        """They are the first and the last column of two datasets; in research three columns follow."""
        for name in DATASETS:
            with self.subTest(dataset=name):
                before = made(rows=40, name=name)
                self.assertEqual(before.content_hash, made(rows=40, name=name, modified=date(2026, 1, 23)).content_hash)
                volatile = {position(name, "Change_Type"), position(name, "Payment_Publication_Date")}
                total = 0
                for at in range(40):
                    kept = [text for column, text in enumerate(before.row(at)) if column not in volatile]
                    total += int.from_bytes(hashlib.sha256(record(kept, "B")).digest(), "big")
                self.assertEqual(before.content_hash, f"{total % 2**256:064x}")


class IdsTest(TestCase):
    def test_ids_do_not_follow_the_dates(self):
        ids = made(rows=100).texts(position("general", "Record_ID"))
        self.assertTrue(ids != sorted(ids))

    def test_the_same_seed_makes_the_same_bytes(self):
        self.assertEqual(bytes(made(rows=50).body("A")[0]), bytes(made(rows=50).body("A")[0]))
        self.assertNotEqual(bytes(made(rows=50).body("A")[0]), bytes(made(rows=50, seed=8).body("A")[0]))

    def test_every_hard_row_is_in_two_thousand(self):
        """One of each kind, whatever the company."""
        hard = set(load_json("pools.json")["hard_texts"].values())
        texts = dict(zip(DATASETS, ("Contextual_Information", "Context_of_Research", "Terms_of_Interest"), strict=True))
        for name, company in product(DATASETS, ("100000000053", "100000000204", "100001451204")):
            rows = made(company, 2_000, name=name)
            with self.subTest(dataset=name, company=company):
                self.assertEqual(hard - set(rows.texts(position(name, texts[name]))), set())
                npi = "Physician_NPI" if name == "ownership" else "Covered_Recipient_NPI"
                for title in (npi, "Recipient_State"):
                    self.assertTrue("" in rows.texts(position(name, title)))
                self.assertTrue("Canada" in rows.texts(position(name, "Recipient_Country")))
                if name != "ownership":
                    self.assertTrue("11/30/0002" in rows.texts(position(name, "Date_of_Payment")))


class EditTest(TestCase):
    def test_an_edit_does_what_it_says(self):
        for name, dataset in DATASETS.items():
            before, new = first("100000000053", range(1_000), name=name), range(1_000, 1_060, 2)
            edit = Edit(1, removed=100, changed=20, new_ids=new)
            after = published(dataset, 7, 2024, "100000000053", before, edit)
            with self.subTest(dataset=name):
                self.assertEqual(Counter(after["mark"]), {3: 880, 2: 20, 1: 30})
                self.assertEqual(len(set(after["record"]) & set(before["record"])), 900)
                self.assertEqual(set(after["record"]) - set(before["record"]), set(new))
                self.assertEqual(list(after[dataset.sorted_by]), sorted(after[dataset.sorted_by]))

    def test_a_publication_without_an_edit_changes_only_marks(self):
        before = first("100000000053", range(50))
        after = published(DATASETS["general"], 7, 2024, "100000000053", before, Edit(1, 0, 0, range(0)))
        self.assertEqual({**before, "mark": after["mark"]}, after)
        self.assertEqual(set(after["mark"]), {3})

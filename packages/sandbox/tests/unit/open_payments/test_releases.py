"""Publications as numbers: how rows are spread, how ids and dates go on (facts 1.8, 2.5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from unittest import TestCase

from hypothesis import given
from hypothesis import strategies as st

from sandbox.open_payments.datasets import DATASETS
from sandbox.open_payments.releases import apportioned, first_release, next_release

GENERAL = DATASETS["general"]
ROWS = st.dictionaries(st.text("0123456789", min_size=1, max_size=3), st.integers(0, 500), max_size=20)


class ApportionedTest(TestCase):
    @given(ROWS, st.floats(0, 1))
    def test_shares_sum_up_and_fit(self, rows, share):
        wanted = round(sum(rows.values()) * share)
        parts = apportioned(rows, wanted)
        self.assertEqual(sum(parts.values()), wanted if any(rows.values()) else 0)
        self.assertTrue(all(0 <= part <= rows[company] for company, part in parts.items()))


class NextReleaseTest(TestCase):
    def test_a_float_is_a_share_and_an_int_a_number(self):
        first = first_release(GENERAL, 2024, {"a": 900, "b": 100})
        for removed, added, total in ((0.1, 0.02, 920), (1, 3, 1002), (0, 0, 1000), (1.0, 0, 0), (5_000, 1, 1)):
            with self.subTest(removed=removed, added=added):
                self.assertEqual(sum(next_release(first, removed=removed, added=added).rows.values()), total)

    def test_publications_come_in_june_and_january(self):
        release = first_release(GENERAL, 2024, {"a": 1})
        dates = []
        for _ in range(3):
            dates.append(release.modified)
            release = next_release(release)
        self.assertEqual(dates, [date(2025, 6, 30), date(2026, 1, 23), date(2026, 6, 30)])

    def test_every_publication_has_a_distribution_id_of_its_own(self):
        """UUID version 5; also where two fall on one day."""
        first = first_release(GENERAL, 2024, {"a": 1})
        second = next_release(first)
        third = replace(second, number=2)
        ids = [release.distribution_id for release in (first, second, third)]
        self.assertEqual(len(set(ids)), 3)
        self.assertTrue(all(identifier[14] == "5" for identifier in ids))
        others = {first_release(dataset, 2024, {"a": 1}).distribution_id for dataset in DATASETS.values()}
        self.assertEqual(len(others), 3)
        self.assertRegex(first.file["downloadURL"], r"PGYR2024_P06302025_\d{8}/OP_DTL_GNRL_PGYR2024_P06302025")

    def test_new_ids_are_never_given_twice(self):
        release = first_release(GENERAL, 2024, {"a": 1_000, "b": 1_000})
        given: list[int] = []
        for _ in range(3):
            release = next_release(release, added=0.1)
            for edit in release.edits.values():
                given += edit.new_ids
        self.assertEqual(len(given), len(set(given)))
        self.assertEqual(len(given), 200 + 220 + 242)

    def test_a_half_imported_release_shows_half_of_every_payer(self):
        release = next_release(first_release(GENERAL, 2024, {"a": 900, "b": 100, "c": 0}), imported_share=0.5)
        self.assertEqual(release.visible, {"a": 450, "b": 50})
        release.imported_share = 1.0
        self.assertEqual(release.visible, {"a": 900, "b": 100})

    def test_ids_of_payers_years_and_datasets_never_meet(self):
        first = [
            first_release(dataset, year, {"a": 40_000, "b": 40_000})
            for dataset in DATASETS.values()
            for year in (2023, 2024)
        ]
        given = [edit.new_ids for release in first for edit in release.edits.values()]
        self.assertEqual(len({number for ids in given for number in ids}), 480_000)

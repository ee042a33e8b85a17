"""The world of payers: real skew, and the restrictions of a world (facts 2.3, 3.3)."""

from __future__ import annotations

from unittest import TestCase

from sandbox.open_payments.companies import directory, payer
from sandbox.open_payments.settings import Settings


class DirectoryTest(TestCase):
    def test_the_real_years_have_their_real_totals(self):
        """Facts 3.3: rows and companies of the domestic list."""
        years = {2018: (10_907_296, 1_488), 2020: (5_824_763, 1_497), 2024: (15_329_488, 1_550)}
        found = directory(Settings(years=tuple(years), scale=1.0, extra_payers=False)).rows
        for year, expected in years.items():
            counts = found["general", year].values()
            with self.subTest(year=year):
                self.assertEqual((sum(counts), sum(map(bool, counts))), expected)
        self.assertEqual(max(found["general", 2024].values()), 1_720_871)

    def test_scaled_rows_are_rounded_up(self):
        rows = directory(Settings(scale=0.01, companies=("100000000053", "100001451204"))).rows["general", 2024]
        self.assertEqual(rows, {"100000000053": 2_166, "100001451204": 1})

    def test_the_first_companies_are_those_with_rows(self):
        world = directory(Settings(first_companies=20))
        rows = world.rows["general", 2024]
        self.assertEqual(len(rows), 20)
        self.assertEqual(list(rows), sorted(rows))
        self.assertTrue(all(rows.values()))
        self.assertNotIn("100000000055", rows)  # it paid nothing in 2024
        self.assertIn("100000000055", world.listed)

    def test_extra_payers_come_by_default_only_without_a_restriction(self):
        for settings, abroad in (
            (Settings(), True),
            (Settings(first_companies=3), False),
            (Settings(first_companies=3, extra_payers=True), True),
            (Settings(extra_payers=False), False),
        ):
            world = directory(settings)
            with self.subTest(settings=settings):
                rows = world.rows["general", 2024]
                foreign = [company for company in rows if payer(company)[-1] != "United States"]
                self.assertEqual(len(foreign), 180 if abroad else 0)
                unlisted = [company for company in rows if company not in world.listed]
                self.assertEqual(len(unlisted), 5 if abroad else 0)

    def test_a_year_beyond_the_data_borrows_the_nearest(self):
        rows = directory(Settings(years=(2024, 2025), first_companies=3)).rows
        for name in ("general", "research", "ownership"):
            with self.subTest(dataset=name):
                self.assertEqual(rows[name, 2024], rows[name, 2025])

    def test_given_rows_are_taken_as_they_are_in_every_dataset_or_by_dataset(self):
        world = directory(Settings(company_rows={"7": 3, "5": 0, "6": {"research": 9}}))
        self.assertEqual(world.rows["general", 2024], {"5": 0, "6": 0, "7": 3})
        self.assertEqual(world.rows["research", 2024], {"5": 0, "6": 9, "7": 3})
        self.assertEqual(world.listed, ["5", "6", "7"])

    def test_few_payers_have_research_and_fewer_have_ownership(self):
        """Facts 3.3: 817,215 and 4,593 rows of PY2024; the shares of payers are guesses."""
        found = directory(Settings(scale=1.0)).rows
        for name, rows, payers in (("research", 817_215, (500, 800)), ("ownership", 4_593, (120, 250))):
            counts = [count for count in found[name, 2024].values() if count]
            with self.subTest(dataset=name):
                self.assertAlmostEqual(sum(counts) / rows, 1, delta=0.02)
                self.assertTrue(payers[0] < len(counts) < payers[1], len(counts))
        general, research = found["general", 2024], found["research", 2024]
        nothing_else = [key for key, count in research.items() if count and not general[key]]
        self.assertTrue(0 < len(nothing_else) < 100, len(nothing_else))

    def test_a_restricted_world_has_research_and_ownership_of_its_own_payers_only(self):
        world = directory(Settings(first_companies=20))
        for name in ("research", "ownership"):
            with self.subTest(dataset=name):
                payers = {company for company, count in world.rows[name, 2024].items() if count}
                self.assertTrue(payers)
                self.assertTrue(payers < world.rows["general", 2024].keys())

    def test_only_the_datasets_chosen_exist(self):
        self.assertEqual(list(directory(Settings(datasets=("research",))).rows), [("research", 2024)])
        with self.assertRaisesRegex(ValueError, "general, research, ownership"):
            directory(Settings(datasets=("gifts",)))

    def test_names_have_commas_and_ampersands(self):
        names = [payer(company)[0] for company in directory(Settings()).listed]
        self.assertGreater(sum("," in name for name in names), 500)
        self.assertGreater(sum("&" in name for name in names), 200)

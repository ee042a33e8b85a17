from typing import Any

from data_pipeline.jobs import resolve_ids
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.run import run
from data_pipeline.open_payments.source.catalogue import Catalogue
from data_pipeline.wiring import Services
from etl_core.errors import NotFoundError, UsageError
from packages.data_pipeline.tests.unit.fakes import World, a_selection, dataset_id_of
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase
from packages.data_pipeline.tests.unit.jobs.context_case import ContextCase


class Resolve(ContextCase):
    def resolve(self, *years: int, refresh: bool = False) -> dict[str, Any]:
        self.site.asked.clear()
        self.ran = self.context()
        return resolve_ids.resolve(self.ran, "general-payments", years, refresh=refresh)

    def test_gives_the_ids_of_all_years_and_says_which_are_missing(self):
        older = self.site.publish(2023)
        self.site.unpublished[2025] = dataset_id_of(2025)

        fact = self.resolve()

        self.assertEqual(fact["status"], "resolved")
        self.assertEqual(
            fact["years"],
            {
                str(one.year): {
                    "dataset_id": one.dataset_id,
                    "distribution_id": one.distribution_id,
                    "modified": "2026-06-30",
                }
                for one in (older, self.table)
            },
        )
        self.assertEqual(list(fact["unresolved"]), ["2025"])
        self.assertEqual((self.ran._stores_log, bool(self.ran.run_id)), (True, True))

    def test_asks_nothing_while_its_cache_is_fresh(self):
        self.site.publish(2023)
        first = self.resolve()

        for years, found in [((), ["2023", "2024"]), ((2023,), ["2023"])]:
            fact = self.resolve(*years)
            with self.subTest(years=years):
                self.assertEqual((fact["status"], list(fact["years"]), self.site.asked), ("cached", found, []))
                self.assertEqual(fact["years"]["2023"], first["years"]["2023"])
                self.assertFalse(self.ran._stores_log)
        self.assertEqual(self.resolve(refresh=True)["status"], "resolved")
        self.world.later(days=8)
        self.assertEqual(self.resolve()["status"], "resolved")

    def test_does_not_take_the_year_of_a_run_for_all(self):
        self.site.publish(2023)
        run(self.world, a_selection())

        fact = self.resolve()

        self.assertEqual((fact["status"], list(fact["years"])), ("resolved", ["2023", "2024"]))

    def test_asks_where_one_of_the_years_is_not_cached(self):
        self.site.publish(2023)
        run(self.world, a_selection())

        self.assertEqual(self.resolve(2024)["status"], "cached")
        self.assertEqual(list(self.resolve(2023, 2024)["years"]), ["2023", "2024"])
        self.assertIn("catalogue", self.site.kinds())

    def test_fails_loudly_for_a_year_that_is_none_or_not_out_yet(self):
        self.site.unpublished[2025] = dataset_id_of(2025)

        with self.assertRaises(UsageError) as caught:
            self.resolve(2024, 2011, 2012)
        self.assertEqual(
            str(caught.exception), "the source has no program year 2011, 2012 of general-payments; it has 2024."
        )
        with self.assertRaisesRegex(NotFoundError, "2025 of general-payments is listed .* but not published"):
            self.resolve(2024, 2025)
        self.assertEqual(list(self.resolve(2024)["years"]), ["2024"])

    def test_keeps_the_run_id_it_is_given(self):
        context = self.context("mine")

        resolve_ids.resolve(context, "general-payments", (), refresh=False)

        self.assertEqual(context.run_id, "mine")


class TheCommand(CommandCase):
    def test_answers_from_a_fresh_cache(self):
        world = World()
        self.addCleanup(world.close)
        world.site.publish(2024)
        world.site.publish(2023)
        Catalogue(world.source, self.store, Services.now).resolve_all(GENERAL)

        for words, years in [([], ["2023", "2024"]), (["--year", "2024"], ["2024"]),
                             (["--year", "2024", "--year", "2023"], ["2023", "2024"])]:  # fmt: skip
            with self.subTest(words=words):
                status, fact, _ = self.run_job("resolve_ids", *words, "--run-id", "r7")
                self.assertEqual((status, fact["status"], list(fact["years"])), (0, "cached", years))
                self.assertEqual((fact["job"], fact["run_id"], fact["requests"]), ("resolve_ids", "r7", 0))

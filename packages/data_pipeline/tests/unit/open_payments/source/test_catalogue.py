import json
from datetime import datetime, timedelta
from typing import Any

from data_pipeline.lake_layout.open_payments import DATASET_IDS_CACHE
from data_pipeline.open_payments.datasets import DATASETS, GENERAL, RESEARCH
from data_pipeline.open_payments.source.catalogue import (
    Catalogue,
    Listed,
    ListedYear,
    ResolvedRelease,
    listed_in_catalogue,
    listed_in_script,
    only_one,
)
from etl_core.errors import BlockedError, DataError, NotFoundError, UnavailableError, UnreachableError, UsageError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    START,
    WorldCase,
    a_release,
    blocks,
    dataset_id_of,
    nobody_answers,
    payments,
    replaces,
    says,
    sends,
)

ONE_ID = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
TWIN_ID = "fb3a65aa-c901-4a38-a813-b04b00dfa2a9"


class ListedInCatalogue(WorldCase):
    def years(self, **item: Any) -> Listed:
        real = {"title": "2024 General Payment Data", "identifier": ONE_ID, "modified": "2026-06-30"}
        return listed_in_catalogue(GENERAL, [real | item])

    def test_the_catalogue_finds_the_general_payments_of_a_year(self):
        listed = (ListedYear(ONE_ID, "2026-06-30", "catalogue"),)
        for title in ("2024 General Payment Data", " 2024 General Payment Data\n", "2024 \u2013 General Payment Data"):
            with self.subTest(title=title):
                self.assertEqual(self.years(title=title), {2024: listed})
        self.assertEqual(self.years(identifier=ONE_ID.upper()), {2024: listed})

    def test_the_catalogue_ignores_other_datasets(self):
        for title in (
            "2024 Research Payment Data",
            "2024 Ownership Payment Data",
            "General Payment Data - Detailed Dataset 2024 Reporting Year",
            "General Payment Data \u2013 Detailed Dataset 2024 Reporting Year",
            "2024 General Payment Data - Teaching hospitals",
            "2024 General Payment Data \u2013 Teaching hospitals",
            "All of 2024 General Payment Data",
            "224 General Payment Data",
            "",
            None,
        ):
            with self.subTest(title=title):
                self.assertEqual(self.years(title=title), {})
        self.assertEqual(listed_in_catalogue(GENERAL, [{}]), {})

    def test_the_catalogue_ignores_a_dataset_without_an_id_that_is_one(self):
        for identifier in ("", None, "md5__1", ONE_ID + "0", f"{ONE_ID}/../x"):
            with self.subTest(identifier=identifier):
                self.assertEqual(self.years(identifier=identifier), {})

    def test_the_catalogue_reads_the_day_of_a_date_and_of_a_moment(self):
        for modified, day in [
            ("2026-06-30", "2026-06-30"),
            ("2026-06-30T13:45:00+00:00", "2026-06-30"),
            ("2026-06-30T13:45:00", "2026-06-30"),
            (" 2026-06-30 ", "2026-06-30"),
            ("2026-06-30 13:45", ""),
            ("06/30/2026", ""),
            ("2026-06-300", ""),
            ("", ""),
            (None, ""),
        ]:
            with self.subTest(modified=modified):
                self.assertEqual([one.modified for one in self.years(modified=modified)[2024]], [day])

    def test_the_catalogue_does_not_need_a_date(self):
        listed = listed_in_catalogue(GENERAL, [{"title": "2024 General Payment Data", "identifier": ONE_ID}])

        self.assertEqual(listed, {2024: (ListedYear(ONE_ID, "", "catalogue"),)})


class OnlyOne(WorldCase):
    """Two datasets of one title: nothing says which of them holds the year."""

    def test_a_dataset_listed_twice_is_one(self):
        listed = listed_in_catalogue(GENERAL, [{"title": "2024 General Payment Data", "identifier": ONE_ID}] * 2)

        self.assertEqual(only_one(GENERAL, 2024, listed).dataset_id, ONE_ID)

    def test_two_datasets_of_one_year_are_refused_and_both_named_by_either_route(self):
        twins = [
            {"title": title, "identifier": one}
            for title, one in [("2024 General Payment Data", ONE_ID), ("2024 \u2013 General Payment Data", TWIN_ID)]
        ]
        block = f'[{{type:"generalPayments",id:"{ONE_ID}"}},{{type:"generalPayments",id:"{TWIN_ID}"}}]'
        for route, listed in [
            ("catalogue", listed_in_catalogue(GENERAL, twins)),
            ("script", listed_in_script(GENERAL, f"PGYR2024:{block}")),
        ]:
            with (
                self.subTest(route),
                self.assertRaisesRegex(
                    DataError, f"the {route} lists 2 datasets as 2024 of general-payments: {ONE_ID} and {TWIN_ID}"
                ),
            ):
                only_one(GENERAL, 2024, listed)


class ListedInScript(WorldCase):
    def test_the_script_finds_the_general_payments_of_each_year(self):
        script = (
            f'x={{PGYR2023:[{{type:"generalPayments",id:"{ONE_ID.upper()}"}},{{type:"researchPayments",id:"r"}}],'
            f'PGYR2024 : [ {{ type : "generalPayments" , id : "{dataset_id_of(2024)}" }}]}}'
        )

        self.assertEqual(
            listed_in_script(GENERAL, script),
            {2023: (ListedYear(ONE_ID, "", "script"),), 2024: (ListedYear(dataset_id_of(2024), "", "script"),)},
        )

    def test_the_script_ignores_anything_else(self):
        for script in (
            "",
            f'PGYR2024:[{{type:"researchPayments",id:"{ONE_ID}"}}]',
            'PGYR2024:[{type:"generalPayments",id:"soon"}]',
            f'PGYR24:[{{type:"generalPayments",id:"{ONE_ID}"}}]',
        ):
            with self.subTest(script=script):
                self.assertEqual(listed_in_script(GENERAL, script), {})


class CatalogueCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.catalogue = Catalogue(self.world.source, self.store, self.world.now)
        self.table = self.site.publish(2024, payments(COMPANY, 3))

    def resolve_again(self, year: int) -> ResolvedRelease:
        """As if nothing had been cached."""
        self.store.delete(DATASET_IDS_CACHE)
        return self.catalogue.resolve(GENERAL, year)

    def kinds_of(self, *years: int) -> list[str]:
        """What is asked to resolve."""
        self.site.asked.clear()
        for year in years or (2024,):
            self.catalogue.resolve(GENERAL, year)
        return self.site.kinds()

    def cache(self) -> Any:
        return json.loads(self.store.get(DATASET_IDS_CACHE) or b"null")


class Routes(CatalogueCase):
    """S1.1: the catalogue first, the site's script second."""

    def test_routes_lead_by_the_catalogue(self):
        resolved = self.catalogue.resolve(GENERAL, 2024)

        self.assertEqual(resolved.release, a_release(self.table))
        self.assertEqual(resolved.table, self.world.source.table(GENERAL, self.table.dataset_id))
        self.assertEqual(self.site.kinds()[:2], ["catalogue", "table"])

    def test_routes_lead_by_the_script_where_the_catalogue_is_of_no_use(self):
        for change in (says(500), says(404), says(400), sends([]), sends([{"title": "other"}]), sends({}), sends("no")):
            with self.subTest():
                self.site.fault("catalogue", change, self.world.retry._policy.attempts)
                resolved = self.resolve_again(2024)
                self.assertEqual(resolved.release, a_release(self.table), "as by the catalogue")
                self.site._faults.clear()

    def test_routes_end_where_nobody_answers_or_the_edge_refuses(self):
        for change, error in [(nobody_answers, UnreachableError), (blocks, BlockedError)]:
            with self.subTest(error=error.__name__):
                self.site.asked.clear()
                self.site.fault("catalogue", change, NEVER)
                with self.assertRaises(error):
                    self.catalogue.resolve(GENERAL, 2024)
                self.assertEqual(set(self.site.kinds()), {"catalogue"})
                self.site._faults.clear()

    def test_routes_end_loudly_where_both_list_nothing(self):
        self.site.fault("catalogue", sends([]))
        self.site.fault("script", sends("function(){}"))

        with self.assertRaisesRegex(DataError, "the source lists no year of general-payments"):
            self.catalogue.resolve(GENERAL, 2024)

    def test_routes_end_loudly_where_the_script_fails_too(self):
        self.site.fault("catalogue", says(404))
        self.site.fault("script", says(404))

        with self.assertRaises(NotFoundError):
            self.catalogue.resolve(GENERAL, 2024)

    def test_routes_name_the_release_by_its_records_where_there_is_no_date(self):
        """By the script route, and where the catalogue gives no date one can read."""
        self.site.fault("catalogue", sends([]))
        self.assertEqual(self.catalogue.resolve(GENERAL, 2024).release.modified, "2026-06-30")

        self.table.modified = "soon"
        resolved = self.resolve_again(2024)
        self.assertEqual(resolved.release.modified, "2026-06-30")

    def test_routes_prefer_the_date_of_the_catalogue(self):
        self.table.modified = "2026-01-23"

        self.assertEqual(self.catalogue.resolve(GENERAL, 2024).release.modified, "2026-01-23")
        self.assertNotIn("rows", self.site.kinds())

    def test_routes_end_loudly_where_the_records_have_no_date_either(self):
        for said in ("", "2026-06-30", "13/45/2026"):
            with self.subTest(said=said):
                self.site.fault("catalogue", sends([]))
                self.site.fault("rows", replaces("06/30/2026", said))
                with self.assertRaisesRegex(DataError, f"its records say {said!r}: the release has no name"):
                    self.catalogue.resolve(GENERAL, 2024)


class Resolve(CatalogueCase):
    def test_resolving_an_unknown_year_names_the_known_ones(self):
        self.site.publish(2023)

        with self.assertRaisesRegex(UsageError, "no program year 2012 of general-payments; it has 2023, 2024"):
            self.catalogue.resolve(GENERAL, 2012)

    def test_resolving_a_year_that_is_listed_but_not_published_fails_loudly(self):
        """S1.1: a year always resolves to a working id or fails loudly."""
        self.site.unpublished[2025] = dataset_id_of(2025)

        for route in ("catalogue", "script"):
            with self.subTest(route=route):
                expected = f"2025 of general-payments is listed by the {route} but not published: .*following June"
                with self.assertRaisesRegex(NotFoundError, expected):
                    self.catalogue.resolve(GENERAL, 2025)
                self.site.fault("catalogue", sends([]))
        self.assertIsNone(self.cache())

    def test_resolving_refuses_an_id_that_download_would_not_take(self):
        self.table.distribution_id = "md5__1700000000"

        with self.assertRaisesRegex(DataError, "resolves to 'md5__1700000000', which is no distribution id"):
            self.catalogue.resolve(GENERAL, 2024)

    def test_resolving_passes_on_a_source_that_is_down(self):
        self.site.fault("table", says(500), NEVER)

        with self.assertRaises(UnavailableError):
            self.catalogue.resolve(GENERAL, 2024)

    def test_resolving_all_keeps_those_that_resolve_and_says_why_the_others_do_not(self):
        older = self.site.publish(2023)
        self.site.unpublished[2025] = dataset_id_of(2025)

        releases, problems = self.catalogue.resolve_all(GENERAL)

        self.assertEqual(releases, {2023: a_release(older), 2024: a_release(self.table)})
        self.assertEqual(list(releases), [2023, 2024])
        self.assertEqual(list(problems), [2025])
        self.assertIn("listed by the catalogue but not published", problems[2025])
        self.assertEqual(list(self.cache()["datasets"][GENERAL.name]["years"]), ["2023", "2024"])


class TheCache(CatalogueCase):
    """S1.1: dataset_ids_cache.json, for seven days."""

    def test_the_cache_holds_the_release_and_when_it_was_resolved(self):
        self.catalogue.resolve(GENERAL, 2024)

        entry = {"release": a_release(self.table).model_dump(), "resolved_at": "2026-07-14T12:00:00Z"}
        cached = {"years": {"2024": entry}, "all_resolved_at": None}
        self.assertEqual(self.cache(), {"schema_version": 2, "datasets": {"general-payments": cached}})
        self.assertEqual(self.store.writes, [DATASET_IDS_CACHE])

    def test_the_cache_spares_the_catalogue_but_never_the_table(self):
        self.catalogue.resolve(GENERAL, 2024)

        self.assertEqual(self.kinds_of(), ["table"])
        self.assertEqual(self.store.writes, [DATASET_IDS_CACHE])

    def test_the_cache_keeps_other_years_and_their_order(self):
        self.site.publish(2023)

        self.kinds_of(2024, 2023)

        self.assertEqual(list(self.cache()["datasets"][GENERAL.name]["years"]), ["2023", "2024"])
        self.assertEqual(self.kinds_of(2024, 2023), ["table", "table"])

    def test_the_cache_is_fresh_for_seven_days(self):
        for age, fresh in [
            (timedelta(0), True),
            (timedelta(days=7), True),
            (timedelta(days=7, seconds=1), False),
            (timedelta(seconds=-1), False),  # written by a clock that is ahead
        ]:
            with self.subTest(age=age):
                self.world.calendar = START
                self.resolve_again(2024)
                self.world.later(seconds=age.total_seconds())
                self.assertEqual(list(self.catalogue.cached(GENERAL, (2024,))), [2024] if fresh else [])
                self.assertEqual(self.kinds_of(), ["table"] if fresh else ["catalogue", "table"])

    def test_a_cache_that_cannot_be_read_is_ignored_and_written_again(self):
        entry = {"release": a_release(self.table).model_dump(mode="json"), "resolved_at": START.isoformat()}
        no_zone = {**entry, "resolved_at": START.replace(tzinfo=None).isoformat()}
        caches = [
            json.dumps({"datasets": {"general-payments": {"years": years}}}).encode()
            for years in ({"x": entry}, {"2024": no_zone})
        ]
        for garbage in (b"", b"\xff", b"{}", b"[]", b'{"datasets": 7}', *caches):
            with self.subTest(garbage=garbage):
                self.store.put(DATASET_IDS_CACHE, garbage)
                self.assertEqual(self.kinds_of(), ["catalogue", "table"])
                self.assertEqual(self.kinds_of(), ["table"])

    def test_the_cache_gives_way_to_a_new_publication(self):
        """Distribution ids change at every publication; dataset ids do not."""
        self.catalogue.resolve(GENERAL, 2024)
        newer = self.site.publish(2024, modified="2027-01-23")

        self.site.asked.clear()
        resolved = self.catalogue.resolve(GENERAL, 2024)

        self.assertEqual(resolved.release, a_release(newer))
        self.assertEqual(self.site.kinds(), ["table", "catalogue", "table"])
        self.assertEqual(self.catalogue.cached(GENERAL, (2024,)), {2024: a_release(newer)})

    def test_the_cache_gives_way_where_its_dataset_is_gone(self):
        self.catalogue.resolve(GENERAL, 2024)
        del self.site.tables[self.table.dataset_id]
        newer = self.site.publish(2024)
        newer.dataset_id = ONE_ID

        self.assertEqual(self.catalogue.resolve(GENERAL, 2024).release, a_release(newer))

    def test_the_cache_gives_some_years_or_all(self):
        self.site.publish(2023)
        self.catalogue.resolve_all(GENERAL)

        for years, found in [((), [2023, 2024]), ((2024,), [2024]), ((2024, 2012), [2024]), ((2012,), [])]:
            with self.subTest(years=years):
                self.assertEqual(list(self.catalogue.cached(GENERAL, years)), found)

    def test_the_cache_knows_all_years_only_if_all_were_resolved_within_seven_days(self):
        """A run resolves the one year it is about."""
        self.site.publish(2023)
        self.catalogue.resolve(GENERAL, 2024)
        self.assertEqual(self.catalogue.cached(GENERAL, ()), {})

        self.catalogue.resolve_all(GENERAL)
        self.world.later(days=7)
        self.site.publish(2024)
        self.catalogue.resolve(GENERAL, 2024)
        self.assertEqual(list(self.catalogue.cached(GENERAL, ())), [2023, 2024])
        self.world.later(seconds=1)
        self.assertEqual(self.catalogue.cached(GENERAL, ()), {})
        self.assertEqual(list(self.catalogue.cached(GENERAL, (2024,))), [2024])

    def test_the_cache_is_written_at_the_time_given(self):
        self.world.later(days=3)
        self.catalogue.resolve(GENERAL, 2024)

        resolved_at = datetime.fromisoformat(self.cache()["datasets"][GENERAL.name]["years"]["2024"]["resolved_at"])
        self.assertEqual(resolved_at, START + timedelta(days=3))


class EveryDataset(CatalogueCase):
    """Nothing of one dataset answers for another."""

    def setUp(self) -> None:
        super().setUp()
        self.tables = {name: self.site.publish(2024, dataset=dataset) for name, dataset in DATASETS.items()}

    def test_every_dataset_is_resolved_to_its_own_table(self):
        for name, dataset in DATASETS.items():
            with self.subTest(dataset=name):
                resolved = self.catalogue.resolve(dataset, 2024)
                self.assertEqual(resolved.release, a_release(self.tables[name]))
                self.assertEqual(resolved.release.dataset, name)
                self.assertEqual(resolved.table.columns.dataset, dataset)

    def test_every_dataset_is_cached_under_its_name(self):
        for dataset in DATASETS.values():
            self.catalogue.resolve(dataset, 2024)

        for name, dataset in DATASETS.items():
            with self.subTest(dataset=name):
                self.assertEqual(self.catalogue.cached(dataset, (2024,)), {2024: a_release(self.tables[name])})

    def test_every_dataset_without_a_script_route_ends_where_the_catalogue_does(self):
        for change, error in [(says(404), NotFoundError), (sends([]), DataError)]:
            with self.subTest(error=error.__name__):
                self.site.asked.clear()
                self.site.fault("catalogue", change)
                with self.assertRaises(error):
                    self.catalogue.resolve(RESEARCH, 2024)
                self.assertEqual(self.site.kinds(), ["catalogue"])

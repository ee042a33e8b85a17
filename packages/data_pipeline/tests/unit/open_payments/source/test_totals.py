import json
import unittest
from datetime import date, datetime
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import OWNERSHIP
from data_pipeline.open_payments.source.totals import (
    CompanyTotals,
    Route,
    Totals,
    TotalsBuilder,
    TotalsChoice,
    YearSource,
    YearTotals,
)
from etl_core.errors import (
    BlockedError,
    DataError,
    StoppedError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from etl_core.progress import Progress
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    Published,
    WorldCase,
    blocks,
    edits,
    nobody_answers,
    payments,
    says,
    sends,
)

GROUPED: Route = "grouped"
BOTH = {COMPANY: 3, OTHER: 2}


def year_source(route: Route = "grouped") -> YearSource:
    return YearSource(distribution_id="d", route=route, built_at=START)


def key_of(day: str) -> str:
    return lake_layout.open_payments.totals("general-payments", datetime.strptime(day, "%d-%m-%Y").date())  # noqa: DTZ007


class TotalsFile(unittest.TestCase):
    def test_the_totals_file_names_its_columns_as_the_seeds_do(self):
        """S1.2: total_2018 … total_2024, error."""
        totals = (
            Totals().with_year(2024, year_source(), {"1": 3}, {"2": "500"}).with_year(2018, year_source(), {"1": 7}, {})
        )

        self.assertEqual(
            json.loads(totals.model_dump_json())["companies"],
            [
                {"company_id": "1", "total_2018": 7, "total_2024": 3, "error": None},
                {"company_id": "2", "total_2018": 0, "error": "500"},
            ],
        )

    def test_the_totals_file_comes_back_as_it_was_written(self):
        totals = Totals().with_year(2024, year_source("entities"), {"1": 3}, {"2": "500"})

        self.assertEqual(Totals.model_validate_json(totals.model_dump_json()), totals)
        self.assertEqual(list(totals.companies[0].model_dump()), ["company_id", "total_2024", "error"])
        self.assertEqual(CompanyTotals(company_id="1", rows={2024: 3}), totals.companies[0])

    def test_the_totals_file_replaces_one_year_and_keeps_the_others(self):
        totals = Totals().with_year(2024, year_source(), {"1": 3, "2": 2}, {})
        totals = totals.with_year(2023, year_source(), {"1": 1, "3": 9}, {}).with_year(
            2024, year_source(), {"2": 5}, {}
        )

        self.assertEqual((totals.of(2023), totals.of(2024)), ({"1": 1, "3": 9}, {"2": 5}))
        self.assertEqual(list(totals.years), [2024, 2023])

    def test_the_totals_file_gives_the_companies_with_rows_and_those_nobody_could_count(self):
        totals = Totals().with_year(2024, year_source("entities"), {"3": 1, "1": 0}, {"2": "500"})

        self.assertEqual(totals.of(2024), {"2": None, "3": 1})

    def test_the_totals_file_keeps_an_error_until_the_company_answers(self):
        totals = Totals().with_year(2023, year_source("entities"), {}, {"1": "500"})

        totals = totals.with_year(2024, year_source("entities"), {"1": 4}, {})

        self.assertEqual((totals.of(2023), totals.of(2024)), ({"1": None}, {"1": 4}))
        self.assertEqual(totals.companies[0].error, "500")

    def test_the_totals_file_drops_the_count_of_a_company_that_no_longer_answers(self):
        totals = Totals().with_year(2024, year_source("entities"), {"1": 4}, {})

        totals = totals.with_year(2024, year_source("entities"), {}, {"1": "500"})

        self.assertEqual(totals.of(2024), {"1": None})


class TotalsCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))

    def ensure(self, table: Published | None = None, at_most: int | None = None, **choice: Any) -> YearTotals:
        """Totals of a year, and in ``self.site.asked`` what that took."""
        resolved = self.world.resolved(table or self.table)
        self.site.asked.clear()
        builder = TotalsBuilder(self.world.source, self.store, self.world.now, Progress(), workers=2)
        return builder.ensure(resolved, TotalsChoice(**choice), at_most=at_most)

    def kept(self, day: str = "14-07-2026") -> Any:
        return json.loads(self.store.get(key_of(day)) or b"null")


class Cache(TotalsCase):
    """S1.3: at most ten days old and of this release, reused; fresh without the year, added; else rebuilt."""

    def test_the_cache_is_built_where_there_is_none(self):
        found = self.ensure()

        self.assertEqual(found, YearTotals(BOTH, "grouped", "built"))  # type: ignore[arg-type]
        self.assertEqual(self.store.writes, [key_of("14-07-2026")])
        self.assertEqual(
            self.kept(),
            {
                "schema_version": 1,
                "years": {
                    "2024": {
                        "distribution_id": self.table.distribution_id,
                        "route": "grouped",
                        "built_at": "2026-07-14T12:00:00Z",
                    }
                },
                "companies": [
                    {"company_id": COMPANY, "total_2024": 3, "error": None},
                    {"company_id": OTHER, "total_2024": 2, "error": None},
                ],
            },
        )

    def test_the_cache_is_reused_for_ten_days(self):
        for age, how in [(0, "cached"), (10, "cached"), (11, "built")]:
            with self.subTest(days=age):
                self.world.calendar = START
                self.store.delete(key_of("25-07-2026"))
                self.ensure(rescrape=True)
                self.world.later(days=age)
                self.assertEqual(self.ensure().how, how)
                self.assertEqual(self.site.kinds(), [] if how == "cached" else ["groups"])
        self.assertIsNotNone(self.kept("25-07-2026"))

    def test_the_cache_counts_days_in_utc(self):
        self.world.later(hours=11, minutes=59)
        self.ensure()
        self.world.later(minutes=2)
        self.ensure(rescrape=True)

        self.assertEqual(self.store.writes, [key_of("14-07-2026"), key_of("15-07-2026")])

    def test_the_cache_is_the_newest_file(self):
        """By the day in its name, not by the alphabet: 14-07 is after 30-06."""
        for day, rows in [("30-06-2026", 1), ("14-07-2026", 5), ("13-07-2026", 3), ("29-12-2025", 4)]:
            source = YearSource(distribution_id=self.table.distribution_id, route="grouped", built_at=START)
            body = Totals().with_year(2024, source, {COMPANY: rows}, {}).model_dump_json().encode()
            self.store.put(key_of(day), body)

        self.assertEqual(self.ensure(), YearTotals({COMPANY: 5}, "grouped", "cached"))

    def test_the_cache_is_counted_again_once_the_table_has_other_rows_under_its_release(self):
        self.ensure()
        self.table.rows += payments(OTHER, 1, first=9)

        self.assertEqual(self.ensure().rows, {COMPANY: 3, OTHER: 3})
        self.assertEqual(self.ensure().how, "cached")

    def test_a_cache_that_cannot_be_read_is_ignored(self):
        self.ensure()
        self.world.later(days=1)
        for garbage in (b"", b"\xff", b"[]", b'{"companies": 7}', b'{"schema_version": 2}'):
            with self.subTest(garbage=garbage):
                self.store.put(key_of("15-07-2026"), garbage)
                self.assertEqual(self.ensure().how, "cached")

    def test_a_cache_of_another_name_or_dataset_is_not_used(self):
        self.ensure()
        body = self.store.get(key_of("14-07-2026")) or b""
        self.store.delete(key_of("14-07-2026"))
        for key in (
            "metadata/totals/dataset=general-payments/notes.json",
            "metadata/totals/dataset=general-payments/openpayments_companies_totals_by_year_31-02-2026.json",
            "metadata/totals/dataset=general-payments/openpayments_companies_totals_by_year_99-99-2026.json",
            lake_layout.open_payments.totals("research-payments", date(2026, 7, 14)),
        ):
            with self.subTest(key=key):
                self.store.put(key, body)
                self.assertEqual(self.ensure(at_most=1).how, "built")

    def test_a_cache_written_by_a_clock_that_is_ahead_is_ignored(self):
        self.ensure()
        self.world.later(days=-1)

        self.assertEqual(self.ensure().how, "built")

    def test_the_cache_has_the_year_added_where_it_lacks_it(self):
        older = self.site.publish(2023, payments(COMPANY, 7))
        self.ensure()
        self.world.later(days=2)

        found = self.ensure(older)

        self.assertEqual(found, YearTotals({COMPANY: 7}, "grouped", "year added"))
        self.assertEqual(self.store.writes, [key_of("14-07-2026")] * 2)
        self.assertEqual(
            self.kept()["companies"],
            [
                {"company_id": COMPANY, "total_2023": 7, "total_2024": 3, "error": None},
                {"company_id": OTHER, "total_2023": 0, "total_2024": 2, "error": None},
            ],
        )
        self.assertEqual(self.ensure().how, "cached")
        self.assertEqual(self.ensure(older).how, "cached")

    def test_the_cache_has_no_year_added_where_that_is_forbidden(self):
        older = self.site.publish(2023, payments(COMPANY, 7))
        self.ensure()

        with self.assertRaisesRegex(
            UsageError, "by_year_14-07-2026.json is fresh and lacks 2023. Allow --add-year-if-missing"
        ):
            self.ensure(older, add_year=False)
        self.assertEqual(self.site.kinds(), [])

    def test_the_cache_may_be_built_and_renewed_where_adding_is_forbidden(self):
        self.assertEqual(self.ensure(add_year=False).how, "built")
        newer = self.site.publish(2024, payments(COMPANY, 4))
        self.assertEqual(self.ensure(newer, add_year=False).rows, {COMPANY: 4})
        older = self.site.publish(2023, payments(COMPANY, 7))
        self.assertEqual(self.ensure(older, add_year=False, rescrape=True).how, "built")

    def test_the_cache_is_counted_again_whatever_it_holds_if_asked_to(self):
        self.ensure()
        self.table.rows = payments(COMPANY, 9)

        self.assertEqual(self.ensure(rescrape=True), YearTotals({COMPANY: 9}, "grouped", "built"))
        self.assertEqual(self.ensure(), YearTotals({COMPANY: 9}, "grouped", "cached"))

    def test_the_cache_is_counted_again_once_the_release_has_moved_on(self):
        self.ensure()
        newer = self.site.publish(2024, payments(COMPANY, 4))

        self.assertEqual(self.ensure(newer), YearTotals({COMPANY: 4}, "grouped", "year added"))
        self.assertEqual(self.ensure(newer).how, "cached")

    def test_the_cache_is_counted_again_for_another_route(self):
        self.ensure()
        self.site.list_companies([COMPANY])
        self.site.profiles[COMPANY] = {2024: 8}

        self.assertEqual(self.ensure(route=GROUPED).how, "cached")
        self.assertEqual(self.ensure(route="entities"), YearTotals({COMPANY: 8}, "entities", "year added"))
        self.assertEqual(self.ensure(), YearTotals({COMPANY: 8}, "entities", "cached"))

    def test_the_cache_keeps_the_company_nobody_could_count_when_another_year_is_added(self):
        older = self.site.publish(2023, payments(COMPANY, 7))
        self.site.list_companies([COMPANY, OTHER])
        self.site.profiles |= {COMPANY: {2023: 7}, OTHER: {2023: 1}}
        self.site.fault("company", says(400), NEVER, when=lambda asked: asked.path.endswith(OTHER))
        expected = {COMPANY: 7, OTHER: None}
        self.assertEqual(self.ensure(older, route="entities").rows, expected)

        self.ensure()

        self.assertEqual(self.ensure(older), YearTotals(expected, "entities", "cached"))


class AtMost(TotalsCase):
    def test_a_count_of_some_companies_counts_only_as_many_as_are_asked_for_and_keeps_nothing(self):
        self.table.rows = [row for number in range(1200) for row in payments(str(10**11 + number), 1)]

        found = self.ensure(at_most=1)

        self.assertEqual((len(found.rows), found.how), (500, "built"))
        self.assertEqual(self.site.kinds(), ["groups"])
        self.assertEqual(self.store.writes, [])

    def test_a_count_of_some_companies_does_not_expect_a_part_to_sum_to_the_whole(self):
        self.table.rows += payments("99", 1)
        resolved = self.world.resolved(self.table)
        self.table.rows.pop()

        TotalsBuilder(self.world.source, self.store, self.world.now, Progress()).ensure(resolved, at_most=5)

    def test_a_count_of_some_companies_uses_what_is_cached(self):
        self.ensure()

        self.assertEqual(self.ensure(at_most=1), YearTotals(BOTH, "grouped", "cached"))  # type: ignore[arg-type]

    def test_a_count_of_some_companies_keeps_no_part_beside_other_years(self):
        older = self.site.publish(2023, payments(COMPANY, 7))
        self.ensure()

        self.assertEqual(self.ensure(older, at_most=1).rows, {COMPANY: 7})
        self.assertEqual(list(self.kept()["years"]), ["2024"])

    def test_a_count_of_some_companies_asks_company_by_company_until_enough_have_rows(self):
        ids = [str(number) for number in range(100, 120)]
        self.site.list_companies(ids)
        self.site.profiles |= {one: {2024: int(one) % 2} for one in ids}

        found = self.ensure(route="entities", at_most=3)

        self.assertEqual(found, YearTotals({"101": 1, "103": 1, "105": 1}, "entities", "built"))
        self.assertEqual(len(self.site.of_kind("company")), 6)
        self.assertEqual(self.store.writes, [])


class Grouped(TotalsCase):
    def test_grouped_counts_must_sum_to_the_table(self):
        self.site.fault("groups", edits(lambda body: body.replace(b'"3"', b'"4"')), NEVER)

        with self.assertRaises(TemporaryError) as caught:
            self.ensure()

        self.assertRegex(str(caught.exception), "counts 6 rows by payer and 5 in all, 3 times in a row")
        self.assertEqual(self.site.kinds(), ["groups", "count"] * 3)
        self.assertEqual(self.store.writes, [])

    def test_grouped_counts_that_were_wrong_once_are_asked_for_again(self):
        self.site.fault("groups", edits(lambda body: body.replace(b'"3"', b'"4"')))

        self.assertEqual(self.ensure().rows, {COMPANY: 3, OTHER: 2})

    def test_grouped_counts_are_believed_where_the_table_has_grown_meanwhile(self):
        resolved = self.world.resolved(self.table)
        self.table.rows += payments(OTHER, 1, first=3)

        found = TotalsBuilder(self.world.source, self.store, self.world.now, Progress()).ensure(resolved)

        self.assertEqual(found.rows, {COMPANY: 3, OTHER: 3})

    def test_grouped_counts_of_payers_without_a_number_are_counts_like_others(self):
        self.table.rows += payments(COMPANY, 1, first=9)
        for odd in ("", "12a", "-1", "1 "):
            with self.subTest(payer=odd):
                self.table.rows[-1] = (self.table.rows[-1][0], odd, *self.table.rows[-1][2:])
                self.assertEqual(self.ensure(route=GROUPED, rescrape=True).rows[odd], 1)

    def test_grouped_counts_of_payers_that_no_key_can_hold_are_refused(self):
        self.table.rows += payments(COMPANY, 1, first=9)
        self.table.rows[-1] = (self.table.rows[-1][0], "a" * 101, *self.table.rows[-1][2:])
        with self.assertRaisesRegex(DataError, "payers whose ids are no text of up to 100 bytes: 'a{100}'"):
            self.ensure(route=GROUPED)

    def test_grouped_counts_that_are_refused_are_asked_for_company_by_company(self):
        """S1.2: the company endpoint stays as the fallback."""
        self.site.list_companies([COMPANY, OTHER, "7", "8"])
        self.site.profiles |= {COMPANY: {2023: 1, 2024: 3}, OTHER: {2023: 5}, "7": {}}
        for change, times in [(says(400), 1), (says(500), 4), (sends({"results": [{}]}), 1)]:
            with self.subTest(times=times):
                self.site.fault("groups", change, times)
                self.assertEqual(self.ensure(rescrape=True), YearTotals({COMPANY: 3}, "entities", "built"))
                self.assertEqual(self.kept()["years"]["2024"]["route"], "entities")

    def test_grouped_counts_asked_for_by_name_are_not_replaced(self):
        self.site.fault("groups", says(400), NEVER)

        with self.assertRaises(DataError):
            self.ensure(route=GROUPED)
        self.assertNotIn("rows", self.site.kinds())

    def test_grouped_counts_are_not_replaced_where_nobody_answers_or_the_edge_refuses(self):
        for change, error in [(nobody_answers, UnreachableError), (blocks, BlockedError)]:
            with self.subTest(error=error.__name__):
                self.site._faults.clear()
                self.site.fault("groups", change, NEVER)
                with self.assertRaises(error):
                    self.ensure()
                self.assertEqual(set(self.site.kinds()), {"groups"})


class WithoutCompanyByCompany(TotalsCase):
    """Only General's rows stand in a company's yearly summary."""

    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, 3, dataset=OWNERSHIP), dataset=OWNERSHIP)

    def test_a_dataset_without_company_pages_is_counted_by_payer(self):
        self.assertEqual(self.ensure(), YearTotals({COMPANY: 3}, "grouped", "built"))
        self.assertEqual(self.store.writes, [lake_layout.open_payments.totals(OWNERSHIP.name, START.date())])

    def test_refused_counts_are_not_replaced(self):
        self.site.fault("groups", says(400))

        with self.assertRaises(DataError):
            self.ensure()
        self.assertEqual(self.site.kinds(), ["groups"])

    def test_the_route_is_refused_before_anything_is_asked(self):
        with self.assertRaisesRegex(UsageError, "counts no ownership-payments company by company"):
            self.ensure(route="entities")
        self.assertEqual(self.site.asked, [])


class CompanyByCompany(TotalsCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.list_companies([COMPANY, OTHER, "777"])
        self.site.profiles |= {COMPANY: {2024: 3}, OTHER: {2024: 2}, "777": {2024: 1}}

    def fails(self, change: Any, company_id: str = OTHER) -> None:
        self.site.fault("company", change, NEVER, when=lambda asked: asked.path.endswith(f"/{company_id}"))

    def test_counting_company_by_company_puts_a_failure_into_the_companys_error(self):
        for change, message in [
            (says(500), "answered 500"),
            (says(400), "answered 400"),
            (sends({}), "without a yearly"),
        ]:
            with self.subTest(message=message):
                self.site._faults.clear()
                self.fails(change)
                found = self.ensure(route="entities", rescrape=True)
                self.assertEqual(found.rows, {COMPANY: 3, "777": 1, OTHER: None})
                errors = {one["company_id"]: one["error"] for one in self.kept()["companies"]}
                self.assertIn(message, errors.pop(OTHER))
                self.assertEqual(errors, {COMPANY: None, "777": None})

    def test_counting_company_by_company_asks_the_table_about_an_id_that_is_no_number(self):
        self.table.rows += payments(COMPANY, 1, first=9)
        self.table.rows[-1] = (self.table.rows[-1][0], "../x", *self.table.rows[-1][2:])
        self.site.list_companies([COMPANY, "../x", "a" * 101])

        self.assertEqual(self.ensure(route="entities").rows["../x"], 1)

        self.assertEqual({one["error"] for one in self.kept()["companies"]}, {None})
        self.assertEqual(len(self.site.of_kind("company")), 1)

    def test_counting_company_by_company_takes_a_missing_profile_for_no_rows(self):
        self.fails(says(404))

        self.assertEqual(self.ensure(route="entities").rows, {COMPANY: 3, "777": 1})
        self.assertIn({"company_id": OTHER, "total_2024": 0, "error": None}, self.kept()["companies"])

    def test_counting_company_by_company_ends_where_the_edge_refuses_or_somebody_says_stop(self):
        def stops(real: Any) -> Any:
            self.world.stop.request()
            return real

        for change, error in [(blocks, BlockedError), (stops, StoppedError)]:
            with self.subTest(error=error.__name__):
                self.fails(change)
                with self.assertRaises(error):
                    self.ensure(route="entities", rescrape=True)
                self.assertEqual(self.store.writes, [])
                self.setUp()

    def test_counting_company_by_company_asks_more_than_one_batch(self):
        ids = [str(10**11 + number) for number in range(501)]
        self.site.list_companies(ids)
        self.site.profiles |= {one: {2024: 1} for one in ids}

        self.assertEqual(len(self.ensure(route="entities").rows), 501)

    def test_counting_company_by_company_fails_where_the_list_does(self):
        self.site.fault("rows", says(500), NEVER)

        with self.assertRaises(UnavailableError):
            self.ensure(route="entities")

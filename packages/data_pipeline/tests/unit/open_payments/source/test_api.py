from typing import Any

from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.schema import Columns
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.api import COMPANY_LIST_DATASET, POLICY, Table
from etl_core.errors import NotFoundError, PipelineError, UnavailableError
from etl_core.telemetry import Tally
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    DATE_OF_PAYMENT,
    OTHER,
    PAYER_ID,
    RECORD_ID,
    TITLES,
    WorldCase,
    dataset_id_of,
    payments,
    says,
    sends,
)

PAYER, DAY, KEY = PAYER_ID.lower(), DATE_OF_PAYMENT.lower(), RECORD_ID.lower()
FIELD = "generalTransactions"
ONE_PAYER = (query.Condition(PAYER, "=", COMPANY),)


class SourceCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.source = self.world.source
        rows = payments(COMPANY, 3, days=["01/15/2024", ""]) + payments(OTHER, 2)
        self.table = self.site.publish(2024, rows)

    def refuses(self, kind: str, body: Any, ask: Any) -> str:
        """The message after an answer of another form, asked once."""
        self.site.fault(kind, sends(body))
        with self.assertRaises(UnavailableError) as caught:
            ask()
        return str(caught.exception)


class TheCatalogue(SourceCase):
    def test_the_catalogue_is_the_list_of_the_metastore(self):
        self.site.lose_summary()
        self.assertEqual([item["title"] for item in self.source.catalogue()], ["2024 General Payment Data"])

    def test_the_catalogue_in_another_form_is_unavailable(self):
        for body in ({"message": "hello"}, "null", ["a title"]):
            with self.subTest(body=body):
                self.assertIn("no list of datasets", self.refuses("catalogue", body, self.source.catalogue))

    def test_the_catalogue_has_a_second_route_in_the_script(self):
        self.assertIn(f'PGYR2024:[{{type:"generalPayments",id:"{self.table.dataset_id}"', self.source.script())


class ATable(SourceCase):
    def test_a_table_is_found_by_its_dataset_id_with_id_count_and_columns(self):
        """S1.1: the only way from the dataset id to the id that /download takes."""
        tally = Tally()

        self.assertEqual(
            self.source.table(GENERAL, self.table.dataset_id, tally),
            Table(self.table.distribution_id, 5, Columns(GENERAL, titles=TITLES, names=self.table.names)),
        )
        self.assertEqual(tally.requests, 1)
        self.assertEqual(self.site.asked[-1].path, f"/api/1/datastore/query/{self.table.dataset_id}/0")

    def test_a_table_is_asked_for_past_caches(self):
        self.source.table(GENERAL, self.table.dataset_id)

        self.assertTrue(self.site.asked[-1].bypass_cache)

    def test_a_table_takes_the_name_for_the_title_where_there_is_none(self):
        for field in ({}, {"description": ""}, {"description": None}):
            with self.subTest(field=field):
                answer = {
                    "query": {"resources": [{"id": "d"}]},
                    "count": "7",
                    "schema": {"d": {"fields": {"a": field}}},
                }
                self.site.fault("table", sends(answer))
                self.assertEqual(
                    self.source.table(GENERAL, self.table.dataset_id), Table("d", 7, Columns(GENERAL, ("a",), ("a",)))
                )

    def test_a_table_in_another_form_is_unavailable(self):
        fields: Any = {"d": {"fields": {"a": {}}}}
        resources: Any = {"resources": [{"id": "d"}]}
        bodies: list[Any] = [
            {"count": 1, "schema": fields},
            {"query": {"resources": []}, "count": 1, "schema": fields},
            {"query": resources, "schema": fields},
            {"query": resources, "count": "many", "schema": fields},
            {"query": resources, "count": None, "schema": fields},
            {"query": resources, "count": 1, "schema": {"other": {}}},
            {"query": resources, "count": 1, "schema": {"d": {"fields": ["a"]}}},
            {"query": resources, "count": 1},
        ]
        for body in bodies:
            with self.subTest(body=body):
                message = self.refuses("table", body, lambda: self.source.table(GENERAL, self.table.dataset_id))
                self.assertIn(f"dataset {self.table.dataset_id} answered without id, count or schema", message)

    def test_a_table_that_is_no_object_is_unavailable(self):
        for body in ("[]", "null", '"text"'):
            with self.subTest(body=body):
                message = self.refuses("table", body, lambda: self.source.table(GENERAL, self.table.dataset_id))
                self.assertIn("no query result", message)

    def test_a_table_of_an_unknown_dataset_or_of_a_distribution_id_is_not_found(self):
        for one in ("nobody", self.table.distribution_id):
            with self.subTest(id=one), self.assertRaises(NotFoundError):
                self.source.table(GENERAL, one)


class ACount(SourceCase):
    def test_a_count_is_of_the_rows_that_meet_the_conditions_now(self):
        tally = Tally()

        self.assertEqual(self.source.count(self.table.distribution_id), 5)
        self.assertEqual(self.source.count(self.table.distribution_id, ONE_PAYER, tally), 3)
        self.assertEqual(tally.requests, 1)
        self.assertTrue(all(asked.bypass_cache for asked in self.site.asked))

    def test_a_count_in_another_form_is_unavailable(self):
        for body in ({}, {"count": None}, {"count": "many"}):
            with self.subTest(body=body):
                message = self.refuses("count", body, lambda: self.source.count(self.table.distribution_id))
                self.assertIn("a count answered without one", message)


class GroupedCounts(SourceCase):
    def counts(self, **given: Any) -> dict[str, int]:
        return self.source.grouped_counts(self.table.distribution_id, PAYER, KEY, **given)

    def test_grouped_counts_are_rows_per_value(self):
        tally = Tally()

        self.assertEqual(self.counts(tally=tally), {COMPANY: 3, OTHER: 2})
        self.assertEqual(tally.requests, 1)
        self.assertTrue(self.site.asked[-1].bypass_cache)

    def test_grouped_counts_are_of_the_rows_that_meet_the_conditions_empty_values_too(self):
        found = self.source.grouped_counts(self.table.distribution_id, DAY, KEY, ONE_PAYER)

        self.assertEqual(found, {"": 2, "01/15/2024": 1})

    def test_grouped_counts_take_null_for_empty(self):
        self.site.fault("groups", sends({"results": [{PAYER: None, "rows": "4"}]}))

        self.assertEqual(self.counts(), {"": 4})

    def test_grouped_counts_come_page_by_page_until_one_is_not_full(self):
        for companies, pages in [(499, 1), (500, 2), (501, 2), (1000, 3)]:
            with self.subTest(companies=companies):
                self.table.rows = [row for number in range(companies) for row in payments(str(10**11 + number), 1)]
                self.site.asked.clear()
                self.assertEqual(len(self.counts()), companies)
                offsets = [asked["offset"] for asked in self.site.asked]
                self.assertEqual(offsets, ["0", "500", "1000"][:pages])

    def test_grouped_counts_stop_where_enough_are_known(self):
        self.table.rows = [row for number in range(1200) for row in payments(str(10**11 + number), 1)]

        for at_least, pages in [(1, 1), (500, 1), (501, 2), (None, 3)]:
            with self.subTest(at_least=at_least):
                self.site.asked.clear()
                self.assertGreaterEqual(len(self.counts(at_least=at_least)), at_least or 1200)
                self.assertEqual(len(self.site.asked), pages)

    def test_grouped_counts_in_another_form_are_unavailable(self):
        for rows in (
            [{"rows": 1}],
            [{PAYER: "1"}],
            [{PAYER: "1", "rows": "many"}],
            [{PAYER: "1", "rows": None}],
            ["x"],
        ):
            with self.subTest(rows=rows):
                self.assertIn("rows of another form", self.refuses("groups", {"results": rows}, self.counts))

    def test_grouped_counts_without_results_are_unavailable(self):
        bodies: list[Any] = [{}, {"results": None}, {"results": {}}]
        for body in bodies:
            with self.subTest(body=body):
                self.assertIn("answered without results", self.refuses("groups", body, self.counts))


class AValueOfARecord(SourceCase):
    def test_a_value_of_a_record_costs_one_row(self):
        table = self.source.table(GENERAL, self.table.dataset_id)

        self.assertEqual(self.source.value_of_a_record(table, GENERAL.program_year_column), "2024")
        self.assertEqual(self.source.value_of_a_record(table, GENERAL.publication_date_column), "06/30/2026")
        self.assertEqual(
            (self.site.asked[-1]["limit"], self.site.asked[-1]["properties[0]"]), ("1", table.columns.names[-1])
        )

    def test_the_publication_date_is_empty_where_the_table_or_the_field_is(self):
        table = self.source.table(GENERAL, self.table.dataset_id)
        name = GENERAL.publication_date_column.lower()
        answers: list[Any] = [[], [{}], [{name: None}], [{name: ""}]]
        for rows in answers:
            with self.subTest(rows=rows):
                self.site.fault("rows", sends({"results": rows}))
                self.assertEqual(self.source.value_of_a_record(table, GENERAL.publication_date_column), "")


class Companies(SourceCase):
    def test_companies_are_all_reporting_entities_page_by_page_in_order(self):
        """S1.2: all company ids, paged, of every country."""
        for companies, pages in [(0, 1), (3, 1), (500, 2), (501, 2)]:
            with self.subTest(companies=companies):
                ids = [str(10**11 + number) for number in range(companies)]
                self.site.list_companies(reversed(ids))
                self.site.asked.clear()
                self.assertEqual(list(self.source.company_ids()), ids)
                self.assertEqual([asked["offset"] for asked in self.site.asked], ["0", "500"][:pages])
        self.assertEqual(self.site.asked[-1].path, f"/api/1/datastore/query/{COMPANY_LIST_DATASET}/0")

    def test_companies_have_rows_per_year_in_their_summaries(self):
        """S1.2: summaryByAvailableYear[].generalTransactions; a missing number is none."""
        self.site.profiles[COMPANY] = {2023: 7, 2024: 0}
        self.assertEqual(self.source.company_totals(COMPANY, FIELD), {2023: 7, 2024: 0})

        summary = [
            {"programYear": 2022, "generalTransactions": "5"},
            {"programYear": "2023", "generalTransactions": None},
            {"programYear": "2024"},
            {"programYear": "All", "generalTransactions": 12},
        ]
        self.site.fault("company", sends({"summaryByAvailableYear": summary}))
        self.assertEqual(self.source.company_totals(COMPANY, FIELD), {2022: 5, 2023: 0, 2024: 0})

    def test_companies_have_a_sum_in_the_summary(self):
        self.site.summarise(y2023=9, y2024=6)

        for year, rows in [(2023, 9), (2024, 6), (2012, 0)]:
            with self.subTest(year=year):
                self.assertEqual(self.source.summary_rows(dataset_id_of(1), "trans_general", year), rows)
        self.assertEqual(self.site.asked[0].path, f"/api/1/datastore/query/{dataset_id_of(1)}/0")
        self.assertTrue(self.site.asked[0].bypass_cache)

    def test_companies_with_a_sum_of_another_form_are_unavailable(self):
        self.site.summarise(y2024=6)
        answers: list[Any] = [[], [{}], [{"rows": "many"}], [{"rows": {"a": 1}}], ["x"]]
        for rows in answers:
            with self.subTest(rows=rows):
                message = self.refuses(
                    "sum", {"results": rows}, lambda: self.source.summary_rows(dataset_id_of(1), "trans_general", 2024)
                )
                self.assertIn("the summary of 2024 answered without", message)

    def test_companies_with_summaries_of_another_form_are_unavailable(self):
        self.site.profiles[COMPANY] = {}
        bodies: list[Any] = [
            {},
            [],
            {"summaryByAvailableYear": None},
            {"summaryByAvailableYear": [{}]},
            {"summaryByAvailableYear": [{"programYear": "2024", "generalTransactions": "many"}]},
        ]
        for body in bodies:
            with self.subTest(body=body):
                message = self.refuses("company", body, lambda: self.source.company_totals(COMPANY, FIELD))
                self.assertIn(f"company {COMPANY} answered without a yearly summary", message)

    def test_companies_without_a_profile_are_not_found(self):
        with self.assertRaises(NotFoundError):
            self.source.company_totals("1", FIELD)


class ADownload(SourceCase):
    def rows(self, **given: Any) -> list[bytes]:
        with self.source.download(self.table.distribution_id, ONE_PAYER, **given) as answer:
            return b"".join(answer.chunks).splitlines()[1:]

    def test_a_download_streams_the_rows_that_meet_the_conditions(self):
        tally = Tally()

        self.assertEqual(len(self.rows(tally=tally)), 3)
        self.assertEqual(tally.requests, 1)
        asked = self.site.asked[-1]
        self.assertEqual(asked.path, f"/api/1/datastore/query/{self.table.distribution_id}/download")
        self.assertEqual((asked["limit"], asked["sorts[0][property]"], asked.bypass_cache), ("", "", False))

    def test_a_download_streams_one_sorted_page(self):
        rows = self.rows(sort=KEY, limit=2, offset=1, bypass_cache=True)

        self.assertEqual([row.split(b",")[-3][-1:] for row in rows], [b"2", b"3"])
        self.assertTrue(self.site.asked[-1].bypass_cache)

    def test_a_download_is_tried_once(self):
        self.site.fault("download", says(500))

        with self.assertRaises(UnavailableError):
            self.rows()
        self.assertEqual(self.site.kinds(), ["download"])

    def test_a_download_that_is_made_again_is_counted(self):
        tally = Tally()

        self.source.count_retry(tally)

        self.assertEqual((tally.retries, self.world.telemetry.value("source_retries_total")), (1, 1))

    def test_a_download_answered_by_a_page_is_a_block(self):
        self.site.fault("download", says(200, content_type="text/html"))

        with self.assertRaises(PipelineError) as caught:
            self.rows()
        self.assertEqual(type(caught.exception).__name__, "BlockedError")


class Policy(SourceCase):
    def test_a_database_error_with_status_400_is_temporary_and_what_a_firewall_answers_is_a_block(self):
        for status, body, meaning in [
            (400, '{"message":"Database internal error."}', "temporary"),
            (400, '{"message":"Column not found."}', "permanent"),
            (404, "Database internal error.", "not_found"),
            (400, "", "permanent"),
            (403, "Access Denied", "blocked"),
            (202, "", "blocked"),
            (405, "Human verification", "blocked"),
            (503, "", "throttled"),
        ]:
            with self.subTest(status=status, body=body):
                self.assertEqual(POLICY.meaning_of(status, body), meaning)

    def test_a_database_error_is_retried(self):
        self.site.fault("count", says(400, "Database internal error."))

        self.assertEqual(self.source.count(self.table.distribution_id), 5)
        self.assertEqual(self.site.kinds(), ["count", "count"])

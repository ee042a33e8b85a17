import unittest
from datetime import UTC, date, datetime

from data_pipeline import lake_layout
from data_pipeline.lake_layout.open_payments import SliceKeys
from data_pipeline.open_payments.ledger.audits import keys_of
from etl_core.errors import UsageError
from packages.data_pipeline.tests.unit.fakes import a_release

RELEASE = "dataset=general-payments/year=2024/release=2026-06-30-9323b84e"
SLICE = f"{RELEASE}/company_id=100000000053"
THIS = ("general-payments", 2024, "2026-06-30-9323b84e")
NO_IDS = ["", ".", "..", "a/b", "../x", "/x", "a b", "a\n", "\u00e9", "a\x00", "-a", "_a", "\\", "x" * 101]


class Keys(unittest.TestCase):
    """As the design says them, to the letter: other systems read them (S2.4, S3.1)."""

    def test_of_a_slice(self):
        keys = SliceKeys(*THIS, "100000000053")

        self.assertEqual(keys.part(1, 1), f"raw/{SLICE}/part-1-of-1.csv")
        self.assertEqual(keys.part_audit(2, 12), f"metadata/audits/{SLICE}/part-2-of-12.json")
        self.assertEqual(keys.slice_audit(), f"metadata/audits/{SLICE}/slice.jsonl")
        self.assertEqual(keys_of(a_release(), "100000000053"), keys)

    def test_of_an_agency(self):
        keys, at = lake_layout.agency_files, datetime(2026, 11, 29, 14, 15, tzinfo=UTC)

        self.assertEqual(keys.files(10), "raw/agency_files/agency_id=10/files/")
        metadata = "raw/agency_files/agency_id=10/date=2026-11-29/agency_files_20261129_141500-b76b55d6"
        self.assertEqual(keys.metadata(10, at, "b76b55d6" * 8), f"{metadata}.csv")
        self.assertEqual(keys.batch_manifest(f"{metadata}.csv"), f"{metadata}_s3_batch.csv")

    def test_of_a_summary_of_cms(self):
        keys, release = lake_layout.open_payments, "d5762bed-26ca-4035-91c9-9d67297dc77c"
        path = f"summary=teaching-hospitals/year=2024/release={release}/content=b76b55d6/rows"

        rows = keys.summary_rows("teaching-hospitals", 2024, release, "b76b55d6" * 8)

        self.assertEqual((rows, keys.audit_of_part(rows)), (f"raw/{path}.csv", f"metadata/audits/{path}.json"))
        self.assertTrue(rows.startswith(keys.SUMMARY_ROWS))
        prefix = keys.summary_audits("teaching-hospitals", 2024)
        self.assertEqual(prefix, "metadata/audits/summary=teaching-hospitals/year=2024/")

    def test_of_customers(self):
        keys, at = lake_layout.customers, datetime(2026, 11, 29, 14, 15, tzinfo=UTC)
        day = "raw/customers/date=2026-11-29"
        page = f"{day}/run_id=r1/pages/sweep-1/page-000050.json.gz"
        self.assertEqual(keys.page(keys.pages("r1", at), 1, 50), page)
        self.assertEqual(keys.place_of_page(page), (1, 50))
        for other in (f"{day}/run_id=r1/pages/sweep-0/page-000050.json.gz", f"{page}.tmp", page.replace("50", "x")):
            self.assertIsNone(keys.place_of_page(other))
        self.assertEqual(keys.extract(at), f"{day}/customers_extract_20261129_141500.csv")
        self.assertEqual(keys.extract(at, 2), f"{day}/customers_extract_20261129_141500.2.csv")
        self.assertEqual(keys.report("r1"), "metadata/runs/run_id=r1/execution_report.txt")
        self.assertEqual(
            lake_layout.runs.failure("r1", keys.unit(7), "a"),
            "metadata/runs/run_id=r1/failures/page=000007/attempt-a.json",
        )

    def test_of_runs_of_one_domain_lie_apart_from_others(self):
        keys = lake_layout.runs
        self.assertEqual(keys.domain("r1", "customers"), "metadata/runs/run_id=r1/domain=customers")
        self.assertEqual(keys.domain_of("metadata/runs/run_id=r1/domain=customers"), "customers")
        self.assertIsNone(keys.domain_of("metadata/runs/run_id=r1/plan.json"))
        self.assertEqual(keys.all_selections(), "metadata/selections/all/")
        self.assertEqual(keys.all_selections("customers"), "metadata/selections/all_customers/")

    def test_of_a_later_generation_say_which(self):
        keys = SliceKeys(*THIS, "100000000053")
        for key, found in [
            (f"raw/{SLICE}/part-2-of-12.2.csv", keys.part(2, 12, 2)),
            (f"metadata/audits/{SLICE}/part-2-of-12.10.json", keys.part_audit(2, 12, 10)),
            (f"metadata/audits/{SLICE}/slice.2.jsonl", keys.slice_audit(2)),
            (keys.slice_audit(), keys.slice_audit(1)),
        ]:
            with self.subTest(key=key):
                self.assertEqual(found, key)

    def test_of_a_release(self):
        self.assertEqual(lake_layout.open_payments.release_audits(*THIS), f"metadata/audits/{RELEASE}/")
        self.assertEqual(lake_layout.open_payments.release_parts(*THIS), f"raw/{RELEASE}/")
        self.assertEqual(lake_layout.open_payments.schema(*THIS), f"metadata/schemas/{RELEASE}/schema.json")

    def test_of_staged_parts_and_builds(self):
        keys = lake_layout.lakehouse.StagedKeys.of_part(f"raw/{SLICE}/part-1-of-1.csv", "7fa310f0")
        path = f"{RELEASE}/contract=7fa310f0/company_id=100000000053/part-1-of-1"
        self.assertEqual(keys.staged, f"staging/{path}.parquet")
        self.assertEqual(keys.quarantine, f"staging/quarantine/{path}.parquet")
        self.assertEqual(keys.document, f"metadata/staging/{path}.json")
        self.assertEqual(lake_layout.lakehouse.contract("7fa310f0"), "metadata/contracts/7fa310f0.json")
        scope = lake_layout.open_payments.year_scope(*THIS[:2])
        self.assertEqual(lake_layout.lakehouse.build_manifest(scope, 7), f"metadata/curated/{scope}/00000007.json")
        self.assertEqual(lake_layout.lakehouse.number_of_build(f"metadata/curated/{scope}/00000007.json"), 7)
        self.assertEqual(
            lake_layout.lakehouse.build_file(scope, "10c7e809", "companies", 0, "b76b55d6" * 8),
            "curated/dataset=general-payments/year=2024/build=10c7e809/companies-0000-b76b55d6.parquet",
        )

    def test_of_marts(self):
        self.assertEqual(
            lake_layout.lakehouse.marts_file("10c7e809", "b76b55d6" * 8),
            "marts/build=10c7e809/open_payments-b76b55d6.duckdb",
        )
        self.assertEqual(
            lake_layout.lakehouse.numbered(lake_layout.lakehouse.MARTS_BUILDS, 3), "metadata/marts/00000003.json"
        )
        self.assertEqual(
            lake_layout.lakehouse.report(lake_layout.open_payments.year_scope(*THIS[:2]), 3, "b76b55d6" * 8),
            "metadata/reports/dataset=general-payments/year=2024/00000003-b76b55d6.html",
        )

    def test_of_a_run(self):
        run_id = "2026-02-18T17-20-33"
        run = f"metadata/runs/run_id={run_id}"
        for key, found in [
            ("plan.json", lake_layout.runs.plan(run_id)),
            ("manifest.json", lake_layout.runs.manifest(run_id)),
            ("file_audits.jsonl", lake_layout.runs.file_audits(run_id)),
            ("download_report_2024.csv", lake_layout.open_payments.download_report(run_id, 2024)),
            ("fan_out_packed.json", lake_layout.fan_out.plan(run_id, "packed")),
            ("claims/", lake_layout.fan_out.claims(run_id)),
            ("claims/company_id=53/part-2-of-3.json", lake_layout.fan_out.claim(run_id, "53", 2, 3)),
            ("failures/", lake_layout.runs.failures(run_id)),
            ("failures/company_id=53/attempt-0f.json", lake_layout.runs.failure(run_id, "company_id=53", "0f")),
        ]:
            with self.subTest(key=key):
                self.assertEqual(found, f"{run}/{key}")
        self.assertTrue(run.startswith(lake_layout.runs.RUNS))

    def test_of_a_source_say_which_by_host_and_port(self):
        for source, name in [
            ("openpaymentsdata.cms.gov", "openpaymentsdata.cms.gov"),
            ("127.0.0.1:8080", "127.0.0.1-8080"),
            ("Host:1", "host-1"),
        ]:
            with self.subTest(source=source):
                self.assertEqual(lake_layout.fan_out.not_before(source), f"metadata/sources/{name}/not_before.json")

    def test_of_logs_and_metrics_of_a_run_and_its_later_legs(self):
        for number, name in [(1, "r1"), (2, "r1.2"), (10, "r1.10")]:
            with self.subTest(number=number):
                self.assertEqual(lake_layout.logs.log("r1", number), f"metadata/logs/run_id={name}.log")
                self.assertEqual(lake_layout.logs.metrics("r1", number), f"metadata/logs/run_id={name}.prom")

    def test_of_caches(self):
        self.assertEqual(lake_layout.open_payments.DATASET_IDS_CACHE, "metadata/dataset_ids_cache.json")
        self.assertEqual(
            lake_layout.open_payments.totals("general-payments", date(2026, 2, 18)),
            "metadata/totals/dataset=general-payments/openpayments_companies_totals_by_year_18-02-2026.json",
        )
        self.assertEqual(
            lake_layout.open_payments.totals_prefix("general-payments"), "metadata/totals/dataset=general-payments/"
        )


class Reading(unittest.TestCase):
    def test_finds_the_company_of_a_slice_audit_and_of_nothing_else(self):
        keys = SliceKeys(*THIS, "53")
        for key, company_id in [
            (keys.slice_audit(), "53"),
            (keys.slice_audit(12), "53"),
            (keys.part_audit(1, 1), None),
            ("a/company_id=53/slice.x.json", None),
            (keys.part(1, 1), None),
            ("a/company_id=53/slice.jsonl.tmp", None),
            ("a/company_id=y/slice.jsonl", None),
            ("a/company_id=/slice.jsonl", None),
        ]:
            with self.subTest(key=key):
                self.assertEqual(lake_layout.open_payments.company_of_slice_audit(key), company_id)

    def test_finds_the_company_of_any_key_that_has_one(self):
        keys = SliceKeys(*THIS, "53")
        for key, company_id in [
            (keys.part(1, 1), "53"),
            (keys.slice_audit(), "53"),
            (lake_layout.runs.failure("r1", lake_layout.open_payments.company("53"), "x"), "53"),
            (lake_layout.runs.plan("r1"), None),
            ("a/company_id=y/b", None),
        ]:
            with self.subTest(key=key):
                self.assertEqual(lake_layout.open_payments.company_of(key), company_id)

    def test_finds_the_generation_of_a_key_and_its_first(self):
        keys = SliceKeys(*THIS, "53")
        for generation in (1, 2, 10):
            for key, first in [
                (keys.part(2, 12, generation), keys.part(2, 12)),
                (keys.part_audit(2, 12, generation), keys.part_audit(2, 12)),
                (keys.slice_audit(generation), keys.slice_audit()),
            ]:
                with self.subTest(key=key):
                    self.assertEqual(
                        (
                            lake_layout.open_payments.generation_of(key),
                            lake_layout.open_payments.first_generation_of(key),
                        ),
                        (generation, first),
                    )

    def test_finds_where_the_proof_of_a_part_belongs(self):
        keys = SliceKeys(*THIS, "53")

        self.assertEqual(lake_layout.open_payments.audit_of_part(keys.part(2, 12)), keys.part_audit(2, 12))
        self.assertEqual(lake_layout.open_payments.audit_of_part(keys.part(2, 12, 3)), keys.part_audit(2, 12, 3))
        for key in (keys.slice_audit(), keys.part_audit(1, 1), keys.part(1, 1) + ".tmp", f"x/{keys.part(1, 1)}"):
            with self.subTest(key=key):
                self.assertIsNone(lake_layout.open_payments.audit_of_part(key))

    def test_finds_the_run_of_a_plan_or_a_manifest_and_of_nothing_else(self):
        for key, run_id in [
            (lake_layout.runs.plan("r1"), "r1"),
            (lake_layout.runs.manifest("r1"), "r1"),
            ("metadata/runs/run_id=r1/failures/plan.json", None),
            ("metadata/runs/run_id=r1/plan.json.tmp", None),
            ("x/metadata/runs/run_id=r1/plan.json", None),
        ]:
            with self.subTest(key=key):
                self.assertEqual(lake_layout.runs.run_of(key), run_id)

    def test_finds_the_day_of_a_totals_file_and_of_nothing_else(self):
        for key, day in [
            (lake_layout.open_payments.totals("general-payments", date(2026, 2, 18)), date(2026, 2, 18)),
            ("openpayments_companies_totals_by_year_31-02-2026.json", None),
            ("openpayments_companies_totals_by_year_18-02-26.json", None),
            ("openpayments_companies_totals_by_year_18-02-2026.json.tmp", None),
            ("openpayments_companies_totals_by_year_18_02_2026.json", None),
            ("notes.txt", None),
        ]:
            with self.subTest(key=key):
                self.assertEqual(lake_layout.open_payments.day_of_totals(key), day)


class Ids(unittest.TestCase):
    def test_of_runs_are_letters_digits_and_three_signs(self):
        for run_id in [
            "2026-02-18T17-20-33",
            "a",
            "0",
            "A.b_c-d",
            "manual__2026-01-01T00",
            "x" * 100,
            "x" * 100 + "-999",
        ]:
            with self.subTest(run_id=run_id):
                self.assertEqual(lake_layout.ids.checked_run_id(run_id), run_id)

    def test_of_runs_that_would_leave_their_folder_are_refused(self):
        for run_id in NO_IDS:
            for key in (
                lake_layout.ids.checked_run_id,
                lake_layout.runs.plan,
                lake_layout.runs.manifest,
                lake_layout.runs.file_audits,
                lake_layout.runs.failures,
            ):
                with self.subTest(run_id=run_id, key=key.__name__), self.assertRaises(UsageError) as caught:
                    key(run_id)
                self.assertIn(repr(run_id), str(caught.exception))
            with self.subTest(run_id=run_id), self.assertRaises(UsageError):
                lake_layout.logs.log(run_id, 1)

    def test_of_companies_of_up_to_38_digits_stand_in_keys_as_they_are(self):
        for company_id in ["1", "007", "100000000053", "9" * 38]:
            with self.subTest(company_id=company_id):
                self.assertEqual(lake_layout.ids.encoded_company(company_id), company_id)
                self.assertEqual(lake_layout.ids.shown_company(company_id), company_id)

    def test_of_other_companies_stand_in_keys_as_hexadecimal_digits_and_are_found_in_them_again(self):
        for company_id, text in [
            ("", "x"),
            ("-1", "x2d31"),
            ("1 ", "x3120"),
            ("x2d31", "x7832643331"),
            ("../x", "x2e2e2f78"),
            ("\u0661", "xd9a1"),
            ("9" * 39, "x" + "39" * 39),
            ("\u00e9" * 50, "x" + "c3a9" * 50),
            ("a\x00", "x6100"),
            *((one, f"x{one.encode().hex()}") for one in NO_IDS if len(one) <= 100),
        ]:
            keys = SliceKeys(*THIS, company_id)
            with self.subTest(company_id=company_id):
                self.assertEqual(lake_layout.ids.encoded_company(company_id), text)
                self.assertEqual(lake_layout.ids.decoded_company(text), company_id)
                self.assertEqual(keys.part(1, 1), f"raw/{RELEASE}/company_id={text}/part-1-of-1.csv")
                self.assertEqual(lake_layout.open_payments.company_of(keys.part(1, 1)), company_id)
                self.assertEqual(lake_layout.open_payments.company_of_slice_audit(keys.slice_audit(2)), company_id)
                self.assertEqual(lake_layout.open_payments.audit_of_part(keys.part(1, 1)), keys.part_audit(1, 1))
                self.assertEqual(lake_layout.ids.shown_company(company_id), f"{company_id!a} ({text} in keys)")

    def test_of_companies_that_no_key_can_hold_are_refused_in_every_key(self):
        for company_id in ["a" * 101, "\u00e9" * 51, "\ud800"]:
            keys = SliceKeys(*THIS, company_id)
            self.assertFalse(lake_layout.ids.can_be_encoded(company_id))
            self.assertEqual(lake_layout.ids.shown_company(company_id), ascii(company_id[:100]))
            for build in (
                lake_layout.ids.encoded_company,
                lambda one, keys=keys: keys.part(1, 1),
                lambda one, keys=keys: keys.part_audit(1, 1),
                lambda one, keys=keys: keys.slice_audit(),
                lambda one: lake_layout.runs.failure("r1", lake_layout.open_payments.company(one), "x"),
            ):
                with self.subTest(company_id=company_id), self.assertRaises(UsageError) as caught:
                    build(company_id)
                self.assertIn(ascii(company_id[:40]), str(caught.exception))

    def test_of_companies_are_not_found_in_folders_of_another_spelling(self):
        for text in ["x2D31", "x2d3", "xff", "x35", "12a", "X", "", "y", "x" + "61" * 101, "9" * 39]:
            with self.subTest(text=text):
                self.assertIsNone(lake_layout.ids.decoded_company(text))
                self.assertIsNone(lake_layout.open_payments.company_of(f"a/company_id={text}/b"))

import csv
import io
import json
from decimal import Decimal

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase

SUM = "SELECT count(*) AS payments, sum(total_amount_of_payment_usdollars) AS amount FROM general_payments"


class QueryJob(TablesCase):
    def setUp(self) -> None:
        super().setUp()
        self.stage_and_build()

    def amounts(self, release: str = "2026") -> list[Decimal]:
        found = []
        for path in self.lake.glob(f"raw/**/release={release}*/**/*.csv"):
            with path.open(newline="", encoding="utf-8") as stream:
                found += [Decimal(one["Total_Amount_of_Payment_USDollars"]) for one in csv.DictReader(stream)]
        return found

    def test_an_answer_adds_up_to_the_raw_records_in_every_format(self):
        expected = str(len(self.amounts())), str(sum(self.amounts()))
        for output_format, read in {
            "table": lambda out: out.splitlines()[2].split(),
            "csv": lambda out: list(csv.reader(io.StringIO(out, newline="")))[1],
            "json": lambda out: [str(one) for one in json.loads(out, parse_float=str).values()],
        }.items():
            with self.subTest(output_format):
                status, out, fact = self.answer("query", SUM, "--format", output_format)
                self.assertEqual((status, fact["status"], tuple(read(out))), (0, "answered", expected))

    def test_the_tables_are_those_of_the_newest_build(self):
        status, out, _ = self.answer("query", "--tables", "--format", "json")

        tables = {one["table"]: one for one in map(json.loads, out.splitlines())}
        self.assertEqual(
            (status, set(tables)), (0, {"general_payments", "payment_products", "companies", "recipients"})
        )
        general = tables["general_payments"]
        self.assertEqual(
            (general["rows"], general["release"], general["state"]), ("16", "2026-01-23-09a6314f", "closed")
        )

    def test_each_table_can_be_read(self):
        for table in ("general_payments", "payment_products", "companies", "recipients"):
            with self.subTest(table):
                status, out, _ = self.answer(
                    "query", f"SELECT count(*), min(year), min(release) FROM {table}", "--format", "csv"
                )
                self.assertEqual(status, 0)
                self.assertRegex(out, r"\r\n[1-9]\d*,2024,2026-01-23-09a6314f\r\n")

    def test_what_would_write_is_refused_before_it_runs(self):
        before = self.files()
        target = next(self.lake.glob("curated/**/general_payments*.parquet"))

        status, out, fact = self.answer("query", f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{target}' (USE_TMP_FILE false)")

        self.assertEqual((status, out, fact["error"]), (2, "", "UsageError"))
        self.assertEqual(self.files(), before)

    def test_a_question_or_tables_is_needed_and_not_both(self):
        for words in ((), ("SELECT 1", "--tables"), ("--tables", "--format", "parquet")):
            with self.subTest(words):
                status, out, _ = self.answer("query", *words)
                self.assertEqual((status, out), (2, ""))

    def test_a_lake_without_builds_says_how_to_get_one(self):
        self.lake = self.folder / "empty"
        status, _, fact = self.answer("query", "SELECT 1")

        self.assertEqual(status, 3)
        self.assertIn("Run stage and build_curated first", fact["message"])

"""What a lake may hold that nobody wants: hostile cells, and documents of a version that this one does not know."""

import csv
import io
import json

import duckdb

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase

# Of one text cell: a formula, colours of a terminal, HTML, an end of SQL, a NUL, a line break, and 200 KB.
HOSTILE = "=cmd|' /C calc'!A0\x1b[31m\x07<script>alert(1)</script>'; DROP TABLE t; --\0\n,\u202e\x9b" + "x" * 200_000
CITY, DATE = "recipient_city", "date_of_payment"


class HostileCells(TablesCase):
    """One record is staged with the cell, another is quarantined with it as its date."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(csv.field_size_limit, csv.field_size_limit(1 << 20))
        part = next(self.lake.glob("raw/**/release=2026*/**/company_id=100000000053/*.csv"))
        good, bad, *_ = csv.reader(io.StringIO(part.read_text(encoding="utf-8").partition("\n")[2], newline=""))
        with part.open(newline="", encoding="utf-8") as stream:
            titles = [one.lower() for one in next(csv.reader(stream))]
        self.good, self.bad = good[titles.index("record_id")], bad[titles.index("record_id")]
        cell = '"' + HOSTILE.replace('"', '""') + '"'
        for record, column in ((good, CITY), (bad, DATE)):
            text = record[titles.index(column)]
            before = f",{text}," if f",{text},".encode() in part.read_bytes() else f',"{text}",'
            self.damage(before.encode(), f",{cell},".encode())
        self.stage_and_build()

    def assert_harmless(self, text: str) -> None:
        """On a terminal: printable, in lines of bounded length."""
        for line in text.splitlines():
            self.assertTrue(line.isprintable(), line[:200])

    def test_in_a_table_of_query_and_of_quarantine_they_are_printable_and_cut(self):
        for words in (
            ("query", f"SELECT record_id, {CITY} FROM general_payments"),
            ("quarantine", "--year", "2024", "--records"),
        ):
            with self.subTest(words[0]):
                status, out, _ = self.answer(*words)
                self.assertEqual(status, 0)
                self.assert_harmless(out)
                self.assertLess(len(out), 200_000)

    def test_in_csv_json_and_parquet_they_are_as_they_were(self):
        question = f"SELECT record_id, {CITY} AS cell FROM general_payments WHERE record_id = '{self.good}'"
        for words, cell in (
            (("query", question), "cell"), (("quarantine", "--year", "2024", "--records"), DATE),
        ):  # fmt: skip
            with self.subTest(words[0], output_format="csv"):
                _, out, _ = self.answer(*words, "--format", "csv")
                (row,) = csv.DictReader(io.StringIO(out, newline=""), strict=True)
                self.assertEqual(row[cell], HOSTILE)
            with self.subTest(words[0], output_format="json"):
                _, out, _ = self.answer(*words, "--format", "json")
                self.assert_harmless(out)
                self.assertEqual(json.loads(out)[cell], HOSTILE)

    def test_exported_they_are_as_they_were(self):
        out = self.folder / "out"
        for file_format in ("csv", "parquet"):
            with self.subTest(file_format):
                status, fact, err = self.run_job("export", "--year", "2024", "--to", str(out), "--format", file_format)
                self.assertEqual((status, fact["rows"]), (0, 16), err)
        (plain,), (parquet,) = out.glob("*.csv"), out.glob("*.parquet")
        with plain.open(newline="", encoding="utf-8") as stream:
            rows = {row["Record_ID"]: row for row in csv.DictReader(stream, strict=True)}
        self.assertEqual((rows[self.good]["Recipient_City"], rows[self.bad]["Date_of_Payment"]), (HOSTILE, HOSTILE))
        cells = duckdb.execute(f"SELECT Recipient_City FROM '{parquet}' WHERE Record_ID = '{self.good}'").fetchall()
        self.assertEqual(cells, [(HOSTILE,)])

    def test_traced_they_are_one_line_of_json(self):
        for record_id, status, column in ((self.good, "traced", CITY), (self.bad, "in quarantine", DATE)):
            with self.subTest(status):
                code, fact, err = self.run_job("trace", record_id)
                self.assertEqual((code, fact["status"], fact["row"][column]), (0, status, HOSTILE))
                self.assert_harmless(err)

    def test_as_the_id_of_a_record_they_are_a_value_and_a_printable_message(self):
        for text in ("' OR 1=1 --", "\x1b[31m1", "x" * 10_000):
            with self.subTest(text[:20]):
                status, fact, err = self.run_job("trace", text)
                self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
                self.assert_harmless(err)


class OtherVersions(TablesCase):
    def setUp(self) -> None:
        super().setUp()
        self.stage_and_build()

    def test_a_document_of_a_version_that_is_not_known_is_named_and_nothing_is_written(self):
        for pattern, jobs in (
            ("metadata/curated/**/*.json", (
                ("query", "SELECT 1"), ("trace", "1"), ("build_curated", "--year", "2024"),
            )),
            ("metadata/staging/**/*.json", (
                ("stage", "--year", "2024"), ("build_curated", "--year", "2024"), ("quarantine", "--year", "2024"),
            )),
        ):  # fmt: skip
            document = next(self.lake.glob(pattern))
            kept = document.read_bytes()
            document.write_text(json.dumps(json.loads(kept) | {"schema_version": 99}))
            before = self.files()
            for words in jobs:
                with self.subTest(words[0], pattern=pattern):
                    status, _, fact = self.answer(*words) if words[0] == "query" else self.failed(*words)
                    self.assertEqual((status, fact["error"]), (3, "DataError"))
                    self.assertIn(document.name, fact["message"])
                    self.assertIn("version", fact["message"])
            self.assertEqual(
                {key: time for key, time in self.files().items() if "/logs/" not in key},
                {key: time for key, time in before.items() if "/logs/" not in key},
            )
            document.write_bytes(kept)
            self.assertEqual(self.run_job(*jobs[-1])[0], 0)

    def failed(self, *words: str):
        status, fact, err = self.run_job(*words)
        return status, err, fact

import csv
import io
import json

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class QuarantineJob(TablesCase):
    def a_record_with_a_bad_date(self) -> str:
        body = next(self.lake.glob("raw/**/release=2026*/**/company_id=100000000053/*.csv")).read_bytes()
        record = next(csv.DictReader(io.StringIO(body.decode(), newline="")))
        self.part = self.damage(record["Date_of_Payment"].encode(), b"=cmd\x1b[31m")
        self.stage_and_build()
        return record["Record_ID"]

    def test_counts_by_reason_are_the_fact(self):
        self.a_record_with_a_bad_date()

        status, fact, _ = self.run_job("quarantine", "--year", "2024")

        self.assertEqual((status, fact["status"], fact["run_id"], fact["closed"]), (0, "shown", "second", True))
        self.assertEqual((fact["rows"], fact["quarantined"]), (15, 1))
        self.assertEqual(fact["reasons"], {"date_of_payment.pattern": 1})

    def test_records_are_shown_with_reasons_part_number_and_all_their_text(self):
        record_id = self.a_record_with_a_bad_date()

        status, out, fact = self.answer("quarantine", "--year", "2024", "--records", "--format", "json")

        (record,) = [json.loads(line) for line in out.splitlines()]
        self.assertEqual((status, fact["quarantined"]), (0, 1))
        self.assertEqual((record["record_id"], record["date_of_payment"]), (record_id, "=cmd\x1b[31m"))
        self.assertEqual((record["_part"], record["_record"]), (self.part, 1))
        self.assertIn("date_of_payment.pattern", record["_reasons"].split(","))

    def test_a_reason_chooses_its_records(self):
        self.a_record_with_a_bad_date()

        for reason, lines in (("date_of_payment.pattern", 2), ("date_of_payment", 0)):
            with self.subTest(reason):
                _, out, _ = self.answer(
                    "quarantine", "--year", "2024", "--records", "--reason", reason, "--format", "csv"
                )
                self.assertEqual(len(out.splitlines()), lines)

    def test_cells_on_a_terminal_are_printable(self):
        self.a_record_with_a_bad_date()

        _, out, _ = self.answer("quarantine", "--year", "2024", "--records")

        self.assertTrue(all(line.isprintable() for line in out.splitlines()))
        self.assertIn(r"=cmd\x1b[31m", out)

    def test_a_run_that_is_not_staged_says_so(self):
        status, fact, _ = self.run_job("quarantine", "--run-id", "first")

        self.assertEqual((status, fact["status"], fact["parts"], fact["staged_parts"]), (0, "not all staged", 3, 0))

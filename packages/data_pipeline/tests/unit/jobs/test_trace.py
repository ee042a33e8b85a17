import csv

from packages.data_pipeline.tests.unit.jobs.tables_case import TablesCase


class TraceJob(TablesCase):
    def records(self, release: str = "2026") -> list[tuple[str, int, int, dict[str, str]]]:
        """Of each record in the parts of a release: the part's key, its number, its first line, its fields."""
        found = []
        for path in sorted(self.lake.glob(f"raw/**/release={release}*/**/*.csv")):
            with path.open(newline="", encoding="utf-8") as stream:
                reader, line = csv.DictReader(stream), 2
                for number, record in enumerate(reader, 1):
                    found.append((path.relative_to(self.lake).as_posix(), number, line, record))
                    line = reader.line_num + 1
        return found

    def test_a_record_of_a_build_is_followed_to_its_request(self):
        self.stage_and_build()
        for part, number, line, record in self.records()[::5]:
            with self.subTest(record["Record_ID"]):
                status, fact, err = self.run_job("trace", record["Record_ID"])

                self.assertEqual((status, fact["status"], fact["run_id"]), (0, "traced", "second"))
                self.assertIn(f"raw        {part}\n           record {number}, line {line}, byte ", err)
                self.assertIn(f"request    {fact['request']['url']}\n           status 200 at ", err)
                self.assertEqual(
                    (fact["raw"]["part"], fact["raw"]["record"], fact["raw"]["line"]), (part, number, line)
                )
                self.assertEqual(
                    fact["row"]["total_amount_of_payment_usdollars"], record["Total_Amount_of_Payment_USDollars"]
                )
                self.assertEqual(fact["build"]["table"], "general_payments")
                for key in (fact["build"]["manifest"], fact["staged"]["file"], fact["staged"]["document"], part):
                    self.assertTrue((self.lake / key).exists(), key)
                self.assertEqual(fact["release"], "2026-01-23-09a6314f")

    def test_the_request_has_its_address_times_status_and_tries(self):
        self.stage_and_build()
        _, fact, _ = self.run_job("trace", self.records()[0][3]["Record_ID"])

        request = fact["request"]
        self.assertIn("/download?", request["url"])
        self.assertEqual((request["status"], request["requests"], request["retries"]), (200, 2, 0))
        self.assertEqual(request["window"], {"number": 1, "of": 1, "low": "", "high": ""})
        self.assertLess(request["started_at"], request["proved_at"])
        self.assertEqual(request["failed_attempts"], [])

    def test_a_record_in_quarantine_is_found_with_its_reasons(self):
        _, _, _, record = self.records()[0]
        self.damage(record["Date_of_Payment"].encode(), b"yesterday")
        self.stage_and_build()

        status, fact, _ = self.run_job("trace", record["Record_ID"])

        self.assertEqual((status, fact["status"], fact["build"]), (0, "in quarantine", None))
        self.assertIn("date_of_payment.pattern", fact["row"]["_reasons"])
        self.assertTrue((self.lake / fact["staged"]["file"]).exists())
        self.assertEqual(fact["raw"]["record"], 1)

    def test_a_run_needs_not_be_built(self):
        self.assertEqual(self.run_job("stage", "--run-id", "first")[0], 0)
        record_id = self.records("2025")[3][3]["Record_ID"]

        status, fact, _ = self.run_job("trace", record_id, "--run-id", "first")

        self.assertEqual((status, fact["release"], fact["build"]), (0, "2025-06-30-67f4b8cd", None))

    def test_a_record_that_is_nowhere_ends_with_advice(self):
        self.stage_and_build()
        for record_id in ("5", "' OR 1=1 --"):
            with self.subTest(record_id):
                status, _, err = self.run_job("trace", record_id)
                self.assertEqual(status, 3)
                self.assertIn("in what is staged or built of second. Run stage", err)

    def test_a_raw_part_that_was_changed_since_is_no_evidence(self):
        self.stage_and_build()
        part, _, _, record = self.records()[0]
        path = self.lake / part
        path.write_bytes(path.read_bytes().replace(b"2", b"3", 1))

        status, _, err = self.run_job("trace", record["Record_ID"])

        self.assertEqual(status, 3)
        self.assertIn("is not the part that its audit proves", err)

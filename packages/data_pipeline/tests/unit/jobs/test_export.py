import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

from data_pipeline.jobs.export import Source
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase

CLOSED = Path(__file__).parents[2] / "fixtures" / "lake_v1" / "closed"
STEM = "general-payments_2024_2026-01-23-09a6314f"


class ExportJob(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        shutil.copytree(CLOSED, self.lake)
        self.out = self.folder / "out"

    def rows_of(self, name: str) -> list[dict[str, str]]:
        with (self.out / name).open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream, strict=True))

    def piped(self, *words: str, head: int | None = None) -> tuple[int, bytes, str]:
        """As from a shell: the first bytes of stdout, or all of them."""
        words = (sys.executable, "-m", "data_pipeline", "run", "export", "--", *words, "--lake", str(self.lake))
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": os.defpath}
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            out = process.stdout.read(-1 if head is None else head)
            process.stdout.close()
            return process.wait(), out, process.stderr.read().decode()

    def test_a_year_is_one_file_of_its_newest_closed_run(self):
        status, fact, _ = self.run_job("export", "--year", "2024", "--to", str(self.out))

        self.assertEqual((status, fact["status"], fact["run_id"], fact["closed"]), (0, "exported", "second", True))
        rows = self.rows_of(f"{STEM}.csv")
        self.assertEqual((len(rows), fact["rows"], fact["files"][0]["rows"]), (16, 16, 16))
        self.assertEqual(len({row["Record_ID"] for row in rows}), 16)
        self.assertEqual([path.name for path in self.out.iterdir()], [f"{STEM}.csv"])

    def test_each_company_has_a_file_of_its_own(self):
        status, fact, _ = self.run_job("export", "--run-id", "first", "--per", "company", "--to", str(self.out))

        self.assertEqual((status, fact["release"], len(fact["files"])), (0, "2025-06-30-67f4b8cd", 3))
        for file in fact["files"]:
            rows = self.rows_of(file["name"])
            self.assertEqual(len(rows), file["rows"])
            (payer,) = {row["Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"] for row in rows}
            self.assertTrue(file["name"].endswith(f"_2025-06-30-67f4b8cd_company_id={payer}.csv"))

    def test_the_file_of_a_partial_run_says_so_in_its_name(self):
        about = {"year": 2024, "release": "2026-01-23-09a6314f"}
        for closed, company_id, name in (
            (True, None, f"{STEM}.csv"), (False, None, f"{STEM}_partial.csv"),
            (False, "5", f"{STEM}_partial_company_id=5.csv"),
        ):  # fmt: skip
            with self.subTest(name):
                source = Source("general-payments", about | {"closed": closed}, ANY, {}, 0)
                self.assertEqual(source.name_of(company_id, "csv"), name)

    def test_stdout_carries_the_csv_alone_and_stderr_the_fact(self):
        status, out, err = self.piped("--year", "2024", "--company-id", "100000000053", "--to", "-")

        self.assertEqual((status, len(list(csv.DictReader(io.StringIO(out.decode(), newline=""))))), (0, 9))
        self.assertEqual(json.loads(err.splitlines()[-1])["rows"], 9)

    def test_a_reader_that_has_seen_enough_ends_the_export_quietly(self):
        status, out, err = self.piped("--year", "2024", "--to", "-", head=11)

        self.assertEqual((status, out), (0, b"Change_Type"), err)
        self.assertNotIn("Traceback", err)

    def test_a_failure_writes_nothing_into_the_csv(self):
        status, out, err = self.piped("--year", "2019", "--to", "-")

        self.assertEqual((status, out), (3, b""))
        self.assertIn("no closed run of general-payments 2019", err)

    def test_what_stdout_cannot_carry_is_refused(self):
        for words in (("--per", "company"), ("--format", "parquet")):
            with self.subTest(words):
                status, out, err = self.piped("--year", "2024", "--to", "-", *words)
                self.assertEqual((status, out), (2, b""))
                self.assertIn("name a folder", err)

    def test_a_company_without_records_is_named(self):
        status, _, err = self.run_job("export", "--year", "2024", "--company-id", "5", "--to", str(self.out))

        self.assertEqual(status, 3)
        self.assertIn("run second has no part of 5", err)
        self.assertFalse(self.out.exists())

    def test_a_damaged_part_leaves_no_file(self):
        part = next(self.lake.glob("raw/**/release=2026*/**/*.csv"))
        part.write_bytes(part.read_bytes().replace(b"2", b"3", 1))
        status, _, err = self.run_job("export", "--year", "2024", "--to", str(self.out))

        self.assertEqual(status, 3)
        self.assertIn("is not the part that its audit proves", err)
        self.assertEqual(list(self.out.rglob("*.csv")), [])

import os
import time

from data_pipeline.open_payments.ledger.audits import keys_of
from packages.data_pipeline.tests.unit.fakes import COMPANY, a_release
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class Gc(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.key = keys_of(a_release(), COMPANY).part(1, 1)
        self.store.put_new(self.key, b"x" * 10)
        self.is_old(hours=25)

    def is_old(self, hours: float) -> None:
        moment = time.time() - hours * 3600
        os.utime(self.lake / self.key, (moment, moment))

    def test_lists_and_removes_nothing(self):
        status, fact, err = self.run_job("gc")

        self.assertEqual((status, fact["status"], fact["objects"], fact["bytes"]), (0, "listed", 1, 10))
        self.assertIn(f"orphan  {self.key}  10 bytes", err)
        self.assertTrue((self.lake / self.key).exists())

    def test_removes_when_told_to(self):
        status, fact, err = self.run_job("gc", "--delete")

        self.assertEqual((status, fact["status"], fact["objects"], fact["bytes"]), (0, "removed", 1, 10))
        self.assertIn(f"removed orphan  {self.key}", err)
        self.assertEqual(fact["by_kind"], {"orphan": 1})
        self.assertFalse((self.lake / self.key).exists())
        self.assertEqual(self.run_job("gc", "--delete")[1]["status"], "nothing to remove")

    def test_leaves_what_is_younger_than_a_day_unless_told_otherwise(self):
        self.is_old(hours=23)

        self.assertEqual(self.run_job("gc")[1]["objects"], 0)
        self.assertEqual(self.run_job("gc", "--older-than-hours", "22")[1]["objects"], 1)
        for text in ("-1", "nan", "inf", "1e300"):
            with self.subTest(text):
                self.assertEqual(self.run_job("gc", "--older-than-hours", text)[0], 2)

    def test_parts_staged_under_a_contract_of_another_time_are_listed_where_it_is_known_who_uses_them(self):
        release = "dataset=general-payments/year=2024/release=a"
        for scope in (release, "customers/date=2026-11-29"):
            for key in (
                "metadata/staging/{}/contract=00000000/a=1/b.json",
                "staging/{}/contract=00000000/a=1/b.parquet",
            ):
                self.store.put_new(key.format(scope), b"{}")

        for words, kinds in (((), {"orphan": 1}), (("--keep", "1"), {"orphan": 1, "staged in vain": 2})):
            with self.subTest(words=words):
                _, fact, err = self.run_job("gc", "--older-than-hours", "0", *words)
                self.assertEqual(fact["by_kind"], kinds)
                self.assertNotIn("customers", err)

"""Customers as tables: through the same jobs as payments."""

import contextlib
import csv
import io
from typing import Any

from data_pipeline.cli import exit_code_of
from data_pipeline.customers.run import ingest
from etl_core.errors import UnavailableError
from packages.data_pipeline.tests.unit.customers.fake_api import Days, FakeApi, a_crm
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase

WHOLE: dict[str, Any] = {
    "first_name": "Zoë", "last_name": "O'Neil, Jr.", "email": "z@example.com", "phone": "1", "street": "1 A\nB",
    "city": "Köln", "postal_code": "50667", "country": "DE", "segment": "retail", "balance": 12.5, "newsletter": True,
    "signup_date": "2024-02-29",
}  # fmt: skip


class Tables(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.api, self.clock = FakeApi(6), Days()
        self.odd: dict[str, dict[str, Any]] = {}
        self.api.change = lambda answer: [one.update(WHOLE | self.odd.get(one["id"], {})) for one in answer["data"]]

    def a_run(self, **how: Any) -> str:
        self.clock.now += 60
        return ingest(a_crm(self.store, self.api, self.clock), **how).manifest.run_id

    def ask(self, question: str) -> list[dict[str, str]]:
        out = io.TextIOWrapper(io.BytesIO(), newline="")
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            words = ["run", "query", "--", question, "--format", "csv", "--lake", str(self.lake)]
            self.assertEqual(exit_code_of(words), 0)
        out.flush()
        return list(csv.DictReader(io.StringIO(out.buffer.getvalue().decode(), newline="")))

    def make(self) -> tuple[dict[str, Any], dict[str, Any]]:
        facts = []
        for job in ("stage", "build_curated"):
            status, fact, said = self.run_job(job, "--dataset", "customers")
            self.assertEqual(status, 0, said)
            facts.append(fact)
        return facts[0], facts[1]

    def test_have_types_and_no_value_where_there_is_none_and_the_rest_is_quarantined(self):
        self.odd = {
            "C1": {"balance": None, "city": None, "newsletter": False},
            "C2": {"balance": "a lot"},
            "C3": {"signup_date": "2023-02-30"},
            "C4": {"email": "none", "country": "XX"},
            "C5": {"id": None},
        }
        self.a_run()
        staged, built = self.make()
        self.assertEqual((staged["rows"], staged["quarantined"]), (3, 3))
        self.assertEqual(staged["reasons"], {"balance.pattern": 1, "id.required": 1, "signup_date.type": 1})
        self.assertEqual(staged["flags"], {"email.pattern": 1})
        self.assertEqual([(one["column"], one["records"]) for one in staged["new_values"]], [("country", 1)])
        self.assertEqual((built["tables"], built["closed"], built["year"]), ({"customers": 3}, True, 2026))
        rows = self.ask(
            "SELECT id, balance + 1 AS more, newsletter, city, signup_date + 1 AS next, release"
            " FROM customers ORDER BY id"
        )
        self.assertEqual([tuple(row.values()) for row in rows], [
            ("C0", "13.50", "true", "Köln", "2024-03-01", "2026-11-29"),
            ("C1", "", "false", "", "2024-03-01", "2026-11-29"),
            ("C4", "13.50", "true", "Köln", "2024-03-01", "2026-11-29"),
        ])  # fmt: skip
        status, fact, _ = self.run_job("quarantine", "--dataset", "customers")
        self.assertEqual((status, fact["quarantined"]), (0, 3))

    def test_take_a_missing_field_for_no_value(self):
        def without(answer: dict[str, Any]) -> None:
            answer["data"] = [WHOLE | {"id": one["id"]} for one in answer["data"]]
            for name in ("balance", "signup_date", "email", "newsletter"):
                del answer["data"][0][name]

        self.api.change = without
        self.a_run()
        staged, _ = self.make()
        self.assertEqual((staged["rows"], staged["quarantined"], staged["flags"]), (6, 0, {}))
        self.assertEqual(
            self.ask("SELECT count(*) - count(balance) AS a, count(*) - count(email) AS b FROM customers"),
            [{"a": "3", "b": "3"}],
        )

    def test_are_those_of_the_newest_complete_run_and_the_second_time_nothing_is_done(self):
        self.a_run()
        self.make()
        self.api.customers = 7
        complete = self.a_run(new=True)
        self.api.failing = lambda page: UnavailableError("down") if page == 2 else None
        partial = self.a_run(new=True)
        self.make()
        self.assertEqual(self.ask("SELECT count(*) AS n FROM customers"), [{"n": "7"}])
        before = self.files()
        staged, built = self.make()
        self.assertEqual((staged["status"], built["status"]), ("already staged", "already built"))
        self.assertEqual((staged["run_id"], self.files()), (complete, before))
        self.assertEqual(self.run_job("stage", "--run-id", partial)[0], 0)
        status, _, said = self.run_job("build_curated", "--run-id", partial)
        self.assertEqual((status, "a partial run does not replace it" in said), (3, True))

    def test_need_a_run(self):
        status, _, said = self.run_job("stage", "--dataset", "customers")
        self.assertEqual((status, "has no closed run of customers. Run ingest_customers first" in said), (3, True))
        self.assertEqual(self.run_job("stage", "--dataset", "customers", "--year", "2026")[0], 3)


class BesidePayments(CommandCase):
    def test_nothing_of_them_is_collected_and_they_hide_no_orphan(self):
        clock = Days()
        ingest(a_crm(self.store, FakeApi(), clock))
        unfinished = FakeApi()
        unfinished.failing = lambda page: UnavailableError("down") if page > 1 else None
        clock.now += 60
        with self.assertRaises(UnavailableError):
            ingest(a_crm(self.store, unfinished, clock), new=True)
        for job in ("stage", "build_curated"):
            self.assertEqual(self.run_job(job, "--dataset", "customers")[0], 0)
        own = self.files()
        orphan = "raw/dataset=general-payments/year=2024/release=2026-06-30-9323b84e/company_id=1/part-1-of-1.csv"
        self.store.put(orphan, b"of a run that was killed")

        status, fact, said = self.run_job("gc", "--keep", "1", "--older-than-hours", "0", "--delete")

        self.assertEqual((status, fact["by_kind"]), (0, {"orphan": 1}), said)
        self.assertEqual(self.files(), own)

    def test_the_status_of_the_newest_run_may_be_theirs(self):
        ingest(a_crm(self.store, FakeApi()))
        status, fact, said = self.run_job("status")
        self.assertEqual((status, fact["status"], fact["selection"]["dataset"]), (0, "completed", "customers"))
        self.assertIn("customers", said)

import io
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import structlog

from data_pipeline import lake_layout
from data_pipeline.open_payments.facts import RunFact
from data_pipeline.open_payments.run import commit, rerun, run, upload
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.open_payments.summaries import REPORTING_ENTITIES, TEACHING_HOSPITALS
from data_pipeline.open_payments.summary import text_of
from data_pipeline.runs.plans import write_plan
from etl_core.errors import ConflictError, DataError, NotFoundError, PipelineError
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    WorldCase,
    a_plan,
    a_selection,
    blocks,
    payments,
    says,
)


class RunCase(WorldCase):
    """Runs between a site and a lake in memory."""

    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))
        self.site.summarise(y2024=5)
        self.started: list[str] = []

    def run_year(self, run_id: str = "", *, selection: dict[str, Any] | None = None, **how: Any) -> RunFact:
        return run(self.world, a_selection(**(selection or {})), run_id=run_id, on_start=self.started.append, **how)

    def run_company(self, company_id: str = COMPANY, **how: Any) -> RunFact:
        """As download_company does."""
        return self.run_year(selection={"company_id": company_id}, with_manifest=False, **how)

    def fails(self, change: Any, times: int = NEVER) -> None:
        self.site.fault("download", change, times, when=lambda asked: asked["conditions[0][value]"] == OTHER)


def counts_of(fact: RunFact) -> dict[str, Any]:
    return fact.model_dump(include={"status", "planned", "proved", "empty", "failed", "rows", "bytes"})


class CmsSummaries(RunCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.publish_summary(REPORTING_ENTITIES, [{"AMGPO_Making_Payment_ID": COMPANY, "Trans_General": "5"}])
        self.site.publish_summary(TEACHING_HOSPITALS, [{"Teaching_Hospital_CCN": "050017"}])

    def statuses(self, fact: RunFact) -> list[str]:
        return [one.status for one in fact.summaries]

    def test_are_stored_before_the_manifest_of_a_whole_year_and_once(self):
        self.assertEqual(self.statuses(self.run_year()), ["stored", "stored"])
        names = [key for key in self.store.writes if "summary=" in key or key.endswith("manifest.json")]
        self.assertEqual((len(names), names[-1].endswith("manifest.json")), (5, True))
        before = len(self.site.asked)

        again = self.run_year()
        self.assertEqual((again.status, again.summaries), ("already done", ()))
        self.assertLessEqual(len(self.site.asked) - before, 2, "what is stored is not asked for")

    def test_that_are_missing_change_nothing_else_and_the_same_command_tries_again(self):
        self.site.fault("table", says(500), NEVER, when=lambda asked: "b659-41f6-8159" in asked.path)
        fact = self.run_year()

        self.assertEqual((fact.status, fact.closed, fact.exit_code), ("completed", True, 0))
        self.assertEqual(self.statuses(fact), ["not stored", "not stored"])
        self.assertIn("summary    teaching-hospitals: not stored, ", text_of(fact))
        self.site.clear_faults()
        self.assertEqual(self.statuses(self.run_year()), ["stored", "stored"])

    def test_are_not_of_a_part_of_a_year(self):
        for selection in ({"max_files": 1}, {"company_id": COMPANY}):
            self.assertEqual(self.run_year(selection=selection).summaries, ())
        self.assertEqual(self.run_year(dry_run=True).summaries, ())
        self.assertEqual([key for key in self.store.writes if "summary=" in key], [])

    def test_go_along_with_the_run_to_another_lake(self):
        there = MemoryStore(name="there")
        self.addCleanup(there.close)
        self.run_year(upload_to=there)

        own = {entry.key for entry in self.store.list("") if "summary=" in entry.key}
        self.assertEqual({entry.key for entry in there.list("") if "summary=" in entry.key}, own)
        self.assertEqual(len(own), 4)
        self.assertEqual(upload(self.store, there, self.run_year().run_id).status, "already uploaded")


class Run(RunCase):
    def test_ends_in_one_fact(self):
        fact = self.run_year()

        size = sum(entry.size for entry in self.store.list("raw/"))
        self.assertEqual(
            fact.model_dump(exclude={"seconds", "bytes_received", "note", "summaries"}),
            {
                "schema_version": 1,
                "job": "run_pipeline",
                "run_id": "2026-07-14T12-00-00",
                "dataset": "general-payments",
                "year": 2024,
                "release": "2026-06-30-00000001",
                "status": "completed",
                "exit_code": 0,
                "closed": True,
                "planned": 2,
                "proved": 2,
                "empty": 0,
                "failed": 0,
                "rows": 5,
                "bytes": size,
                "failures": (),
                "expected": None,
                "upload": None,
                "requests": len(self.site.asked),
                "retries": 0,
                "retry_after_seconds": None,
                "lake": "memory://",
            },
        )
        self.assertEqual(self.started, [fact.run_id])
        self.assertGreater(fact.bytes_received, size)

    def test_run_again_fetches_nothing_and_says_the_same(self):
        self.table.rows += payments("42", 0)
        first = self.run_year()
        writes = list(self.store.writes)

        again = self.run_year()

        self.assertEqual(counts_of(again), counts_of(first) | {"status": "already done"})
        self.assertEqual((again.exit_code, again.closed, self.store.writes), (0, True, writes))
        self.assertEqual(self.started, [first.run_id])

    def test_counts_only_the_requests_of_this_call(self):
        self.run_year()
        self.site.asked.clear()

        self.assertEqual(self.run_year().requests, len(self.site.asked))

    def test_of_one_company_writes_no_manifest(self):
        fact = self.run_company()

        self.assertEqual(
            counts_of(fact) | {"bytes": 0},
            {"status": "proved", "planned": 1, "proved": 1, "empty": 0, "failed": 0, "rows": 3, "bytes": 0},
        )
        self.assertIsNone(fact.closed)
        self.assertEqual([key for key in self.store.writes if "manifest" in key], [])

    def test_of_one_company_run_again_fetches_nothing(self):
        first = self.run_company()
        self.site.asked.clear()

        again = self.run_company()

        self.assertEqual(counts_of(again), counts_of(first) | {"status": "already done"})
        self.assertEqual(self.site.of_kind("download"), [])

    def test_of_a_company_without_rows_is_empty_the_first_time_and_after(self):
        self.site.list_companies(["42"])
        for status in ("proved", "already done"):
            with self.subTest(status=status):
                fact = self.run_company("42")
                self.assertEqual((fact.exit_code, fact.status, fact.proved, fact.empty), (0, status, 0, 1))

    def test_keeps_the_run_id_it_is_given(self):
        self.assertEqual(self.run_year("mine").run_id, "mine")
        self.assertEqual((self.run_year("mine").run_id, len(self.site.of_kind("download"))), ("mine", 2))

    def test_uses_the_strategy_it_is_given(self):
        self.run_year(strategy="pages")

        self.assertEqual({asked["limit"] for asked in self.site.of_kind("download")}, {"5000"})

    def test_trusts_a_contradicted_count_only_if_told(self):
        self.site.summarise(y2024=99)

        with self.assertRaisesRegex(PipelineError, "--trust-count"):
            self.run_year()
        self.assertEqual(self.run_year(trust_count=True).exit_code, 4, "what there is was fetched, and is not all")

    def test_leaves_the_logging_of_its_caller_alone(self):
        structlog.reset_defaults()
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(out):
            self.run_year()

        self.assertEqual((out.getvalue(), structlog.is_configured()), ("", False))


class FailedSlices(RunCase):
    def test_make_the_exit_code_temporary_if_one_of_them_is(self):
        for change, code in [(says(400), 3), (says(500), 4), (blocks, 4)]:
            for with_manifest in (True, False):
                with self.subTest(code=code, with_manifest=with_manifest):
                    self.setUp()
                    self.world.streams = 1  # the larger one is proved before the other fails
                    self.fails(change)
                    fact = self.run_year() if with_manifest else self.run_company(OTHER)
                    self.assertEqual(
                        (fact.exit_code, fact.status, fact.failed), (code, "partial" if with_manifest else "failed", 1)
                    )

    def test_are_named_with_their_reasons(self):
        self.fails(says(400, "column gone"))

        for fact in (self.run_company(OTHER), self.run_year()):
            (failure,) = fact.failures
            self.assertEqual((failure.company_id, failure.reason), (OTHER, "refused"))
            self.assertRegex(failure.detail, "^GET .* answered 400: column gone")

    def test_say_how_long_the_source_asked_to_wait(self):
        for headers, seconds in [({"Retry-After": "7200"}, 7200.0), ({}, None)]:
            with self.subTest(headers=headers):
                self.setUp()
                self.fails(says(429, **headers))
                fact = self.run_year()
                self.assertEqual((fact.exit_code, fact.retry_after_seconds), (4, seconds))

    def test_are_not_needed_for_a_year_that_does_not_close(self):
        self.site.list_companies([COMPANY])
        self.site.profiles[COMPANY] = {2024: 3}
        self.site.fault("groups", says(400))

        fact = self.run_year()

        self.assertEqual((fact.exit_code, fact.status, fact.failed, fact.closed), (4, "partial", 0, False))

    def test_fail_the_same_way_when_the_run_is_repeated(self):
        for change, code in [(says(400), 3), (says(500), 4)]:
            with self.subTest(code=code):
                self.setUp()
                self.fails(change)
                first, again = self.run_year("mine"), self.run_year("mine")
                self.assertEqual((first.exit_code, again.exit_code), (code, code))
                self.assertEqual(counts_of(again), counts_of(first))


class DryRun(RunCase):
    def test_says_what_a_run_would_do(self):
        fact = self.run_year(dry_run=True)

        self.assertEqual((fact.status, fact.exit_code, fact.planned, fact.proved), ("planned", 0, 2, 0))
        assert fact.expected is not None
        self.assertEqual(
            fact.expected.model_dump(),
            {
                "companies": 2,
                "rows": 5,
                "rows_of_year": 5,
                "bytes": 5 * 572,
                "windows": 2,
                "requests": 4,
                "seconds": 4.0,
                "first_companies": ({"company_id": COMPANY, "rows": 3}, {"company_id": OTHER, "rows": 2}),
            },
        )
        self.assertEqual([key for key in self.store.writes if "runs" in key or "raw" in key], [])
        self.assertEqual(self.started, [])

    def test_names_at_most_twenty_companies(self):
        self.table.rows = [row for number in range(21) for row in payments(str(number), 1)]

        fact = self.run_year(dry_run=True)

        assert fact.expected is not None
        self.assertEqual((fact.expected.companies, len(fact.expected.first_companies)), (21, 20))


class Rerun(RunCase):
    def test_retries_what_a_run_left_open_as_a_run_of_its_own(self):
        for what in ("failed", "missing"):
            with self.subTest(what=what):
                self.setUp()
                self.fails(says(400), times=1)
                first = self.run_year("r1")

                fact = rerun(self.world, "r1", what, on_start=self.started.append)

                self.assertEqual((first.status, fact.status, fact.job), ("partial", "completed", "rerun"))
                self.assertEqual((fact.planned, fact.proved, self.started), (1, 1, ["r1", fact.run_id]))

    def test_of_a_run_that_left_nothing_open_asks_nobody(self):
        self.run_year("r1")
        self.site.asked.clear()

        fact = rerun(self.world, "r1", "missing")

        self.assertEqual((fact.status, fact.exit_code, fact.planned, self.site.asked), ("already done", 0, 0, []))


class Commit(RunCase):
    def test_writes_the_manifest_of_a_run_whose_process_died(self):
        write_plan(self.store, self.world.pipeline.prepare(a_selection(), "r1", TotalsChoice()).plan)
        self.run_company()

        fact = commit(self.world, "r1", on_start=self.started.append)

        self.assertEqual((fact.job, fact.status, fact.proved, fact.failed), ("write_manifest", "partial", 1, 1))
        self.assertEqual(self.started[-1], "r1")

    def test_leaves_a_committed_run_as_it_is(self):
        first = self.run_year("r1")
        writes = list(self.store.writes)

        fact = commit(self.world, "r1")

        self.assertEqual(counts_of(fact), counts_of(first))
        self.assertEqual(self.store.writes, writes)

    def test_needs_a_run_that_was_planned(self):
        with self.assertRaisesRegex(NotFoundError, "has no run r1"):
            commit(self.world, "r1")


class Upload(RunCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = MemoryStore(name="other")
        self.addCleanup(self.other.close)

    def test_of_a_run_is_part_of_its_fact(self):
        fact = self.run_year(upload_to=self.other)

        assert fact.upload is not None
        self.assertGreater(fact.upload.bytes, 1000)
        self.assertEqual(
            fact.upload.model_dump(exclude={"bytes"}),
            {"status": "uploaded", "to": "memory://other", "planned": 17, "copied": 17, "same": 0},
        )
        self.assertIsNotNone(self.other.get(lake_layout.runs.manifest(fact.run_id)))

    def test_of_a_run_that_is_done_copies_what_is_missing(self):
        self.run_year()

        found = [self.run_year(upload_to=self.other).upload for _ in range(2)]

        self.assertEqual([one and one.status for one in found], ["uploaded", "already uploaded"])

    def test_leaves_the_status_of_the_run_as_it_is(self):
        self.fails(says(400))

        fact = self.run_year(upload_to=self.other)

        self.assertEqual((fact.exit_code, fact.status, fact.upload and fact.upload.status), (3, "partial", "uploaded"))

    def test_needs_a_committed_run(self):
        with self.assertRaisesRegex(NotFoundError, "has no run r1"):
            upload(self.store, self.other, "r1")
        write_plan(self.store, a_plan())
        with self.assertRaisesRegex(DataError, "run r1 is not committed, so nothing proves it. Commit it first"):
            upload(self.store, self.other, "r1")

    def test_names_each_file_and_overwrites_only_if_told(self):
        self.run_year("r1")
        lines: list[str] = []

        def copied(**how: bool) -> tuple[str, int]:
            fact = upload(self.store, self.other, "r1", on_file=lines.append, **how)
            return fact.status, fact.copied

        self.assertEqual(copied(dry_run=True), ("planned", 0))
        self.assertIn(f"would copy  {lake_layout.runs.plan('r1')}", lines)
        self.assertEqual(copied(), ("uploaded", 17))
        self.assertIn(f"copied  {lake_layout.runs.plan('r1')}", lines)
        self.other.put(lake_layout.runs.plan("r1"), b"other")
        with self.assertRaises(ConflictError):
            copied()
        self.assertEqual(copied(overwrite=True), ("uploaded", 1))
        self.assertEqual(self.other.get(lake_layout.runs.plan("r1")), self.store.get(lake_layout.runs.plan("r1")))

import io
import json
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.job import Context
from data_pipeline.jobs import _running, build_totals, resolve_ids
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.fetch.task import DriftedError, NotProvedError
from data_pipeline.open_payments.ledger import plans
from data_pipeline.open_payments.ledger.audits import write_attempt
from data_pipeline.open_payments.ledger.documents import PlannedCompany
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.settings import Settings
from etl_core import logs
from etl_core.errors import BlockedError, ConflictError, DataError, NotFoundError, PipelineError, UsageError
from etl_core.lake.directory import DirectoryStore
from etl_core.telemetry import Tally
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    WorldCase,
    a_manifest,
    a_plan,
    a_release,
    a_result,
    a_selection,
    an_attempt,
    blocks,
    dataset_id_of,
    payments,
    says,
)

# The design's fact of a run.
OF_EVERY_FACT = {
    "job", "run_id", "status", "planned", "proved", "empty", "failed", "rows", "bytes", "seconds", "requests",
    "retries", "lake",
}  # fmt: skip


class JobCase(WorldCase):
    """A job between a site and a lake in memory; ``self.fact`` is the one line it printed."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.stdout = self.enterContext(redirect_stdout(io.StringIO()))
        self.stderr = self.enterContext(redirect_stderr(io.StringIO()))
        self.enterContext(logs.configure_logging("json", "info"))
        self.table = self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))
        self.site.summarise(y2024=5)

    def context(self, run_id: str = "") -> Context:
        log = self.folder / "log.jsonl"
        log.touch()
        context = Context("a_job", Settings(run_id=run_id), self.world.stop, log)
        context.source = self.world.source
        context.store = self.world.store
        context.pipeline = self.world.pipeline
        context.telemetry = self.world.telemetry
        return context

    def run_job(
        self,
        run_id: str = "",
        *,
        dry_run: bool = False,
        with_manifest: bool = True,
        trust_count: bool = False,
        upload_to: str | None = None,
        strategy: Any = "auto",
        **selection: Any,
    ) -> int:
        return _running.run_selection(
            self.context(run_id),
            a_selection(**selection),
            TotalsChoice(),
            strategy=strategy,
            trust_count=trust_count,
            dry_run=dry_run,
            with_manifest=with_manifest,
            upload_to=upload_to,
        )

    def fetch(self, run_id: str = "", **choice: Any) -> int:
        """As download_company does."""
        return self.run_job(run_id, with_manifest=False, company_id=COMPANY, **choice)

    @property
    def fact(self) -> dict[str, Any]:
        (line,) = self.stdout.getvalue().splitlines()
        self.stdout.truncate(0)
        self.stdout.seek(0)
        fact: dict[str, Any] = json.loads(line)
        return fact

    def counts(self) -> dict[str, Any]:
        fact = self.fact
        names = ("status", "planned", "proved", "empty", "failed", "rows", "bytes")
        return {name: fact[name] for name in names}

    def said(self) -> str:
        return self.stderr.getvalue()

    def fails(self, change: Any, times: int = NEVER) -> None:
        self.site.fault("download", change, times, when=lambda asked: asked["conditions[0][value]"] == OTHER)


class RunSelection(JobCase):
    def test_ends_in_one_fact_with_the_keys_of_the_design(self):
        self.assertEqual(self.run_job(), 0)

        fact = self.fact
        self.assertLessEqual(OF_EVERY_FACT, set(fact))
        size = sum(entry.size for entry in self.store.list("raw/"))
        self.assertEqual(
            {name: fact[name] for name in fact if name not in ("seconds", "requests")},
            {
                "job": "a_job",
                "run_id": "2026-07-14T12-00-00",
                "status": "completed",
                "planned": 2,
                "proved": 2,
                "empty": 0,
                "failed": 0,
                "rows": 5,
                "bytes": size,
                "year_closed": True,
                "release": "2026-06-30-00000001",
                "retries": 0,
                "lake": "memory://",
            },
        )
        self.assertEqual(fact["requests"], len(self.site.asked))
        self.assertIn("run        2026-07-14T12-00-00  completed\n", self.said())
        self.assertIn("lake       memory://", self.said())

    def test_says_the_same_when_it_is_run_again(self):
        self.table.rows += payments("42", 0)
        self.run_job()
        first = self.counts()
        writes = list(self.store.writes)

        self.assertEqual(self.run_job(), 0)

        self.assertEqual(self.counts(), first | {"status": "already done"})
        self.assertIn("run 2026-07-14T12-00-00 is done already; nothing was fetched\n", self.said())
        self.assertEqual(self.store.writes, writes)

    def test_of_one_company_writes_no_manifest(self):
        self.assertEqual(self.fetch(), 0)

        self.assertEqual(self.counts() | {"bytes": 0}, {"status": "proved", "planned": 1, "proved": 1, "empty": 0,
                                                       "failed": 0, "rows": 3, "bytes": 0})  # fmt: skip
        self.assertEqual([key for key in self.store.writes if "manifest" in key], [])

    def test_of_one_company_says_the_same_when_it_is_run_again(self):
        self.fetch()
        first = self.counts()
        self.site.asked.clear()

        self.assertEqual(self.fetch(), 0)

        self.assertEqual(self.counts(), first | {"status": "already done"})
        self.assertEqual(self.site.of_kind("download"), [])

    def test_of_a_company_without_rows_is_empty_the_first_time_and_after(self):
        for status in ("proved", "already done"):
            with self.subTest(status=status):
                self.assertEqual(self.run_job(with_manifest=False, company_id="42"), 0)
                counts = self.counts()
                self.assertEqual((counts["status"], counts["proved"], counts["empty"]), (status, 0, 1))

    def test_goes_on_under_the_name_it_is_given(self):
        self.assertEqual(self.run_job("mine"), 0)
        self.assertEqual(self.fact["run_id"], "mine")
        self.assertEqual(self.run_job("mine"), 0)
        self.assertEqual((self.fact["run_id"], len(self.site.of_kind("download"))), ("mine", 2))

    def test_fetches_as_it_is_told(self):
        self.run_job(strategy="pages")

        self.assertEqual({asked["limit"] for asked in self.site.of_kind("download")}, {"5000"})

    def test_trusts_the_count_only_if_told(self):
        self.site.summarise(y2024=99)

        with self.assertRaisesRegex(PipelineError, "--trust-count"):
            self.run_job()
        self.assertEqual(self.run_job(trust_count=True), 4, "what there is was fetched, and is not all")

    def test_keeps_its_log_once_it_is_a_run(self):
        context = self.context()
        for dry_run, keeps in [(True, False), (False, True), (False, False)]:
            context = self.context()
            _running.run_selection(
                context,
                a_selection(),
                TotalsChoice(),
                strategy="auto",
                trust_count=False,
                dry_run=dry_run,
                with_manifest=True,
            )
            with self.subTest(dry_run=dry_run, keeps=keeps):
                self.assertEqual(context._stores_log, keeps)


class ExitStatus(JobCase):
    """Any failed slice: 4 if one is temporary, else 3."""

    def test_tells_whether_running_again_helps(self):
        for change, status in [(says(400), 3), (says(500), 4), (blocks, 4)]:
            for with_manifest in (True, False):
                with self.subTest(status=status, with_manifest=with_manifest):
                    self.setUp()
                    self.world.streams = 1  # the larger one is proved before the other fails
                    self.fails(change)
                    company_id = None if with_manifest else OTHER
                    found = self.run_job(with_manifest=with_manifest, company_id=company_id)
                    self.assertEqual(found, status)
                    fact = self.fact
                    self.assertEqual((fact["status"], fact["failed"]), ("partial" if with_manifest else "failed", 1))

    def test_says_why_on_stderr(self):
        self.fails(says(400, "column gone"))

        self.run_job(with_manifest=False, company_id=OTHER)
        self.assertRegex(self.said(), rf"failed  {OTHER}  refused: GET .* answered 400: column gone")

        self.run_job()
        self.assertIn(f"\nfailed     {OTHER}  refused\n", self.said())
        self.assertRegex(self.said(), "\nbecause    refused: GET .* answered 400: column gone")

    def test_of_a_year_that_does_not_close_is_temporary(self):
        self.site.list_companies([COMPANY])
        self.site.profiles[COMPANY] = {2024: 3}
        self.site.fault("groups", says(400))

        self.assertEqual(self.run_job(), 4)

        fact = self.fact
        self.assertEqual((fact["status"], fact["failed"], fact["year_closed"]), ("partial", 0, False))

    def test_of_a_committed_run_is_what_it_was(self):
        for change, status in [(says(400), 3), (says(500), 4)]:
            with self.subTest(status=status):
                self.setUp()
                self.fails(change)
                self.assertEqual(self.run_job("mine"), status)
                first = self.counts()
                self.assertEqual(self.run_job("mine"), status)
                self.assertEqual(self.counts(), first)

    def test_of_outcomes_is_4_if_one_failure_may_pass(self):
        company = PlannedCompany(company_id="1", rows=1)
        temporary, permanent = NotProvedError("width", "no"), DriftedError("no")
        cases: list[tuple[list[PipelineError | None], int]] = [
            ([], 0), ([None], 0), ([permanent], 3), ([None, permanent], 3), ([temporary], 4),
            ([permanent, temporary], 4), ([BlockedError("no"), None], 4),
        ]  # fmt: skip
        for found, status in cases:
            with self.subTest(status=status, errors=len(found)):
                outcomes = [Outcome(company, None, error, Tally(), 0.0) for error in found]
                self.assertEqual(_running.status_of_outcomes(outcomes), status)

    def test_of_attempts_goes_by_the_last_of_each_slice(self):
        failed, lost = a_result("1", "failed"), a_result("2", "missing")
        passing = an_attempt("1", temporary=True)
        lasting = an_attempt("1", temporary=False, at=START.replace(hour=13))
        for results, attempts, status, expected in [
            ([failed], [lasting], "completed", 0),
            ([failed], [lasting], "failed", 3),
            ([failed], [passing, lasting], "partial", 3),
            ([failed], [passing], "partial", 4),
            ([failed], [lasting, an_attempt("1", at=START.replace(hour=14))], "failed", 4),
            ([failed], [lasting, an_attempt("1", final=False, at=START.replace(hour=14))], "failed", 3),
            ([failed, lost], [lasting], "failed", 4),
            ([failed], [], "failed", 4),
            ([failed], [lasting], "torn", 4),
            ([a_result()], [lasting], "torn", 4),
            ([a_result()], [], "partial", 4),
        ]:
            with self.subTest(status=status, expected=expected, attempts=len(attempts)):
                self.setUp()
                for attempt in attempts:
                    write_attempt(self.store, attempt)
                self.assertEqual(
                    _running.status_of_attempts(self.context(), a_manifest(*results, status=status)), expected
                )


class DryRun(JobCase):
    def test_prints_the_plan_and_what_it_costs(self):
        self.assertEqual(self.run_job(dry_run=True), 0)

        fact = self.fact
        self.assertEqual(
            {name: fact[name] for name in fact if name not in ("seconds", "requests", "job", "retries", "lake")},
            {
                "run_id": "",
                "status": "planned",
                "planned": 2,
                "already_proved": 0,
                "rows": 5,
                "bytes": 5 * 572,
                "windows": 2,
                "requests_expected": 4,
                "seconds_expected": 4.0,
                "release": "2026-06-30-00000001",
            },
        )
        self.assertIn("companies  2, 0 of them proved already\n", self.said())
        self.assertTrue(self.said().endswith(f"  {COMPANY}  3 rows\n  {OTHER}  2 rows\n"), self.said())
        self.assertEqual([key for key in self.store.writes if "runs" in key or "raw" in key], [])

    def test_names_twenty_companies_that_are_left_and_counts_the_others(self):
        for companies, last in [(20, "  19  1 rows"), (21, "  and 1 more"), (1021, "  and 1,001 more")]:
            with self.subTest(companies=companies):
                self.setUp()
                self.table.rows = [row for number in range(companies) for row in payments(str(number), 1)]
                self.run_job(dry_run=True)
                lines = [line for line in self.said().splitlines() if line.startswith("  ")]
                self.assertEqual(len(lines), 20 + (companies > 20))
                self.assertEqual(lines[-1], last)

    def test_asks_where_nobody_knows_the_rows(self):
        self.site.list_companies([COMPANY])
        self.site.fault("groups", says(400))
        self.site.fault("company", says(400))

        self.run_job(dry_run=True)

        self.assertIn(f"\n  {COMPANY}  ? rows\n", self.said())


class Upload(JobCase):
    def test_of_a_run_is_part_of_its_one_fact(self):
        target = self.folder / "other"

        self.assertEqual(self.run_job(upload_to=str(target)), 0)

        fact = self.fact
        self.assertEqual((fact["status"], fact["proved"]), ("completed", 2))
        upload = fact["upload"]
        self.assertGreater(upload.pop("bytes"), 1000)
        self.assertEqual(upload, {"status": "uploaded", "to": target.as_uri(), "planned": 11, "copied": 11, "same": 0})
        self.assertTrue((target / lake_layout.runs.manifest(fact["run_id"])).exists())
        self.assertFalse((target / ".scratch").exists())

    def test_of_a_run_that_is_done_copies_what_is_missing(self):
        self.run_job()
        _ = self.fact

        for status in ("uploaded", "already uploaded"):
            self.assertEqual(self.run_job(upload_to=str(self.folder / "other")), 0)
            self.assertEqual(self.fact["upload"]["status"], status)

    def test_leaves_the_status_of_the_run_as_it_is(self):
        self.fails(says(400))

        self.assertEqual(self.run_job(upload_to=str(self.folder / "other")), 3)
        fact = self.fact
        self.assertEqual((fact["status"], fact["upload"]["status"]), ("partial", "uploaded"))

    def test_needs_a_committed_run(self):
        with self.assertRaisesRegex(NotFoundError, "has no run r1"):
            _running.upload(self.context(), "r1", str(self.folder), overwrite=False, dry_run=False)
        plans.write_plan(self.store, a_plan())
        with self.assertRaisesRegex(DataError, "run r1 is not committed. Commit it with write_manifest first"):
            _running.upload(self.context(), "r1", str(self.folder), overwrite=False, dry_run=False)

    def test_does_as_it_is_told_and_names_each_file(self):
        self.run_job("r1")
        target = self.folder / "other"

        def upload(*, overwrite: bool = False, dry_run: bool = False) -> tuple[str, int]:
            fact = _running.upload(self.context(), "r1", str(target), overwrite=overwrite, dry_run=dry_run)
            return fact["status"], fact["copied"]

        self.assertEqual(upload(dry_run=True), ("planned", 0))
        self.assertIn(f"would copy  {lake_layout.runs.plan('r1')}\n", self.said())
        self.assertEqual(upload(), ("uploaded", 11))
        self.assertIn(f"copied  {lake_layout.runs.plan('r1')}\n", self.said())
        (target / lake_layout.runs.plan("r1")).write_text("other")
        with self.assertRaises(ConflictError):
            upload()
        self.assertFalse((target / ".scratch").exists())
        self.assertEqual(upload(overwrite=True), ("uploaded", 11))
        self.assertEqual(
            DirectoryStore(target).get(lake_layout.runs.plan("r1")), self.store.get(lake_layout.runs.plan("r1"))
        )


class ResolveIds(JobCase):
    def resolve(self, *years: int, refresh: bool = False) -> dict[str, Any]:
        self.site.asked.clear()
        self.ran = self.context()
        return resolve_ids.resolve(self.ran, "general-payments", years, refresh=refresh)

    def test_gives_the_ids_of_all_years_and_says_which_are_missing(self):
        older = self.site.publish(2023)
        self.site.unpublished[2025] = dataset_id_of(2025)

        fact = self.resolve()

        self.assertEqual(fact["status"], "resolved")
        self.assertEqual(
            fact["years"],
            {
                str(one.year): {
                    "dataset_id": one.dataset_id,
                    "distribution_id": one.distribution_id,
                    "modified": "2026-06-30",
                    "route": "catalogue",
                }
                for one in (older, self.table)
            },
        )
        self.assertEqual(list(fact["unresolved"]), ["2025"])
        self.assertEqual((self.ran._stores_log, bool(self.ran.run_id)), (True, True))

    def test_asks_nothing_while_its_cache_is_fresh(self):
        self.site.publish(2023)
        first = self.resolve()

        for years, found in [((), ["2023", "2024"]), ((2023,), ["2023"])]:
            fact = self.resolve(*years)
            with self.subTest(years=years):
                self.assertEqual((fact["status"], list(fact["years"]), self.site.asked), ("cached", found, []))
                self.assertEqual(fact["years"]["2023"], first["years"]["2023"])
                self.assertFalse(self.ran._stores_log)
        self.assertEqual(self.resolve(refresh=True)["status"], "resolved")
        self.world.later(days=8)
        self.assertEqual(self.resolve()["status"], "resolved")

    def test_does_not_take_the_year_of_a_run_for_all(self):
        self.site.publish(2023)
        self.run_job()

        fact = self.resolve()

        self.assertEqual((fact["status"], list(fact["years"])), ("resolved", ["2023", "2024"]))

    def test_asks_where_one_of_the_years_is_not_cached(self):
        self.site.publish(2023)
        self.run_job()

        self.assertEqual(self.resolve(2024)["status"], "cached")
        self.assertEqual(list(self.resolve(2023, 2024)["years"]), ["2023", "2024"])
        self.assertIn("catalogue", self.site.kinds())

    def test_fails_loudly_for_a_year_that_is_none_or_not_out_yet(self):
        self.site.unpublished[2025] = dataset_id_of(2025)

        with self.assertRaises(UsageError) as caught:
            self.resolve(2024, 2011, 2012)
        self.assertEqual(
            str(caught.exception), "the source has no program year 2011, 2012 of general-payments; it has 2024."
        )
        with self.assertRaisesRegex(NotFoundError, "2025 of general-payments is listed .* but not published"):
            self.resolve(2024, 2025)
        self.assertEqual(list(self.resolve(2024)["years"]), ["2024"])

    def test_keeps_the_run_id_it_is_given(self):
        context = self.context("mine")

        resolve_ids.resolve(context, "general-payments", (), refresh=False)

        self.assertEqual(context.run_id, "mine")


class BuildTotals(JobCase):
    def build(self, **choice: Any) -> dict[str, Any]:
        self.ran = self.context()
        return build_totals.build(self.ran, "general-payments", 2024, TotalsChoice(**choice))

    def test_counts_and_says_what_it_found(self):
        self.assertEqual(
            self.build(),
            {
                "status": "built",
                "dataset": "general-payments",
                "year": 2024,
                "release": a_release(self.table).name,
                "counted_by": "grouped",
                "companies": 2,
                "companies_in_error": 0,
                "rows": 5,
                "source_rows": 5,
            },
        )
        self.assertEqual((self.ran._stores_log, bool(self.ran.run_id)), (True, True))

    def test_reuses_what_is_fresh(self):
        self.build()

        self.assertEqual(self.build()["status"], "cached")
        self.assertFalse(self.ran._stores_log)
        self.assertEqual(self.build(rescrape=True)["status"], "built")

    def test_counts_the_companies_nobody_could_count(self):
        self.site.list_companies([COMPANY, OTHER])
        self.site.profiles |= {COMPANY: {2024: 3}, OTHER: {2024: 2}}
        self.site.fault("company", says(400), when=lambda asked: asked.path.endswith(OTHER))

        fact = self.build(route="entities")

        self.assertEqual(
            (fact["counted_by"], fact["companies"], fact["companies_in_error"], fact["rows"]), ("entities", 2, 1, 3)
        )
        self.assertEqual(self.build(add_year=False)["status"], "cached")

    def test_does_not_add_a_year_where_that_is_forbidden(self):
        self.build()
        self.site.publish(2023)

        with self.assertRaises(UsageError):
            build_totals.build(self.context(), "general-payments", 2023, TotalsChoice(add_year=False))

    def test_keeps_the_run_id_it_is_given(self):
        context = self.context("mine")

        build_totals.build(context, "general-payments", 2024, TotalsChoice())

        self.assertEqual(context.run_id, "mine")

import contextlib
import json
from datetime import timedelta
from typing import Any

from structlog.testing import capture_logs

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import DATASETS, OWNERSHIP
from data_pipeline.open_payments.fetch.crew import Outcome
from data_pipeline.open_payments.ledger import open_work, plans
from data_pipeline.open_payments.ledger.audits import keys_of, read_attempts
from data_pipeline.open_payments.ledger.committed import proved_slices
from data_pipeline.open_payments.ledger.documents import Manifest, PayerCount, PlannedCompany
from data_pipeline.open_payments.operations.gc import unnamed
from data_pipeline.open_payments.operations.status import progress_of_run
from data_pipeline.open_payments.operations.verify import Fault, verify_run
from data_pipeline.open_payments.pipeline import PreparedRun
from data_pipeline.open_payments.source.reference_count import HalfImportedError
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.open_payments.windows import ROWS_PER_WINDOW
from etl_core.errors import (
    BlockedError,
    ConflictError,
    DataError,
    NotFoundError,
    StoppedError,
    UnreachableError,
    UsageError,
)
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    TITLES,
    Reply,
    WorldCase,
    a_release,
    a_selection,
    blocks,
    dataset_id_of,
    edits,
    nobody_answers,
    payments,
    read_csv,
    says,
    sends,
)

THIRD = "100000000077"
TOTALS = "metadata/totals/dataset=general-payments/openpayments_companies_totals_by_year_14-07-2026.json"


class PipelineCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.table = self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2) + payments(THIRD, 1))

    def prepare(
        self,
        run_id: str = "",
        *,
        dry_run: bool = False,
        trust_count: bool = False,
        totals: TotalsChoice | None = None,
        **selection: Any,
    ) -> PreparedRun:
        return self.world.pipeline.prepare(
            a_selection(**selection), run_id, totals or TotalsChoice(), trust_count=trust_count, dry_run=dry_run
        )

    def run_all(self, run_id: str = "", **selection: Any) -> tuple[Manifest, list[Outcome]]:
        prepared = self.prepare(run_id, **selection)
        if prepared.manifest is not None:
            return prepared.manifest, []
        outcomes = self.world.pipeline.work(prepared)
        return self.world.pipeline.commit(prepared.plan, outcomes), outcomes

    def fails(self, change: Any, company_id: str = OTHER, times: int = NEVER) -> None:
        self.site.fault("download", change, times, when=lambda asked: asked["conditions[0][value]"] == company_id)

    def wrote(self, since: int = 0) -> list[str]:
        """Keys written, short: of a run its file, of a slice its company and file."""
        return [key.rpartition("company_id=")[2] if "company_id=" in key else key.rpartition("/")[2]
                for key in self.store.writes[since:]]  # fmt: skip


POINTER = lake_layout.runs.pointer("", START, "2026-07-14T12-00-00")


class ARun(PipelineCase):
    def test_goes_from_a_year_to_a_manifest(self):
        """S2.5: one way from a year to its manifest."""
        self.world.streams = 1

        manifest, outcomes = self.run_all()

        self.assertEqual(
            self.wrote(),
            [
                "dataset_ids_cache.json",
                TOTALS.rpartition("/")[2],
                f"distribution_id={self.table.distribution_id}.json",
                "schema.json",
                "6",
                *[POINTER] * 2,
                "plan.json",
                *[f"{one}/{file}" for one in (COMPANY, OTHER, THIRD)
                  for file in ("part-1-of-1.csv", "part-1-of-1.json", "slice.jsonl")],
                *[POINTER] * 2,
                "manifest.json",
                "file_audits.jsonl",
                "download_report_2024.csv",
            ],
        )  # fmt: skip
        self.assertEqual((manifest.run_id, manifest.status, manifest.rows), ("2026-07-14T12-00-00", "completed", 6))
        self.assertEqual((manifest.files_planned, manifest.closure.closed), (3, True))
        self.assertEqual([outcome.error for outcome in outcomes], [None] * 3)
        slices = ["download", "count"] * 3
        self.assertEqual(
            self.site.kinds(), ["catalogue", "table", "rows", "catalogue", "sum", "groups", *slices, "table", "groups"]
        )

    def test_shows_its_progress(self):
        self.run_all(max_files=2)

        progress = self.world.progress
        self.assertEqual(
            progress.begun,
            [("counting rows per company", 0, 0), ("general-payments 2024, the first 2 companies", 2, 5)],
        )
        self.assertEqual((progress.slices, progress.rows, progress.stopped), (2, 5, 2))

    def test_of_one_company_counts_that_one(self):
        manifest, _ = self.run_all(company_id=OTHER)

        self.assertEqual((manifest.files_planned, manifest.rows, manifest.status), (1, 2, "completed"))
        self.assertNotIn("groups", self.site.kinds())
        self.assertNotIn(TOTALS, self.store.writes)
        plan = plans.require_plan(self.store, manifest.run_id)
        self.assertEqual((plan.counts_from, plan.companies), ("count", (PlannedCompany(company_id=OTHER, rows=2),)))

    def test_of_several_companies_counts_these_and_refuses_all_if_one_does_not_exist(self):
        self.site.list_companies([COMPANY, OTHER])
        manifest, _ = self.run_all(company_ids=(OTHER, COMPANY))

        self.assertEqual((manifest.files_planned, manifest.status), (2, "completed"))
        plan = plans.require_plan(self.store, manifest.run_id)
        self.assertEqual([one.company_id for one in plan.companies], [COMPANY, OTHER])
        with self.assertRaisesRegex(NotFoundError, "there is no company 999"):
            self.run_all(company_ids=(OTHER, "999"))

    def test_of_a_listed_company_without_rows_is_proved_empty(self):
        self.site.list_companies(["42"])
        manifest, _ = self.run_all(company_id="42")

        self.assertEqual((manifest.totals, manifest.status), ({"empty": 1}, "completed"))

    def test_of_all_in_parts_closes_the_year_between_them(self):
        parts = [self.run_all(slice_of=f"{k}/2")[0] for k in (1, 2)]

        self.assertEqual([part.files_planned for part in parts], [2, 1])
        whole, outcomes = self.run_all()
        self.assertEqual((whole.status, whole.closure.closed, outcomes), ("completed", True, []))
        self.assertEqual(len(self.site.of_kind("download")), 3)

    def test_keeps_totals_only_where_it_counted_all(self):
        self.run_all(max_files=2)
        self.assertNotIn(TOTALS, self.store.writes)

        self.run_all(max_files=2, slice_of="1/2")  # every second of all companies needs all
        self.assertIn(TOTALS, self.store.writes)

    def test_counts_again_what_the_totals_know_from_company_pages_only(self):
        self.site.list_companies([COMPANY])
        self.site.profiles[COMPANY] = {2024: 99}

        manifest, _ = self.run_all_from(TotalsChoice(route="entities"))

        self.assertEqual((manifest.rows, manifest.slices[0].rows_expected), (3, 99))
        self.assertEqual(self.reasons(manifest), [])
        self.assertEqual(self.site.kinds().count("count"), 2)
        self.assertEqual((manifest.status, manifest.closure.closed), ("partial", False))

    def run_all_from(self, totals: TotalsChoice) -> tuple[Manifest, list[Outcome]]:
        prepared = self.prepare(totals=totals)
        outcomes = self.world.pipeline.work(prepared)
        return self.world.pipeline.commit(prepared.plan, outcomes), outcomes

    def reasons(self, manifest: Manifest) -> list[str]:
        return [one.reason for one in read_attempts(self.store, manifest.run_id)]

    def test_takes_its_totals_as_it_is_told(self):
        self.prepare(totals=TotalsChoice(route="grouped"))
        self.site.publish(2023, payments(COMPANY, 1, year=2023))
        with self.assertRaisesRegex(UsageError, "--add-year-if-missing"):
            self.prepare(year=2023, totals=TotalsChoice(add_year=False))

        self.site.asked.clear()
        self.prepare(max_files=2, totals=TotalsChoice(rescrape=True))
        self.assertIn("groups", self.site.kinds())

    def test_with_a_failed_slice_is_partial(self):
        self.fails(says(400))

        manifest, outcomes = self.run_all()

        self.assertEqual((manifest.status, manifest.files_failed, manifest.rows), ("partial", 1, 4))
        self.assertEqual([one.reason for one in manifest.slices], ["", "refused", ""])
        self.assertEqual({type(outcome.error) for outcome in outcomes}, {DataError, type(None)})
        self.assertEqual(self.reasons(manifest), ["refused"])

    def test_blocked_by_the_edge_asks_nothing_more(self):
        self.world.streams = 1
        self.fails(blocks, COMPANY)

        manifest, outcomes = self.run_all_from(TotalsChoice())

        self.assertEqual(self.site.kinds()[-2:], ["groups", "download"])
        self.assertEqual({type(outcome.error) for outcome in outcomes}, {BlockedError})
        self.assertEqual((manifest.status, manifest.release_at_end), ("failed", manifest.release))

    def test_in_pages_does_as_told(self):
        prepared = self.prepare()

        self.world.pipeline.work(prepared, "pages")

        self.assertEqual({asked["limit"] for asked in self.site.of_kind("download")}, {"5000"})

    def test_that_is_stopped_keeps_what_is_proved(self):
        def stops(real: Reply) -> Reply:
            self.world.stop.request()
            return real

        self.world.streams = 1
        self.fails(stops)
        prepared = self.prepare()

        with self.assertRaises(StoppedError):
            self.world.pipeline.work(prepared)

        self.assertEqual(self.world.progress.stopped, len(self.world.progress.begun))
        self.assertEqual(self.wrote()[-1], f"{COMPANY}/slice.jsonl")


class ARunAgain(PipelineCase):
    def test_after_a_completed_one_asks_little_and_writes_nothing(self):
        first, _ = self.run_all()
        writes, asked = list(self.store.writes), len(self.site.asked)
        self.world.later(days=1)

        prepared = self.prepare()

        self.assertEqual((prepared.manifest, prepared.todo), (first, []))
        self.assertEqual(self.store.writes, writes)
        self.assertEqual(self.site.kinds()[asked:], ["table"])

    def test_after_a_break_goes_on_where_it_ended(self):
        """S2.3: a crash resumes without downloading finished work again."""
        prepared = self.prepare()
        self.world.pipeline.work(PreparedRun(prepared.plan, prepared.resolved, {OTHER, THIRD}))
        self.world.later(minutes=5)

        again = self.prepare()
        self.assertEqual((again.plan, again.proved, again.manifest), (prepared.plan, {COMPANY}, None))
        self.assertEqual((prepared.joined, again.joined), (False, True))
        self.assertEqual([company.company_id for company in again.todo], [OTHER, THIRD])
        outcomes = self.world.pipeline.work(again)
        manifest = self.world.pipeline.commit(again.plan, outcomes)

        self.assertEqual((manifest.status, manifest.rows, manifest.run_id), ("completed", 6, prepared.plan.run_id))
        asked = [one["conditions[0][value]"] for one in self.site.of_kind("download")]
        self.assertEqual(sorted(asked), [COMPANY, OTHER, THIRD])

    def test_after_a_failure_is_a_new_run_that_takes_up_what_was_left(self):
        self.fails(says(400), times=1)
        first, _ = self.run_all()
        self.world.later(minutes=5)

        second, outcomes = self.run_all()

        self.assertEqual((first.status, second.status), ("partial", "completed"))
        self.assertNotEqual(first.run_id, second.run_id)
        self.assertEqual([outcome.company.company_id for outcome in outcomes], [OTHER])
        self.assertEqual((second.files_downloaded, second.rows), (3, 6))
        self.assertEqual(plans.read_manifest(self.store, first.run_id), first)

    def test_within_the_same_second_has_a_name_of_its_own(self):
        self.fails(says(400), times=1)

        names = [self.run_all()[0].run_id, self.run_all()[0].run_id]

        self.assertEqual(names, ["2026-07-14T12-00-00", "2026-07-14T12-00-00-2"])

    def test_after_a_new_publication_begins_again(self):
        self.run_all()
        self.site.publish(2024, payments(COMPANY, 6), modified="2027-01-23")

        second, _ = self.run_all()

        self.assertEqual((second.release.modified, second.rows, second.status), ("2027-01-23", 6, "completed"))
        self.assertEqual(len({key for key in self.world.parts() if COMPANY in key}), 2)

    def test_under_a_name_of_its_own_is_found_by_it(self):
        first, _ = self.run_all("mine")
        self.assertEqual(first.run_id, "mine")

        self.assertEqual(self.prepare("mine").manifest, first)
        self.assertIsNone(self.prepare("other").manifest)
        self.assertEqual(self.prepare("other").plan.run_id, "other")

    def test_under_a_name_whose_run_is_over_takes_up_what_it_left_under_the_next(self):
        """A scheduler that names its runs tries again under the same name."""
        self.fails(says(500))
        first, _ = self.run_all("mine")
        self.site._faults.clear()
        second, _ = self.run_all("mine")
        third, _ = self.run_all("mine")
        self.site.publish(2024, payments(COMPANY, 6), modified="2027-01-23")
        fourth, _ = self.run_all("mine")

        self.assertEqual((first.run_id, first.status), ("mine", "partial"))
        self.assertEqual((second.run_id, second.status), ("mine-2", "completed"))
        self.assertEqual(third, second)
        self.assertEqual((fourth.run_id, fourth.release.modified), ("mine-3", "2027-01-23"))

    def test_under_the_name_of_another_is_a_conflict(self):
        self.run_all("mine", max_files=1)

        with self.assertRaises(ConflictError) as caught:
            self.prepare("mine")
        self.assertEqual(
            str(caught.exception),
            "run mine is planned already, for general-payments 2024, the first company. "
            "Choose another --run-id, or leave it out.",
        )


class ARunThatOthersAreAtWorkOn(PipelineCase):
    def test_is_worked_on_in_another_order_by_whoever_joins_it(self):
        """In the same order each would fetch every window at the same time as the other."""
        rows = [row for number in range(30) for row in payments(str(100 + number), 1 + number)]
        self.site.publish(2024, rows, modified="2027-01-23")
        self.site.summarise(y2024=len(rows))
        first, second = self.prepare(), self.prepare()
        self.world.streams = 1

        asked = []
        for prepared in (first, second):
            self.site.asked.clear()
            self.site.fault("download", says(400, "no"), NEVER)  # each is asked for once, and nothing proved
            self.world.pipeline.work(prepared)
            asked.append([one["conditions[0][value]"] for one in self.site.of_kind("download")])

        self.assertEqual(asked[0], sorted(asked[0], reverse=True))
        self.assertNotEqual(asked[1], asked[0])


class Killed(Exception):
    """The process is gone, and all it held."""


class MortalStore(MemoryStore):
    """A lake whose writer is killed right after so many writes more."""

    left = NEVER

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        done = super().put_new(key, body, sha256=sha256)
        self.die()
        return done

    def put(self, key: str, body: Body) -> None:
        super().put(key, body)
        self.die()

    def die(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


class ATableThatMoves(PipelineCase):
    """Under its release, as while it is imported to its end: every answer of the source is consistent."""

    def grow(self, company_id: str = OTHER) -> None:
        self.table.rows += payments(company_id, 1, first=len(self.table.rows) + 9)

    def verify(self, run_id: str, *, against_source: bool = False) -> list[Fault]:
        source = self.world.source if against_source else None
        check_stop = self.world.stop.check
        return verify_run(
            self.store, run_id, source=source, progress=self.world.progress, check_stop=check_stop
        ).findings

    def grown_run(self) -> Manifest:
        """A run of the whole year under which one payer grew once its slice was closed."""
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.grow()
        return self.world.pipeline.commit(prepared.plan, outcomes)

    def test_leaves_the_year_open_and_names_who_grew(self):
        manifest = self.grown_run()

        self.assertEqual((manifest.status, manifest.closure.closed, manifest.files_failed), ("partial", False, 1))
        self.assertEqual(manifest.closure.moved, (PayerCount(company_id=OTHER, rows=2, source_rows=3),))
        self.assertEqual([(one.verdict, one.reason) for one in manifest.slices],
                         [("proved", ""), ("failed", "grew"), ("proved", "")])  # fmt: skip
        self.assertIn(f"{OTHER} has 3 rows at the source, 2 here", manifest.closure.note)
        self.assertNotIn(OTHER.encode(), self.store.get(lake_layout.runs.file_audits(manifest.run_id)) or b"")
        self.assertEqual(self.verify(manifest.run_id), [])

    def test_is_closed_by_the_same_command_which_proves_again_who_grew_and_nobody_else(self):
        first = self.grown_run()
        before = {key: self.store.get(key) for key in self.world.parts()}
        self.site.asked.clear()
        self.world.later(minutes=5)

        second, outcomes = self.run_all()

        self.assertEqual([outcome.company.company_id for outcome in outcomes], [OTHER])
        self.assertEqual([one["conditions[0][value]"] for one in self.site.of_kind("download")], [OTHER])
        self.assertEqual((second.status, second.closure.closed, second.rows), ("completed", True, 7))
        self.assertEqual([one.generation for one in second.slices], [1, 2, 1])
        keys = keys_of(second.release, OTHER)
        self.assertEqual(set(self.world.parts()) - before.keys(), {keys.part(1, 1, 2)})
        self.assertEqual(before, {key: self.store.get(key) for key in before}, "nothing was overwritten")
        self.assertIn(keys.slice_audit(2), self.store.writes)
        self.assertEqual(self.run_all(), (second, []))
        for run_id in (first.run_id, second.run_id):
            self.assertEqual(self.verify(run_id), [])
        self.assertEqual(self.verify(second.run_id, against_source=True), [])
        self.assertEqual(progress_of_run(self.store, second.run_id, self.world.now())["rows"], 7)
        self.assertEqual(list(unnamed(self.store, self.world.now() + timedelta(days=9))), [])

    def test_after_its_run_was_completed_is_looked_at_again_by_the_same_command(self):
        first, _ = self.run_all()
        self.grow()
        self.world.later(minutes=5)

        second, outcomes = self.run_all()

        self.assertEqual((first.status, second.status, second.rows), ("completed", "completed", 7))
        self.assertEqual([outcome.company.company_id for outcome in outcomes], [OTHER])
        self.assertEqual(self.verify(first.run_id), [], "the older manifest names the older proof")
        found = proved_slices(self.store, second.release)[OTHER]
        self.assertEqual((found.rows, found.parts[0].generation), (3, 2))

    def test_whose_count_is_misread_once_is_not(self):
        first, _ = self.run_all()
        self.site.fault("table", edits(lambda body: body.replace(b'"count": 6', b'"count": 7')))

        self.assertEqual(self.run_all(), (first, []))

    def test_up_and_down_alike_is_found_by_its_payers(self):
        """The sum is what it was, the totals in the cache look right, and only the payers tell."""
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.grow()
        self.table.rows.remove(next(row for row in self.table.rows if row[1] == COMPANY))
        first = self.world.pipeline.commit(prepared.plan, outcomes)
        self.world.later(minutes=5)

        second, outcomes = self.run_all()

        self.assertEqual({one.reason for one in first.slices}, {"shrank", "grew", ""})
        self.assertEqual({outcome.company.company_id for outcome in outcomes}, {OTHER, COMPANY})
        self.assertEqual((second.status, second.rows), ("completed", 6))

    def test_and_back_again_costs_a_third_proof_of_the_first_part(self):
        self.run_all()
        self.grow()
        self.world.later(minutes=5)
        self.run_all()
        self.table.rows.pop()
        self.world.later(minutes=5)

        third, _ = self.run_all()

        self.assertEqual((third.status, third.rows, third.slices[1].generation), ("completed", 6, 3))
        self.assertEqual(len([key for key in self.world.parts() if OTHER in key]), 2)
        self.assertEqual(self.verify(third.run_id), [])

    def test_of_which_only_company_pages_tell_is_closed_alike(self):
        self.site.list_companies([COMPANY, OTHER, THIRD])
        self.site.profiles = {one: {2024: 99} for one in (COMPANY, OTHER, THIRD)}
        choice = TotalsChoice(route="entities")
        prepared = self.prepare(totals=choice)
        outcomes = self.world.pipeline.work(prepared)
        self.grow()
        self.assertEqual(self.world.pipeline.commit(prepared.plan, outcomes).status, "partial")

        prepared = self.prepare(totals=choice)

        self.assertEqual([one.company_id for one in prepared.todo], [OTHER])
        outcomes = self.world.pipeline.work(prepared)
        self.assertEqual(self.world.pipeline.commit(prepared.plan, outcomes).status, "completed")

    def test_is_counted_again_for_a_single_company_whose_run_was_never_committed(self):
        """download_company commits nothing."""
        self.world.pipeline.work(self.prepare(company_id=OTHER))
        self.assertEqual(self.prepare(company_id=OTHER).todo, [])
        self.grow()

        prepared = self.prepare(company_id=OTHER)
        (outcome,) = self.world.pipeline.work(prepared)

        self.assertEqual((outcome.error, outcome.result.rows, outcome.result.generation), (None, 3, 2))
        self.assertEqual(self.prepare(company_id=OTHER).todo, [])

    def test_brings_a_payer_nobody_planned_who_is_named_and_then_fetched(self):
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.table.rows += payments("7", 2)
        first = self.world.pipeline.commit(prepared.plan, outcomes)
        self.site.asked.clear()

        second, outcomes = self.run_all()

        self.assertEqual((first.status, first.closure.closed, first.files_failed), ("partial", False, 0))
        self.assertEqual(first.closure.unplanned, (PayerCount(company_id="7", rows=0, source_rows=2),))
        self.assertEqual([outcome.company.company_id for outcome in outcomes], ["7"])
        self.assertEqual(len(self.site.of_kind("download")), 1)
        self.assertEqual((second.status, second.closure.closed, second.rows), ("completed", True, 8))
        self.assertEqual([self.verify(one.run_id) for one in (first, second)], [[], []])

    def test_has_payers_whom_the_company_list_lacks_and_the_same_command_fetches_them(self):
        """By the same route, which cannot know of them: the run before says who they are."""
        self.site.list_companies([COMPANY, OTHER])
        self.site.profiles = {one: {2024: 99} for one in (COMPANY, OTHER)}
        choice = TotalsChoice(route="entities")
        first, _ = self.run_all_by(choice)

        second, outcomes = self.run_all_by(choice)

        self.assertEqual([one.company_id for one in first.closure.unplanned], [THIRD])
        self.assertEqual([outcome.company.company_id for outcome in outcomes], [THIRD])
        self.assertEqual((first.status, second.status, second.closure.closed), ("partial", "completed", True))

    def run_all_by(self, choice: TotalsChoice) -> tuple[Manifest, list[Outcome]]:
        prepared = self.prepare(totals=choice)
        outcomes = self.world.pipeline.work(prepared)
        return self.world.pipeline.commit(prepared.plan, outcomes), outcomes

    def test_is_what_a_rerun_takes_up_too(self):
        first = self.grown_run()

        for what in ("failed", "missing"):
            with self.subTest(what=what):
                _, left = open_work.open_companies(self.store, first.run_id, what)
                self.assertEqual(left, (PlannedCompany(company_id=OTHER, rows=3),))

    def test_and_brings_new_payers_leaves_them_missing_to_a_rerun(self):
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.table.rows += payments("7", 2)
        first = self.world.pipeline.commit(prepared.plan, outcomes)

        self.assertEqual(open_work.open_companies(self.store, first.run_id, "missing")[1],
                         (PlannedCompany(company_id="7", rows=2),))  # fmt: skip
        self.assertEqual(open_work.open_companies(self.store, first.run_id, "failed")[1], ())

    def test_may_be_proved_again_by_a_run_that_is_killed_after_any_write(self):
        for writes in range(1, 21):
            with self.subTest(writes=writes):
                self.setUp()
                self.world.streams = 1
                store = self.world.store = MortalStore()
                first = self.grown_run()
                self.world.later(minutes=5)
                store.left = writes
                with contextlib.suppress(Killed):
                    self.run_all()
                finished = store.left > 0
                store.left = NEVER
                self.world.later(minutes=5)

                last, _ = self.run_all()

                self.assertEqual((last.status, last.rows, last.slices[1].generation), ("completed", 7, 2))
                self.assertEqual([len([key for key in self.world.parts() if one in key]) for one in
                                  (COMPANY, OTHER, THIRD)], [1, 2, 1])  # fmt: skip
                for run_id in (first.run_id, last.run_id):
                    self.assertEqual(self.verify(run_id), [])
        self.assertTrue(finished, "the last case was not killed any more")


class Prepare(PipelineCase):
    def test_of_a_dry_run_plans_and_writes_nothing_of_the_run(self):
        prepared = self.prepare(dry_run=True)

        self.assertEqual(len(prepared.todo), 3)
        self.assertEqual([key for key in self.store.writes if "runs/" in key or "schemas/" in key], [])

    def test_knows_what_other_runs_have_proved(self):
        self.run_all(max_files=1)

        for dry_run in (True, False):
            with self.subTest(dry_run=dry_run):
                prepared = self.prepare(dry_run=dry_run)
                self.assertEqual(prepared.proved, {COMPANY})
                self.assertEqual([one.company_id for one in prepared.todo], [OTHER, THIRD])
                found = self.world.pipeline.forecast(prepared)
                self.assertEqual((found.companies, found.already_proved, found.rows, found.windows), (3, 1, 3, 2))

    def test_forecasts_for_its_streams(self):
        prepared = self.prepare()
        seconds = []
        for streams in (1, 2):
            self.world.streams = streams
            seconds.append(self.world.pipeline.forecast(prepared).seconds)

        self.assertEqual(seconds, [12.0, 6.0])

    def test_pins_what_the_run_is_about(self):
        plan = self.prepare("r1", max_files=2).plan

        self.assertEqual(plan.release, a_release(self.table))
        self.assertEqual((plan.source_rows, plan.counts_from, plan.created_at), (6, "grouped", START))
        self.assertEqual(plan.selection, a_selection(max_files=2))
        self.assertEqual(
            plan.companies, (PlannedCompany(company_id=COMPANY, rows=3), PlannedCompany(company_id=OTHER, rows=2))
        )
        self.assertEqual(json.loads(self.store.get(lake_layout.runs.plan("r1")) or b""), plan.model_dump(mode="json"))

    def test_refuses_a_table_in_which_nothing_can_be_proved(self):
        """However the run would count, and before it downloads."""
        for missing in ("Record_ID", "Date_of_Payment", "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"):
            for selection in ({}, {"company_id": COMPANY}, {"max_files": 1}):
                with self.subTest(missing=missing, selection=selection):
                    kept = [index for index, title in enumerate(TITLES) if title != missing]
                    rows = [tuple(row[index] for index in kept) for row in payments(COMPANY, 3)]
                    self.site.publish(2024, rows, titles=tuple(TITLES[index] for index in kept))
                    with self.assertRaisesRegex(DataError, missing):
                        self.prepare(**selection)
        self.assertEqual([key for key in self.store.writes if "runs/" in key], [])

    def test_refuses_a_year_that_is_none_or_not_out_yet(self):
        self.site.unpublished[2025] = dataset_id_of(2025)

        with self.assertRaises(UsageError):
            self.prepare(year=2012)
        with self.assertRaises(NotFoundError):
            self.prepare(year=2025)


class EveryDataset(PipelineCase):
    """The dataset selected is the dataset fetched, whatever else the year has."""

    def test_is_fetched_proved_and_committed_under_its_own_name(self):
        for number, (name, dataset) in enumerate(DATASETS.items(), 1):
            with self.subTest(dataset=name):
                rows = payments(COMPANY, number, dataset=dataset)
                table = self.site.publish(2024, rows, dataset=dataset)
                manifest, _ = self.run_all(dataset=name)
                self.assertEqual((manifest.dataset, manifest.release), (name, a_release(table)))
                self.assertEqual((manifest.status, manifest.closure.closed, manifest.rows), ("completed", True, number))
                part = self.store.get(f"raw/dataset={name}/year=2024/release={manifest.release.name}"
                                      f"/company_id={COMPANY}/part-1-of-1.csv")  # fmt: skip
                self.assertEqual(tuple(read_csv(part or b"")[0]), table.titles)

    def test_without_a_payment_date_is_planned_and_forecast_as_one_window_a_company(self):
        self.site.publish(2024, payments(COMPANY, ROWS_PER_WINDOW + 1, dataset=OWNERSHIP), dataset=OWNERSHIP)

        manifest, _ = self.run_all(dataset=OWNERSHIP.name)

        found = self.world.pipeline.forecast(self.prepare(dataset=OWNERSHIP.name))
        self.assertEqual((manifest.status, manifest.file_audits, found.windows), ("completed", 1, 0))


class TheNameOfARelease(PipelineCase):
    """It is the first one that the lake gave, by whatever route and date the table is found later."""

    def found_otherwise(self) -> None:
        self.table.modified = "2026-07-09"
        self.store.delete(lake_layout.open_payments.DATASET_IDS_CACHE)

    def test_a_completed_run_stays_done_under_another_date(self):
        manifest, _ = self.run_all()
        self.found_otherwise()

        again = self.prepare()

        self.assertEqual(again.manifest, manifest)
        self.assertEqual(again.resolved.release, manifest.release)

    def test_an_open_run_is_committed_under_another_date(self):
        plan = self.prepare().plan
        self.found_otherwise()
        manifest, _ = self.run_all()

        self.assertEqual((manifest.run_id, manifest.status), (plan.run_id, "completed"))
        self.assertEqual((manifest.release, manifest.release_at_end), (plan.release, plan.release))

    def test_another_selection_of_a_release_shares_its_proofs_under_another_date(self):
        self.run_all(company_id=COMPANY)
        self.found_otherwise()
        before = len(self.site.of_kind("download"))

        manifest, _ = self.run_all()

        self.assertEqual((manifest.status, manifest.release.modified), ("completed", "2026-06-30"))
        self.assertEqual(len(self.site.of_kind("download")) - before, 2)

    def test_a_dry_run_names_no_release(self):
        self.prepare(dry_run=True)
        self.found_otherwise()

        self.assertEqual(self.prepare().plan.release.modified, "2026-07-09")


class TheProgramYear(PipelineCase):
    """A dataset titled as one year may hold another."""

    def test_the_program_year_of_a_record_is_asked_before_anything_is_planned(self):
        self.site.publish(2024, payments(COMPANY, 3, year=2023))

        with self.assertRaisesRegex(
            DataError, "listed as 2024 of general-payments, holds records of program year 2023"
        ):
            self.prepare(dry_run=True)
        with self.assertRaises(DataError):
            self.prepare()
        self.assertEqual(self.world.parts(), [])

    def test_the_program_year_of_every_record_is_part_of_the_proof(self):
        self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2) + payments(OTHER, 1, first=3, year=2023))

        manifest, outcomes = self.run_all()

        self.assertEqual((manifest.status, manifest.closure.closed), ("partial", False))
        (failed,) = (one for one in outcomes if one.error)
        self.assertEqual((failed.company.company_id, failed.result.reason), (OTHER, "foreign"))
        self.assertIn("has Program_Year 2023, asked for was 2024", failed.detail)
        self.assertEqual([key for key in self.world.parts() if OTHER in key], [])


class TheReferenceCount(PipelineCase):
    """A table can lie consistently while it is imported."""

    def test_nothing_is_planned_from_a_table_that_lacks_rows(self):
        self.site.summarise(y2024=7)

        with self.assertRaisesRegex(HalfImportedError, "general-payments 2024 holds 6 rows, the summary .* says 7"):
            self.prepare()
        self.assertEqual(self.store.writes, [lake_layout.open_payments.DATASET_IDS_CACHE])
        self.assertEqual(len(self.prepare(trust_count=True).todo), 3)

    def test_the_last_run_speaks_where_there_is_no_summary(self):
        self.run_all()
        self.site.publish(2024, payments(COMPANY, 4), modified="2027-01-23")
        self.site.lose_summary()

        with self.assertRaisesRegex(
            HalfImportedError, "holds 4 rows, run 2026-07-14T12-00-00 of the release 2026-06-30"
        ):
            self.prepare()

    def test_a_run_that_is_planned_goes_on(self):
        prepared = self.prepare()
        self.site.summarise(y2024=99)

        self.assertEqual(self.prepare().plan, prepared.plan)
        self.assertNotIn("sum", self.site.kinds()[-1:])


class Commit(PipelineCase):
    def test_is_torn_where_the_release_changed_under_the_run(self):
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.site.publish(2024, payments(COMPANY, 4), modified="2027-01-23")

        manifest = self.world.pipeline.commit(prepared.plan, outcomes)

        self.assertEqual((manifest.status, manifest.files_failed), ("torn", 0))
        self.assertEqual((manifest.release.modified, manifest.release_at_end.modified), ("2026-06-30", "2027-01-23"))
        self.assertEqual(manifest.closure.source_rows, 4)

    def test_compares_with_the_count_of_the_source_now(self):
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.site.fault("groups", says(400, "no groups"))
        self.site.fault("table", edits(lambda body: body.replace(b'"count": 6', b'"count": 7')))

        with capture_logs() as logs:
            manifest = self.world.pipeline.commit(prepared.plan, outcomes)

        self.assertEqual((manifest.status, manifest.closure.source_rows, manifest.closure.compared),
                         ("partial", 7, False))  # fmt: skip
        self.assertIn("could not be compared", logs[-1]["event"])

    def test_compares_payer_by_payer_and_asks_twice_before_it_believes_a_count(self):
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        self.site.fault("table", edits(lambda body: body.replace(b'"count": 6', b'"count": 7')))

        manifest = self.world.pipeline.commit(prepared.plan, outcomes)

        self.assertEqual((manifest.status, manifest.closure.source_rows, manifest.closure.compared),
                         ("completed", 6, True))  # fmt: skip

    def test_of_a_part_of_the_year_is_compared_only_if_the_table_moved_under_it(self):
        for moves in (False, True):
            with self.subTest(moves=moves):
                prepared = self.prepare(max_files=1)
                outcomes = self.world.pipeline.work(prepared)
                if moves:
                    self.table.rows += payments(COMPANY, 1, first=9)
                manifest = self.world.pipeline.commit(prepared.plan, outcomes)
                self.assertEqual((manifest.closure.compared, manifest.status),
                                 (moves, "partial" if moves else "completed"))  # fmt: skip
                self.table.rows += payments(OTHER, 1, first=9)

    def test_goes_by_the_plan_where_the_source_is_away(self):
        """Or between two publications, when it answers 404 for what it lists, or lists nothing."""
        for change in (nobody_answers, blocks, says(500), says(404), says(400), sends({})):
            with self.subTest():
                self.setUp()
                prepared = self.prepare()
                outcomes = self.world.pipeline.work(prepared)
                self.site.fault("table", change, NEVER)
                with capture_logs() as logs:
                    manifest = self.world.pipeline.commit(prepared.plan, outcomes)
                self.assertEqual((manifest.status, manifest.release_at_end), ("completed", prepared.plan.release))
                self.assertEqual(manifest.closure.source_rows, 6)
                self.assertEqual(logs[-1]["event"], "the source could not be asked again at the end")

    def test_goes_by_the_plan_where_the_year_is_no_longer_listed(self):
        self.site.publish(2025)
        prepared = self.prepare()
        outcomes = self.world.pipeline.work(prepared)
        del self.site.tables[self.table.dataset_id]

        self.assertEqual(self.world.pipeline.commit(prepared.plan, outcomes).status, "completed")

    def test_needs_no_outcomes(self):
        """write_manifest commits what other processes did."""
        prepared = self.prepare()
        self.world.pipeline.work(prepared)
        self.world.later(hours=1)

        manifest = self.world.pipeline.commit(prepared.plan, [])

        self.assertEqual((manifest.status, manifest.rows), ("completed", 6))
        self.assertEqual((manifest.finished_at - START).total_seconds(), 3600)

    def test_takes_the_costs_of_its_own_outcomes(self):
        self.fails(says(500), times=1)

        manifest, outcomes = self.run_all()

        self.assertEqual([one.requests for one in manifest.slices], [2, 4, 2])
        self.assertEqual(sum(one.retries for one in manifest.slices), 1)
        self.assertEqual(len(outcomes), 3)


class WhenNobodyAnswers(PipelineCase):
    def test_nothing_is_begun(self):
        self.site.fault("catalogue", nobody_answers, NEVER)

        with self.assertRaises(UnreachableError):
            self.prepare()
        self.assertEqual(self.store.writes, [])

from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import open_work
from data_pipeline.open_payments.ledger.documents import Manifest
from data_pipeline.open_payments.ledger.selection import describe
from data_pipeline.open_payments.pipeline import PreparedRun
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import NotFoundError, TemporaryError
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    WorldCase,
    a_selection,
    an_attempt,
    blocks,
    payments,
    says,
)

THIRD = "100000000077"


class RerunCase(WorldCase):
    """A year of three payers; a run of it proved COMPANY, failed with OTHER, and never came to THIRD."""

    def setUp(self) -> None:
        super().setUp()
        rows = payments(COMPANY, 3) + payments(OTHER, 2) + payments(THIRD, 4)
        self.site.publish(2024, rows)
        self.site.summarise(y2024=9)
        before = self.prepare(run_id="r1")
        only = PreparedRun(before.plan, before.resolved, {OTHER, THIRD})
        self.world.pipeline.work(only)
        write_attempt(self.store, an_attempt(OTHER, release=before.plan.release))
        write_attempt(self.store, an_attempt(THIRD, release=before.plan.release, final=False))
        self.plan = before.plan

    def prepare(self, run_id: str = "", **selection: Any) -> PreparedRun:
        return self.world.pipeline.prepare(a_selection(**selection), run_id, TotalsChoice())

    def rerun(self, what: str = "failed", run_id: str = "") -> PreparedRun:
        return self.prepare(run_id, rerun_of="r1", rerun_what=what)

    def finish(self, prepared: PreparedRun) -> Manifest:
        pipeline = self.world.pipeline
        return pipeline.commit(prepared.plan, pipeline.work(prepared))


class WhatIsLeft(RerunCase):
    def test_is_what_failed_at_last_or_all_that_is_not_proved(self):
        for what, expected in {"failed": [OTHER], "missing": [OTHER, THIRD]}.items():
            with self.subTest(what=what):
                plan, companies = open_work.open_companies(self.store, "r1", what)  # type: ignore[arg-type]
                self.assertEqual(plan, self.plan)
                self.assertEqual([one.company_id for one in companies], expected)

    def test_is_all_that_the_manifest_calls_failed_whether_or_not_it_was_ever_tried(self):
        self.site.fault("download", blocks, NEVER)
        self.finish(self.prepare("r1"))

        self.assertEqual(
            [one.company_id for one in open_work.open_companies(self.store, "r1", "failed")[1]], [OTHER, THIRD]
        )

    def test_is_nothing_that_another_run_has_proved_since(self):
        self.finish(self.prepare("r2", company_id=OTHER))

        self.assertEqual(open_work.open_companies(self.store, "r1", "failed")[1], ())

    def test_is_of_a_run_that_was_planned(self):
        with self.assertRaises(NotFoundError):
            open_work.open_companies(self.store, "r9", "failed")


class ARerun(RerunCase):
    def test_takes_what_is_left_with_the_counts_of_the_plan(self):
        prepared = self.rerun()

        plan = prepared.plan
        self.assertNotEqual(plan.run_id, "r1")
        self.assertEqual([(one.company_id, one.rows) for one in plan.companies], [(OTHER, 2)])
        self.assertEqual((plan.selection.rerun_of, plan.counts_from, plan.source_rows), ("r1", "grouped", 9))
        self.assertEqual(describe(plan.selection), "general-payments 2024, what run r1 left failed")

    def test_is_committed_as_a_part_of_the_year(self):
        manifest = self.finish(self.rerun("missing"))

        self.assertEqual((manifest.status, manifest.files_planned, manifest.rows), ("completed", 2, 6))
        self.assertFalse(manifest.selection.is_whole_year)

    def test_that_was_broken_off_is_gone_on_with(self):
        first = self.rerun()

        self.assertEqual(self.rerun().plan, first.plan)
        self.assertNotEqual(self.rerun("missing").plan.run_id, first.plan.run_id)

    def test_that_is_completed_hinders_no_other(self):
        """The run it is of may have gone on and failed with others since."""
        self.finish(self.rerun())
        write_attempt(self.store, an_attempt(THIRD, release=self.plan.release))
        self.world.later(minutes=1)

        prepared = self.rerun()

        self.assertIsNone(prepared.manifest)
        self.assertEqual([one.company_id for one in prepared.plan.companies], [THIRD])

    def test_that_fails_again_leaves_its_own_attempts(self):
        self.site.fault("download", says(500), NEVER)

        manifest = self.finish(self.rerun())

        self.assertEqual((manifest.status, [one.reason for one in manifest.slices]), ("failed", ["unavailable"]))
        self.assertTrue(list(self.store.list(lake_layout.runs.failures(manifest.run_id))))

    def test_of_a_release_that_was_replaced_is_refused_with_what_to_do_instead(self):
        self.site.publish(2024, payments(OTHER, 9))
        self.site.summarise(y2024=9)

        with self.assertRaisesRegex(TemporaryError, "published .* since.* -- --dataset general-payments --year 2024"):
            self.rerun()
        self.assertEqual(len([one for one in self.store.list(lake_layout.runs.RUNS) if "plan.json" in one.key]), 1)

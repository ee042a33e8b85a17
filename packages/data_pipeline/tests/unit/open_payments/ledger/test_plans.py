from datetime import UTC, datetime, timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import plans
from data_pipeline.open_payments.ledger.documents import Release
from data_pipeline.runs.plans import MOST_RUNS_OF_A_NAME, default_run_id, write_plan
from etl_core.errors import ConflictError, DataError, NotFoundError
from packages.data_pipeline.tests.unit.fakes import (
    START,
    a_manifest,
    a_plan,
    a_release,
    a_selection,
)
from packages.data_pipeline.tests.unit.open_payments.ledger.runs_case import RunsCase

LATER = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035", modified="2027-01-23")


class Names(RunsCase):
    def test_names_of_runs_are_the_start_in_utc(self):
        self.assertEqual(default_run_id(datetime(2026, 2, 18, 17, 20, 33, 999999, UTC)), "2026-02-18T17-20-33")

    def begun(self, **changes: Any) -> str:
        return write_plan(self.store, a_plan(run_id="2026-07-14T12-00-00", **changes)).run_id

    def test_names_of_runs_that_begin_within_one_second_differ(self):
        names = ["2026-07-14T12-00-00", "2026-07-14T12-00-00-2", "2026-07-14T12-00-00-3"]
        for number, name in enumerate(names, 1):
            self.assertEqual(self.begun(max_files=number), name)
            plan = plans.read_plan(self.store, name)
            self.assertEqual((plan and plan.run_id, plan and plan.selection.max_files), (name, number))

    def test_names_of_runs_are_shared_by_those_who_begin_the_same_run_at_once(self):
        for status, name in [(None, "2026-07-14T12-00-00"), ("partial", "2026-07-14T12-00-00-2")]:
            with self.subTest(status=status):
                self.setUp()
                theirs = self.planned("2026-07-14T12-00-00", status=status, source_rows=99)
                self.assertEqual(self.begun(), name)
                self.assertEqual(plans.read_plan(self.store, "2026-07-14T12-00-00"), theirs)

    def test_names_of_runs_of_another_release_are_not_shared(self):
        self.begun()

        self.assertEqual(self.begun(release=LATER), "2026-07-14T12-00-00-2")

    def test_run_out_after_a_thousand(self):
        other = a_plan(max_files=1).to_bytes()
        self.begun(max_files=1)
        for number in range(2, MOST_RUNS_OF_A_NAME):
            self.store.put(lake_layout.runs.plan(f"2026-07-14T12-00-00-{number}"), other)

        with self.assertRaisesRegex(ConflictError, "1000 runs are named 2026-07-14T12-00-00. Choose another --run-id"):
            self.begun()


class FindRun(RunsCase):
    def found(self, release: Release | None = None, **selection: Any) -> str | None:
        known = plans.find_run(self.store, a_selection(**selection), release or a_release())
        return known[0].run_id if known else None

    def test_find_run_finds_none_in_an_empty_lake(self):
        self.assertIsNone(self.found())

    def test_find_run_takes_up_the_unfinished_and_knows_the_completed(self):
        """A run that ended otherwise is over; a new one takes up what it left."""
        for status, found in [(None, "r1"), ("completed", "r1"), ("partial", None), ("failed", None), ("torn", None)]:
            with self.subTest(status=status):
                self.setUp()
                plan = self.planned("r1", status=status)
                known = plans.find_run(self.store, a_selection(), a_release())
                self.assertEqual(known is not None, found is not None)
                if known is not None:
                    self.assertEqual(known[0], plan)
                    self.assertEqual(known[1].status if known[1] else None, status)

    def test_a_run_id_of_another_selection_is_a_conflict(self):
        self.planned("r1", max_files=5)

        with self.assertRaisesRegex(ConflictError, "run r1 is planned already"):
            plans.find_run(self.store, a_selection(), a_release(), "r1")

    def test_find_run_takes_only_runs_of_the_same_selection_and_release(self):
        self.planned("r1", max_files=5)

        cases: list[tuple[dict[str, Any], str | None]] = [
            ({"max_files": 5}, "r1"),
            ({}, None),
            ({"max_files": 6}, None),
            ({"max_files": 5, "slice_of": "1/2"}, None),
            ({"max_files": 5, "year": 2023}, None),
            ({"max_files": 5, "release": LATER}, None),
            ({"max_files": 5, "release": a_release(modified="2026-07-01")}, "r1"),
        ]
        for selection, found in cases:
            with self.subTest(selection=selection):
                self.assertEqual(self.found(**selection), found)

    def test_find_run_takes_the_newest(self):
        self.planned("2026-07-14T12-00-00", minutes=0)
        self.planned("2026-07-14T12-05-00", minutes=5)
        self.planned("2026-07-14T12-09-00", minutes=9, max_files=1)

        self.assertEqual(self.found(), "2026-07-14T12-05-00")

    def test_find_run_goes_by_the_time_of_the_plan_and_not_by_the_name(self):
        """A name given by hand, and the tenth run within a second, stand anywhere in the alphabet."""
        self.planned("nightly", minutes=0, status="partial")
        self.planned("2026-07-14T12-05-00", minutes=5)
        self.assertEqual(self.found(), "2026-07-14T12-05-00")

        self.planned("2026-07-14T12-05-00-10", minutes=6, status="completed")
        self.assertEqual(self.found(), "2026-07-14T12-05-00-10")

    def test_find_run_does_not_go_back_behind_a_run_that_is_over(self):
        self.planned("r1", minutes=0)
        self.planned("r2", minutes=5, status="partial")

        self.assertIsNone(self.found())


class LastConfirmedRelease(RunsCase):
    """What a lake remembers of the year, where the source has no summary to compare its count with."""

    def commit(self, run_id: str, rows: int, *, minutes: float = 0, confirmed: bool = True, **changes: Any) -> None:
        self.planned(run_id)
        closure = a_manifest().closure.model_copy(update={"source_rows": rows, "confirmed": confirmed})
        finished = START + timedelta(minutes=minutes)
        manifest = a_manifest(run_id=run_id, closure=closure, finished_at=finished, **changes)
        where = manifest.dataset, manifest.year, manifest.release.name
        self.store.put_new(lake_layout.open_payments.schema(*where), b"{}")
        self.committed(manifest)

    def last(self) -> tuple[str, int] | None:
        found = plans.last_confirmed_release(self.store, LATER)
        return (found.run_id, found.closure.source_rows) if found else None

    def test_the_last_release_is_that_of_the_newest_run_of_another_one(self):
        self.assertIsNone(self.last())
        self.planned("r0")
        self.assertIsNone(self.last())
        self.commit("r9", 900, minutes=1)
        self.commit("r1", 100, minutes=2)
        self.commit("r5", 500, minutes=9, release=LATER)

        self.assertEqual(self.last(), ("r1", 100))

    def test_the_last_release_is_not_that_of_another_year_or_dataset_or_of_a_torn_or_unconfirmed_run(self):
        self.commit("r1", 100, year=2023, release=a_release(year=2023))
        self.commit("r2", 200, dataset="research-payments", release=a_release(dataset="research-payments"))
        self.commit("r3", 300, status="torn")
        self.commit("r5", 500, minutes=9, confirmed=False)
        self.assertIsNone(self.last())

        self.commit("r4", 400, status="partial")
        self.assertEqual(self.last(), ("r4", 400))


class LargestReferenceRows(RunsCase):
    """A reference count that was had once is not forgotten while the source does not answer."""

    def test_the_largest_reference_count_is_the_largest_that_a_plan_of_this_very_release_was_made_with(self):
        self.assertIsNone(plans.largest_reference_rows(self.store, a_release()))
        for number, (rows, release) in enumerate([(90, None), (1000, None), (None, None), (5000, LATER)]):
            write_plan(self.store, a_plan(run_id=f"r{number}", reference_rows=rows, release=release))

        self.assertEqual(plans.largest_reference_rows(self.store, a_release()), 1000)
        self.assertEqual(plans.largest_reference_rows(self.store, LATER), 5000)

    def test_the_largest_reference_count_is_not_read_from_a_stray_file(self):
        prefix = lake_layout.open_payments.reference_counts("general-payments", 2024, a_release().name)
        for name in ("x", "-5", "7 copy", "9/9", "1" * 40):
            self.store.put(prefix + name, b"")

        self.assertIsNone(plans.largest_reference_rows(self.store, a_release()))


class Reading(RunsCase):
    def test_reading_gives_none_for_what_is_not_there(self):
        self.assertIsNone(plans.read_plan(self.store, "r1"))
        self.assertIsNone(plans.read_manifest(self.store, "r1"))
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run r1"):
            plans.require_plan(self.store, "r1")

    def test_reading_gives_what_was_written(self):
        plan = self.planned("r1", status="torn")

        self.assertEqual(plans.read_plan(self.store, "r1"), plan)
        self.assertEqual(plans.require_plan(self.store, "r1"), plan)
        self.assertEqual(plans.read_manifest(self.store, "r1"), a_manifest(status="torn"))

    def test_reading_refuses_what_it_cannot_read(self):
        for key, read, what in [
            (lake_layout.runs.plan("r1"), plans.read_plan, "plan"),
            (lake_layout.runs.manifest("r1"), plans.read_manifest, "manifest"),
        ]:
            for garbage in (b"", b"{}", b"\xff"):
                with self.subTest(what=what, garbage=garbage):
                    self.store.put(key, garbage)
                    with self.assertRaisesRegex(DataError, f"{key} is no {what.capitalize()} of .*restore it"):
                        read(self.store, "r1")


class WritePlan(RunsCase):
    def test_write_plan_writes_it_once(self):
        plan = a_plan()

        self.assertEqual(write_plan(self.store, plan), plan)
        self.assertEqual(plans.read_plan(self.store, "r1"), plan)

    def test_write_plan_takes_the_plan_another_process_of_the_run_wrote_first(self):
        theirs = self.planned("r1", source_rows=99)

        self.assertEqual(write_plan(self.store, a_plan(created_at=START + timedelta(seconds=1))), theirs)
        self.assertEqual(plans.read_plan(self.store, "r1"), theirs)

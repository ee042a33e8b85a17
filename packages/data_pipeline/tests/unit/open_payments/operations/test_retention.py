import unittest
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit, releases
from data_pipeline.open_payments.ledger.audits import Audits, keys_of
from data_pipeline.open_payments.ledger.documents import Release
from data_pipeline.open_payments.operations.retention import OwnRelease, OwnRun, old_releases, replaced
from data_pipeline.runs.plans import write_plan
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import COMPANY, START, WorldCase, a_manifest, a_plan, a_release, a_slice

LATER = START + timedelta(days=2)


def release(modified: str, digit: str) -> Release:
    return a_release(distribution_id=f"{digit * 8}-cda3-5f6b-a501-b76926c7c035", modified=modified)


def own(modified: str, digit: str = "1", *runs: OwnRun) -> OwnRelease:
    return OwnRelease(release(modified, digit), runs)


def a_run(closed: bool = True, days: int = 0) -> OwnRun:
    status = "completed" if closed else "partial"
    return OwnRun("r1", None, a_manifest(status=status, created_at=START + timedelta(days=days)))


class Replaced(unittest.TestCase):
    def test_a_release_is_replaced_by_so_many_later_ones_that_are_closed(self):
        first, second = own("2025-01-01", "1", a_run()), own("2025-06-01", "2", a_run())
        partial, newest = own("2025-09-01", "3", a_run(closed=False)), own("2026-01-01", "4", a_run())
        year = [newest, first, partial, second]
        for keep, expected in ((1, [first, second, partial]), (2, [first]), (3, []), (4, [])):
            with self.subTest(keep=keep):
                self.assertEqual(replaced(year, keep), expected)
        self.assertEqual(replaced([first, own("2026-06-30", "5", a_run(closed=False))], 1), [])

    def test_of_two_published_on_one_day_the_one_whose_run_is_newer_replaces_the_other(self):
        older, newer = own("2025-01-01", "2", a_run(days=1)), own("2025-01-01", "1", a_run(days=2))

        self.assertEqual(replaced([newer, older], 1), [older])


class OldReleases(WorldCase):
    """Two closed releases of a year, of which the newer one replaced the older."""

    def setUp(self) -> None:
        super().setUp()
        self.now = START
        self.world.store = MemoryStore(lambda: self.now)
        self.releases = [release("2025-01-01", "1"), release("2026-01-01", "2")]
        for number, one in enumerate(self.releases, 1):
            self.closed_run(one, f"r{number}")

    def closed_run(self, of: Release, run_id: str) -> None:
        plan = write_plan(self.store, a_plan({COMPANY: 3}, run_id=run_id, release=of))
        releases.name(self.store, of)
        self.store.put_new(lake_layout.open_payments.schema(of.dataset, of.year, of.name), b"{}")
        parts = a_slice(COMPANY, release=of).parts
        for part in parts:
            self.store.put_new(part.key, b"x" * part.bytes)
            Audits(self.store, of).publish_part(part)
        Audits(self.store, of).close_slice(COMPANY, parts, 3, START)
        commit.commit_run(self.store, plan, known={}, source_rows=3, release_at_end=of, now=START)

    def found(self, keep: int = 1, **needed: Any) -> dict[str, list[str]]:
        found = old_releases(self.store, keep, lambda scope: scope in needed.get("scopes", ()), LATER)
        return {scope: [one.key for one in objects] for scope, objects in found.items()}

    def scope(self, number: int) -> str:
        one = self.releases[number]
        return lake_layout.open_payments.scope(one.dataset, one.year, one.name)

    def test_everything_of_a_replaced_release_and_nothing_else_is_found(self):
        ((scope, keys),) = self.found().items()

        self.assertEqual(scope, self.scope(0))
        left = {entry.key for entry in self.store.list("")} - set(keys)
        self.assertFalse([key for key in left if "11111111" in key or "r1" in key])
        self.assertTrue(all("22222222" in key or "r2" in key for key in left), left)
        self.assertEqual(self.found(keep=2), {})

    def test_the_name_goes_last_and_a_manifest_after_all_else_of_its_run(self):
        (keys,) = self.found().values()

        self.assertEqual(keys[-1], releases.key_of(self.releases[0]))
        of_run = [key for key in keys if key.startswith("metadata/runs/")]
        self.assertEqual((of_run[0], of_run[-1]), (lake_layout.runs.plan("r1"), lake_layout.runs.manifest("r1")))

    def test_a_removal_that_was_cut_anywhere_is_finished_by_the_next_one(self):
        (whole,) = self.found().values()
        for cut in range(len(whole)):
            with self.subTest(cut=cut):
                self.setUp()
                for key in whole[:cut]:
                    self.store.delete(key)

                self.assertEqual(self.found(), {self.scope(0): whole[cut:]})

    def test_a_release_is_kept_that_something_else_is_made_of(self):
        self.assertEqual(self.found(scopes=[self.scope(0)]), {})

    def test_a_release_is_kept_that_has_an_unfinished_run(self):
        write_plan(self.store, a_plan({COMPANY: 3}, run_id="r9", release=self.releases[0]))

        self.assertEqual(self.found(), {})

    def test_a_release_is_kept_of_which_anything_is_young(self):
        self.now = LATER
        self.store.put_new(keys_of(self.releases[0], COMPANY).part(1, 2), b"x")

        self.assertEqual(self.found(), {})

    def test_every_release_is_kept_while_a_run_cannot_be_read(self):
        self.store.put(lake_layout.runs.manifest("r2"), b"{")

        self.assertEqual(self.found(), {})

import tempfile
import unittest
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit
from data_pipeline.open_payments.ledger.audits import Audits, keys_of
from data_pipeline.open_payments.ledger.documents import Audit, Plan
from data_pipeline.open_payments.operations.gc import remove, unnamed
from data_pipeline.runs.plans import write_plan
from etl_core.errors import DataError
from etl_core.lake import ObjectInfo
from etl_core.lake.directory import DirectoryStore
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, START, WorldCase, a_plan, a_release, a_slice


class LakeCase(WorldCase):
    """A committed run of one proved slice; of the other one there is nothing yet."""

    def setUp(self) -> None:
        super().setUp()
        self.world.store = MemoryStore(self.world.now)
        self.mine, self.theirs = keys_of(a_release(), COMPANY), keys_of(a_release(), OTHER)
        self.run_plan = self.plan("r1", COMPANY, OTHER)
        self.prove(*a_slice(COMPANY, parts=2).parts, close=True)
        self.commit(self.run_plan)

    def plan(self, run_id: str, *companies: str) -> Plan:
        return write_plan(self.store, a_plan(dict.fromkeys(companies, 3), run_id=run_id))

    def prove(self, *parts: Audit, close: bool = False) -> None:
        for part in parts:
            self.store.put_new(part.key, b"x" * part.bytes)
            Audits(self.store, a_release()).publish_part(part)
        if close:
            Audits(self.store, a_release()).close_slice(parts[0].company_id, parts, 6, START)

    def commit(self, plan: Plan) -> None:
        commit.commit_run(self.store, plan, known={}, source_rows=6, release_at_end=a_release(), now=START)

    def put(self, *keys: str) -> list[str]:
        for key in keys:
            self.store.put_new(key, b"x" * 10)
        return sorted(keys)

    def found(self, *, hours: float = 24, later: float = 25) -> list[str]:
        before = self.world.now() + timedelta(hours=later - hours)
        return sorted(entry.key for entry in unnamed(self.store, before))

    def is_kept(self, **choice: Any) -> None:
        self.assertEqual(self.found(**choice), [])


class Garbage(LakeCase):
    def test_an_orphan_is_nothing_that_a_finished_run_left(self):
        self.is_kept()

    def test_an_orphan_is_a_part_that_nobody_ever_proved(self):
        loose = self.put(self.theirs.part(1, 1), self.mine.part(1, 1))

        self.assertEqual(self.found(), loose)
        (one, _) = unnamed(self.store, self.world.now() + timedelta(hours=1))
        self.assertEqual(one.size, 10)

    def test_a_summary_of_cms_is_an_orphan_only_without_its_proof(self):
        release = "d5762bed-26ca-4035-91c9-9d67297dc77c"
        kept, loose = (
            lake_layout.open_payments.summary_rows("teaching-hospitals", 2024, release, one * 64) for one in "ab"
        )
        self.put(kept, str(lake_layout.open_payments.audit_of_part(kept)), loose)

        self.assertEqual(self.found(), [loose])

    def test_an_orphan_is_of_any_release_and_of_payers_in_no_plan(self):
        old = a_release(distribution_id="11111111-cda3-5f6b-a501-b76926c7c035", modified="2025-01-01")

        loose = self.put(keys_of(old, "7").part(1, 1))

        self.assertEqual(self.found(), loose)

    def test_an_orphan_is_not_what_was_written_a_moment_ago(self):
        """A run at work has published it; its proof is about to be written."""
        self.put(self.theirs.part(1, 1))

        self.is_kept(later=23.9)
        self.assertEqual(self.found(later=24.1), [self.theirs.part(1, 1)])

    def test_an_orphan_is_not_what_an_audit_proves(self):
        self.prove(*a_slice(OTHER, parts=2).parts[:1])

        self.is_kept()

    def test_an_orphan_is_not_what_a_slice_or_a_manifest_names_though_its_audit_is_lost(self):
        lost = self.mine.part_audit(1, 2)
        self.store.delete(lost)
        self.is_kept()
        self.store.delete(self.mine.slice_audit())
        self.is_kept()
        for key in (lake_layout.runs.manifest("r1"), lake_layout.runs.plan("r1")):
            self.store.delete(key)
        self.assertEqual(self.found(), [self.mine.part(1, 2)])

    def test_an_orphan_is_not_what_a_slice_alone_names(self):
        for key in (self.mine.part_audit(1, 2), lake_layout.runs.manifest("r1"), lake_layout.runs.plan("r1")):
            self.store.delete(key)

        self.is_kept()

    def test_an_orphan_is_not_in_the_slices_of_an_unfinished_plan(self):
        self.put(self.theirs.part(1, 1))
        plan = self.plan("r2", OTHER)

        self.is_kept()
        self.commit(plan)
        self.assertEqual(self.found(), [self.theirs.part(1, 1)])

    def test_an_orphan_is_not_in_the_open_slices_of_payers_whose_id_is_no_number(self):
        for number, company_id in enumerate(("-1", "", "1 ", "abc")):
            with self.subTest(company_id=company_id):
                keys = keys_of(a_release(), company_id)
                self.put(keys.part(1, 1))
                plan = self.plan(f"r{number}-open", company_id)
                self.is_kept()
                self.commit(plan)
                self.assertEqual(self.found(), [keys.part(1, 1)])
                self.prove(*a_slice(company_id).parts, close=True)
                self.commit(self.plan(f"r{number}-done", company_id))
                for lost in (keys.part_audit(1, 1), keys.slice_audit()):
                    self.store.delete(lost)
                    self.is_kept()

    def test_an_orphan_is_a_proof_of_another_cut_than_the_closed_slice_has_and_then_its_part(self):
        (stray,) = a_slice(COMPANY).parts
        self.prove(stray)

        self.assertEqual(self.found(), [self.mine.part_audit(1, 1)])
        self.store.delete(self.mine.part_audit(1, 1))
        self.assertEqual(self.found(), [self.mine.part(1, 1)])

    def test_an_orphan_is_not_what_an_older_or_newer_proof_of_a_slice_names(self):
        (grown,) = a_slice(COMPANY, records=9, content_hash="9" * 64).parts
        self.prove(grown, close=True)
        self.is_kept()

        (superseded,) = a_slice(COMPANY, records=8, content_hash="8" * 64).parts
        superseded = superseded.model_copy(
            update={"generation": 2, "key": self.mine.part(1, 1, 2), "content_hash": "8" * 64}
        )
        self.prove(superseded)
        self.assertEqual(self.found(), [self.mine.part_audit(1, 1, 2)], "its count moved before the slice was closed")

    def test_an_orphan_is_no_proof_of_a_slice_that_is_still_open(self):
        self.prove(*a_slice(OTHER, parts=2).parts[:1], *a_slice(OTHER, parts=3).parts[:1])

        self.is_kept()

    def test_an_orphan_is_nothing_whose_key_is_none_of_ours(self):
        folder = self.theirs.part(1, 1).rpartition("/")[0]
        self.put("raw/notes.txt", f"{folder}/part-1.csv", f"{folder}/part-1-of-1.csv.bak", "metadata/audits/x.json")

        self.is_kept()

    def test_an_orphan_is_not_what_a_proof_names_behind_a_stray_folder(self):
        """The folder's name sorts between those of the part and of its audit."""
        self.put(f"{self.mine.part(1, 2)}.d/notes.txt", f"{self.mine.part(1, 2)}d/notes.txt")

        self.is_kept()

    def test_orphans_are_looked_for_without_reading_runs_or_proofs_where_all_is_named(self):
        for entry in self.store.list("metadata/"):
            self.store.put(entry.key, b"not to be read")

        self.is_kept()


class WhatCannotBeRead(LakeCase):
    """It is named in the log; only what it may name is kept."""

    def test_what_a_proof_or_a_committed_run_that_cannot_be_read_may_name_is_kept(self):
        for key in (self.mine.slice_audit(), lake_layout.runs.file_audits("r1"), lake_layout.runs.manifest("r1")):
            with self.subTest(key=key):
                self.setUp()
                self.put(self.mine.part(1, 1))
                if key == lake_layout.runs.file_audits("r1"):  # read only where the slice's own proof is lost
                    self.store.delete(self.mine.slice_audit())
                self.store.put(key, b"{")

                self.is_kept()

    def test_orphans_of_other_slices_and_releases_are_still_found(self):
        other = a_release(distribution_id="11111111-cda3-5f6b-a501-b76926c7c035", modified="2025-01-01")
        loose = self.put(self.theirs.part(1, 1), keys_of(other, "7").part(1, 1))
        self.store.put(self.mine.slice_audit(), b"{")

        self.assertEqual(self.found(), loose)

    def test_a_plan_that_cannot_be_read_keeps_nothing_because_nobody_continues_its_run(self):
        loose = self.put(self.theirs.part(1, 1))
        self.plan("r2", OTHER)
        self.is_kept()

        self.store.put(lake_layout.runs.plan("r2"), b"{")

        self.assertEqual(self.found(), loose)


class ProvingStore(MemoryStore):
    """Somebody publishes and proves a part between the listing of parts and that of audits."""

    def __init__(self, now: Any, part: Audit) -> None:
        super().__init__(now)
        self._part = part

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        found = list(super().list(prefix))
        self.put_new(self._part.key, b"x")
        Audits(self, self._part.release).publish_part(self._part)
        return iter(found)


class Races(LakeCase):
    def test_a_part_that_is_proved_while_audits_are_listed_is_kept(self):
        (part,) = a_slice(OTHER).parts
        self.world.store = ProvingStore(self.world.now, part)

        self.is_kept()

    def test_a_part_that_was_proved_since_is_not_removed(self):
        (part,) = a_slice(OTHER).parts
        self.put(part.key)
        (entry,) = unnamed(self.store, self.world.now() + timedelta(hours=1))
        Audits(self.store, a_release()).publish_part(part)

        self.assertFalse(remove(self.store, entry))
        self.assertIsNotNone(self.store.get(part.key))

    def test_an_orphan_is_removed_be_it_a_part_or_a_proof(self):
        (stray,) = a_slice(COMPANY).parts
        self.prove(stray)
        self.put(self.theirs.part(1, 1))
        found = list(unnamed(self.store, self.world.now() + timedelta(hours=1)))

        self.assertEqual([entry.key for entry in found], [self.mine.part_audit(1, 1), self.theirs.part(1, 1)])
        for entry in found:
            self.assertTrue(remove(self.store, entry))
            self.assertIsNone(self.store.get(entry.key))


class Files(unittest.TestCase):
    """In a folder, as a lake of somebody else may come."""

    def test_behind_a_link_are_not_found_and_not_removed(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        store = DirectoryStore(folder / "lake")
        self.addCleanup(store.close)
        part = folder / "lake" / keys_of(a_release(), COMPANY).part(1, 1)
        outside = folder / "outside" / part.name
        for path in (part.parent.parent, outside.parent):
            path.mkdir(parents=True)
        outside.write_bytes(b"somebody's")
        part.parent.symlink_to(outside.parent)
        linked = ObjectInfo(keys_of(a_release(), COMPANY).part(1, 1), 10, START)

        self.assertEqual(unnamed(store, datetime.now(UTC) + timedelta(hours=1)), [])
        with self.assertRaisesRegex(DataError, "is a link"):
            remove(store, linked)

        self.assertEqual(outside.read_bytes(), b"somebody's")

import contextlib
import hashlib
import unittest
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit, plans
from data_pipeline.open_payments.ledger import manifest as manifests
from data_pipeline.open_payments.ledger.audits import Audits, keys_of
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceResult
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import DataError
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    NEVER,
    OTHER,
    START,
    a_plan,
    a_release,
    a_result,
    a_slice,
    an_attempt,
    read_csv,
)
from packages.data_pipeline.tests.unit.open_payments.ledger.runs_case import RunsCase

LATER = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035", modified="2027-01-23")


POINTER = lake_layout.runs.pointer(
    "metadata/commits/dataset=general-payments/year=2024/release=2026-06-30-9323b84e/all/",
    START + timedelta(hours=1),
    "r1",
)
FILES = [lake_layout.runs.file_audits("r1"), lake_layout.open_payments.download_report("r1", 2024)]


class ReadSlices(RunsCase):
    def test_read_slices_reads_those_of_the_plan_that_are_proved(self):
        self.close(COMPANY)
        self.close("777")

        found = commit.read_slices(self.store, a_plan({COMPANY: 3, OTHER: 2}))

        self.assertEqual(list(found), [COMPANY])
        self.assertEqual(found[COMPANY], Audits(self.store, a_release()).slice_audit(COMPANY))


class CommitCase(RunsCase):
    def commit(self, plan: Plan | None = None, *, source_rows: int = 3, **changes: Any) -> Manifest:
        self.plan = plan or a_plan()
        known: dict[str, SliceResult] = changes.get("known", {})
        return commit.commit_run(
            self.store,
            self.plan,
            known=known,
            source_rows=source_rows,
            release_at_end=changes.get("release_at_end", self.plan.release),
            now=START + timedelta(hours=1),
        )


class Commit(CommitCase):
    def test_a_commit_writes_the_manifest_and_then_the_files_that_follow_from_it(self):
        """S2.4."""
        self.close()
        writes = len(self.store.writes)

        manifest = self.commit()

        run = "metadata/runs/run_id=r1/"
        self.assertEqual(
            [key.removeprefix(run) for key in self.store.writes[writes:]],
            [
                POINTER,
                POINTER.replace("/all/", "/confirmed/"),
                "manifest.json",
                "file_audits.jsonl",
                "download_report_2024.csv",
            ],
        )
        self.assertEqual(plans.read_manifest(self.store, "r1"), manifest)
        lines = self.store.get(run + "file_audits.jsonl") or b""
        self.assertEqual(manifest.file_audits_sha256, hashlib.sha256(lines).hexdigest())
        self.assertEqual((manifest.file_audits, manifest.status, manifest.closure.closed), (1, "completed", True))
        self.assertEqual((manifest.created_at, manifest.finished_at), (START, START + timedelta(hours=1)))
        (line,) = read_csv(self.store.get(run + "download_report_2024.csv") or b"")
        self.assertEqual((line["company_id"], line["verdict"], line["sha256"]), (COMPANY, "proved", f"{1:064x}"))

    def test_a_commit_happens_once(self):
        first = self.commit()
        self.close()
        writes = list(self.store.writes)

        self.assertEqual(self.commit(), first)
        self.assertEqual(self.store.writes, writes)
        self.assertEqual(first.status, "failed")

    def test_a_commit_compares_with_the_source_at_the_end(self):
        self.close()

        manifest = self.commit(source_rows=4)

        self.assertEqual(
            (manifest.status, manifest.closure.closed, manifest.closure.source_rows), ("partial", False, 4)
        )

    def test_a_commit_says_torn_where_the_release_changed_under_the_run(self):
        self.close()

        manifest = self.commit(release_at_end=LATER)

        self.assertEqual((manifest.status, manifest.release, manifest.release_at_end), ("torn", a_release(), LATER))

    def test_a_commit_takes_from_the_lake_what_no_process_here_knows(self):
        self.close()
        write_attempt(self.store, an_attempt(OTHER, reason="conflict"))

        manifest = self.commit(a_plan({COMPANY: 3, OTHER: 2, "777": 1}))

        self.assertEqual(
            [(one.company_id, one.verdict, one.reason) for one in manifest.slices],
            [(COMPANY, "proved", ""), (OTHER, "failed", "conflict"), ("777", "missing", "not_tried")],
        )
        self.assertEqual(manifest.status, "partial")

    def test_a_commit_believes_a_proof_before_a_failure_of_its_own(self):
        """Another process of the run proved meanwhile what failed here."""
        self.close()
        failed = {one: a_result(one, "failed", reason="blocked") for one in (COMPANY, OTHER)}

        manifest = self.commit(a_plan({COMPANY: 3, OTHER: 2}), known=failed)

        self.assertEqual([one.verdict for one in manifest.slices], ["proved", "failed"])

    def test_a_commit_keeps_what_this_process_knows_of_its_own_proofs(self):
        self.close()

        manifest = self.commit(known={COMPANY: a_result(rows=3, requests=77)})

        self.assertEqual(manifest.slices[0].requests, 77)

    def test_a_commit_names_the_newest_proof_in_the_lake_and_not_an_older_one_of_this_process(self):
        """Another process proved the slice again, at the count that the source has by now."""
        self.close(records=3)
        self.close(records=5)

        manifest = self.commit(known={COMPANY: a_result(rows=3, generation=1, requests=77)}, source_rows=5)

        (one,) = manifest.slices
        self.assertEqual((one.generation, one.rows), (2, 5))

    def test_a_commit_replaces_what_a_run_that_died_before_its_manifest_left(self):
        for key in (lake_layout.runs.file_audits("r1"), lake_layout.open_payments.download_report("r1", 2024)):
            self.store.put(key, b"half")
        self.close()

        manifest = self.commit()

        lines = self.store.get(lake_layout.runs.file_audits("r1")) or b""
        self.assertEqual(manifest.file_audits_sha256, hashlib.sha256(lines).hexdigest())

    def test_a_commit_writes_files_that_are_missing_beside_a_manifest(self):
        """Its process died right after the manifest."""
        self.close()
        first = self.commit()
        files = {key: self.store.get(key) for key in FILES}
        for left in ((), FILES[:1]):
            with self.subTest(left=left):
                for key in FILES:
                    self.store.delete(key)
                for key in left:
                    self.store.put(key, files[key] or b"")

                self.assertEqual(self.commit(), first)
                self.assertEqual({key: self.store.get(key) for key in FILES}, files)


class Repair(CommitCase):
    def test_a_repair_replaces_files_that_do_not_follow_from_the_manifest(self):
        """As a process that lost a race once left them: its own, beside the manifest of another."""
        self.close()
        manifest = self.commit()
        files = {key: self.store.get(key) for key in FILES}
        for damaged in FILES:
            with self.subTest(damaged=damaged):
                self.store.put(damaged, b"of another process")

                commit.repair_run(self.store, manifest)

                self.assertEqual({key: self.store.get(key) for key in FILES}, files)

    def test_a_repair_writes_nothing_where_all_is_as_it_must_be(self):
        self.close()
        manifest = self.commit()
        writes = list(self.store.writes)

        commit.repair_run(self.store, manifest)

        self.assertEqual(self.store.writes, writes)

    def test_a_repair_keeps_the_files_where_the_proofs_are_not_those_of_the_manifest(self):
        self.close()
        manifest = self.commit()
        files = {key: self.store.get(key) for key in FILES}
        self.store.delete(keys_of(a_release(), COMPANY).slice_audit())

        with self.assertRaisesRegex(DataError, "cannot be derived: the proofs in the lake are not those"):
            commit.repair_run(self.store, manifest)

        self.assertEqual({key: self.store.get(key) for key in FILES}, files)


class Race(unittest.TestCase):
    """Two processes commit one run; each knows other costs, and one may see a slice that the other does not."""

    def test_two_commits_leave_the_files_of_the_manifest_that_stands_wherever_one_is_stopped(self):
        for entered in range(6):
            for killed in range(6):
                for sees_more in (False, True):
                    with self.subTest(entered=entered, killed=killed, sees_more=sees_more):
                        self.check(entered, killed, sees_more=sees_more)

    def check(self, entered: int, killed: int, *, sees_more: bool) -> None:
        lake = Interleaved(entered, killed)
        close_in(lake, COMPANY, 3)
        if not sees_more:
            close_in(lake, OTHER, 2)

        def other_process() -> None:
            if sees_more:
                close_in(lake, OTHER, 2)
            committed_in(lake, requests=2)

        lake.other_process = other_process
        with contextlib.suppress(Killed):
            committed_in(lake, requests=1)
        lake.left = NEVER
        found = plans.read_manifest(lake, "r1")
        self.assertIsNotNone(found)
        assert found is not None
        follows = files_of(lake, found)
        self.assertEqual([key for key in FILES if lake.get(key) not in (None, follows[key])], [])

        self.assertEqual(committed_in(lake, requests=3), found)

        self.assertEqual({key: lake.get(key) for key in FILES}, follows)


def close_in(store: MemoryStore, company_id: str, records: int) -> None:
    part = a_slice(company_id, records=records).parts
    Audits(store, a_release()).close_slice(company_id, part, records, START)


def committed_in(store: MemoryStore, *, requests: int) -> Manifest:
    plan = a_plan({COMPANY: 3, OTHER: 2})
    there = commit.read_slices(store, plan)
    known = {one: a_result(one, rows=audit.records, requests=requests) for one, audit in there.items()}
    return commit.commit_run(store, plan, known=known, source_rows=5, release_at_end=a_release(), now=START)


def files_of(store: MemoryStore, manifest: Manifest) -> dict[str, bytes]:
    named = {one.company_id: one.generation for one in manifest.proved}
    return manifests.files_of(manifest, Audits(store, a_release()).slice_audits(named))


class Killed(Exception):
    """In place of a signal."""


class Interleaved(MemoryStore):
    """A lake whose writer meets ``other_process`` before one of its writes, and is killed after a later one."""

    def __init__(self, entered: int, killed: int) -> None:
        super().__init__()
        self._entered = entered
        self._killed = killed
        self.left = NEVER
        self.other_process: Callable[[], None] | None = None

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self._meet()
        done = super().put_new(key, body, sha256=sha256)
        self._die()
        return done

    def put(self, key: str, body: Body) -> None:
        self._meet()
        super().put(key, body)
        self._die()

    def _meet(self) -> None:
        if self.other_process is None:
            return
        if self._entered == 0:
            other, self.other_process = self.other_process, None
            other()
            self.left = self._killed
        self._entered -= 1

    def _die(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed

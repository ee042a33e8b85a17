import hashlib
from datetime import timedelta
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import commit, plans
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceResult
from data_pipeline.runs.attempts import write_attempt
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
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


class ReadSlices(RunsCase):
    def test_read_slices_reads_those_of_the_plan_that_are_proved(self):
        self.close(COMPANY)
        self.close("777")

        found = commit.read_slices(self.store, a_plan({COMPANY: 3, OTHER: 2}))

        self.assertEqual(list(found), [COMPANY])
        self.assertEqual(found[COMPANY], Audits(self.store, a_release()).slice_audit(COMPANY))


class Commit(RunsCase):
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

    def test_a_commit_writes_audits_and_report_and_the_manifest_last(self):
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
                "file_audits.jsonl",
                "download_report_2024.csv",
                "manifest.json",
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

    def test_a_commit_that_loses_a_race_leaves_the_files_of_the_winner(self):
        self.close()
        theirs = self.commit(a_plan({COMPANY: 3, OTHER: 2}))
        mine = Raced(theirs)
        for entry in self.store.list("metadata/audits/"):
            mine.put(entry.key, self.store.get(entry.key) or b"")
        Audits(mine, a_release()).close_slice(OTHER, a_slice(OTHER, records=2).parts, 2, START)

        found = commit.commit_run(mine, self.plan, known={}, source_rows=5, release_at_end=a_release(), now=START)

        self.assertEqual(found, theirs)
        self.assertEqual(plans.read_manifest(mine, "r1"), theirs)
        lines = mine.get(lake_layout.runs.file_audits("r1")) or b""
        self.assertEqual(hashlib.sha256(lines).hexdigest(), theirs.file_audits_sha256)
        report = read_csv(mine.get(lake_layout.open_payments.download_report("r1", 2024)) or b"")
        self.assertEqual([(line["company_id"], line["verdict"]) for line in report],
                         [(COMPANY, "proved"), (OTHER, "missing")])  # fmt: skip

    def test_a_commit_that_loses_a_race_with_its_equal_writes_nothing_more(self):
        self.close()
        theirs = self.commit()
        mine = Raced(theirs)
        for entry in self.store.list("metadata/audits/"):
            mine.put(entry.key, self.store.get(entry.key) or b"")

        commit.commit_run(mine, self.plan, known={}, source_rows=3, release_at_end=a_release(), now=START)

        self.assertEqual(mine.writes[-1], lake_layout.runs.manifest("r1"))


class Raced(MemoryStore):
    """A lake in which another process commits an instant before this one does."""

    def __init__(self, theirs: Manifest) -> None:
        super().__init__()
        self._theirs = theirs

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if key == lake_layout.runs.manifest(self._theirs.run_id):
            super().put_new(key, self._theirs.to_bytes())
        return super().put_new(key, body, sha256=sha256)

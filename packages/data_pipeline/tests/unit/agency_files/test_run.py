import contextlib
import csv
import io
import itertools
import sqlite3
from datetime import UTC, datetime, timedelta

from data_pipeline.agency_files.documents import AgencyFilesManifest, AgencyFilesPlan, Selection
from data_pipeline.agency_files.run import AgencyRun, fact_of
from data_pipeline.runs.committed import open_run
from data_pipeline.runs.documents import CsvPartAudit
from data_pipeline.runs.plans import write_plan
from etl_core.database import Database
from etl_core.errors import NotFoundError
from etl_core.progress import Progress
from etl_core.stop import Stop
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.agency_files.agency import AGENCY, NOW, RefusingStore, make_database
from packages.data_pipeline.tests.unit.folder_case import FolderCase

SELECTION = Selection(agency_id=AGENCY, source="memory://")
OLD = "2026-01-01 00:00:00"


class ARun(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        rows = [(AGENCY, number, f"docs/{number}.pdf", None, OLD) for number in (1, 2, 3)]
        make_database(self.folder / "files.db", [*rows, (11, 4, "docs/4.pdf", None, OLD)])
        self.source, self.lake = RefusingStore(), MemoryStore(lambda: NOW)
        self.addCleanup(self.lake.close)
        for number in (1, 2, 4):
            self.source.put(f"docs/{number}.pdf", b"of %d" % number)
        seconds = itertools.count()
        self.agency_run = AgencyRun(
            self.lake, self.source, Database("sqlite:///files.db", named="DATABASE_URL"),
            lambda: NOW + timedelta(seconds=next(seconds)), Progress(), Stop().check,
        )  # fmt: skip
        self.begun: list[str] = []

    def run_it(self, selection: Selection = SELECTION, run_id: str = "") -> AgencyFilesManifest:
        manifest = self.agency_run.run(selection, run_id, self.begun.append).manifest
        assert manifest is not None
        return manifest

    def metadata(self, manifest: AgencyFilesManifest) -> list[dict[str, str]]:
        text = (self.lake.get(manifest.extract.key) or b"").decode()
        return list(csv.DictReader(io.StringIO(text, newline="")))

    def test_is_committed_with_a_line_per_file_that_its_manifest_proves(self):
        manifest = self.run_it()

        self.assertEqual(manifest.files, {"copied": 2, "missing": 1})
        self.assertEqual((manifest.status, manifest.open_files), ("partial", ("3",)))
        self.assertEqual((manifest.files_planned, manifest.files_downloaded, manifest.files_failed), (3, 2, 1))
        self.assertEqual((manifest.rows, manifest.bytes), (3, 8))
        self.assertRegex(
            manifest.extract.key,
            r"^raw/agency_files/agency_id=10/date=2026-11-29/agency_files_20261129_1415\d\d-[0-9a-f]{8}\.csv$",
        )
        self.assertEqual([one["status"] for one in self.metadata(manifest)], ["copied", "copied", "missing"])
        committed = open_run(self.lake, manifest.run_id, AgencyFilesManifest, CsvPartAudit)
        (part,) = committed.parts()
        self.assertEqual(len(list(committed.records(part))), 3)
        self.assertEqual(self.begun, [manifest.run_id])

    def test_that_lists_a_name_without_end_is_committed_with_metadata_that_can_be_read(self):
        with contextlib.closing(sqlite3.connect(self.folder / "files.db", isolation_level=None)) as database:
            database.execute("UPDATE agency_files SET key = ? WHERE file_id = 3", ("x" * 2_000_000,))
        manifest = self.run_it()

        self.assertEqual(manifest.files, {"copied": 2, "refused name": 1})
        committed = open_run(self.lake, manifest.run_id, AgencyFilesManifest, CsvPartAudit)
        self.assertEqual(len(list(committed.records(manifest.extract))), 3)

    def test_the_second_time_only_lists(self):
        self.run_it()
        copies = set(self.lake.writes)
        self.source.asked.clear()
        second = self.run_it()

        self.assertEqual(second.files, {"already there": 2, "missing": 1})
        self.assertEqual([one for one in self.source.asked if not one.startswith("list")], [])
        self.assertEqual([key for key in set(self.lake.writes) - copies if "/files/" in key], [])

    def test_of_a_list_that_was_copied_before_writes_nothing(self):
        self.source.put("docs/3.pdf", b"of 3")
        first, writes = self.run_it(), len(self.lake.writes)
        again = self.agency_run.run(SELECTION, "", self.begun.append)

        self.assertEqual((again.manifest, again.worked, len(self.lake.writes)), (first, False, writes))
        self.assertEqual(self.begun, [first.run_id])
        self.lake.delete(f"raw/agency_files/agency_id={AGENCY}/files/docs/2.pdf")
        self.assertEqual(self.run_it().files, {"already there": 2, "copied": 1})

    def test_that_is_unfinished_is_continued(self):
        open_plan = write_plan(self.lake, AgencyFilesPlan(run_id="killed", selection=SELECTION, created_at=NOW))
        self.assertEqual(self.run_it().run_id, open_plan.run_id)
        self.assertNotEqual(self.run_it().run_id, open_plan.run_id)

    def test_of_what_another_left_open_tries_only_that(self):
        before = self.run_it()
        self.source.put("docs/3.pdf", b"of 3")
        retry = self.agency_run.retry_of(SELECTION)
        self.assertEqual(retry.retry_of, before.run_id)

        manifest = self.run_it(retry)
        self.assertEqual((manifest.files, manifest.status), ({"copied": 1}, "completed"))
        self.assertEqual([one["file_id"] for one in self.metadata(manifest)], ["3"])

    def test_of_what_no_run_left_open_is_not_found(self):
        with self.assertRaisesRegex(NotFoundError, "no committed run of agency 10"):
            self.agency_run.retry_of(SELECTION)

    def test_takes_only_what_is_selected(self):
        for selection, expected in (
            ({"limit": 1}, ["1"]),
            ({"since": datetime(2025, 12, 31, tzinfo=UTC)}, ["1", "2", "3"]),
            ({"since": datetime(2026, 1, 2, tzinfo=UTC)}, []),
        ):
            with self.subTest(selection):
                manifest = self.run_it(SELECTION.model_copy(update=selection))
                self.assertEqual([one["file_id"] for one in self.metadata(manifest)], expected)

    def test_that_is_dry_says_what_it_would_do_and_writes_nothing(self):
        ended = self.agency_run.plan(SELECTION)
        self.assertEqual(self.lake.writes, [])
        fact = fact_of(ended, SELECTION, job="get_s3_files", run_id="", seconds=0.0, lake="memory://")
        self.assertEqual((fact.status, fact.files, fact.bytes), ("planned", {"missing": 1, "to copy": 2}, 8))

    def test_leaves_its_copies_as_a_list_for_s3_batch_operations(self):
        lines = (self.lake.get(self.run_it().batch_manifest) or b"").decode().splitlines()
        self.assertEqual(lines, [f",raw/agency_files/agency_id%3D10/files/docs/{number}.pdf" for number in (1, 2)])

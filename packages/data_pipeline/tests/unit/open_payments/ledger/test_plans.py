import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from structlog.testing import capture_logs

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.ledger import commit, plans, schemas
from data_pipeline.open_payments.ledger.audits import Audits, write_attempt
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, Release, SliceResult
from etl_core.errors import ConflictError, DataError, NotFoundError
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    START,
    TITLES,
    WorldCase,
    a_manifest,
    a_plan,
    a_release,
    a_result,
    a_selection,
    a_slice,
    an_attempt,
    read_csv,
)

LATER = a_release(distribution_id="99999999-cda3-5f6b-a501-b76926c7c035", modified="2027-01-23")


class RunsCase(WorldCase):
    def planned(self, run_id: str, *, minutes: float = 0, status: str | None = None, **selection: Any) -> Plan:
        """A run in the lake; with a status it is committed."""
        release: Release | None = selection.pop("release", None)
        plan = a_plan(run_id=run_id, created_at=START + timedelta(minutes=minutes), release=release, **selection)
        self.store.put_new(lake_layout.runs.plan(run_id), plan.to_bytes())
        if status is not None:
            self.store.put_new(lake_layout.runs.manifest(run_id), a_manifest(run_id=run_id, status=status).to_bytes())
        return plan

    def close(self, company_id: str = COMPANY, records: int = 3) -> None:
        part = a_slice(company_id, records=records).parts
        Audits(self.store, a_release()).close_slice(company_id, part, records, START)


class Names(RunsCase):
    def test_are_the_start_in_utc(self):
        self.assertEqual(plans.default_run_id(datetime(2026, 2, 18, 17, 20, 33, 999999, UTC)), "2026-02-18T17-20-33")

    def begun(self, **changes: Any) -> str:
        return plans.write_plan(self.store, a_plan(run_id="2026-07-14T12-00-00", **changes)).run_id

    def test_of_runs_that_begin_within_one_second_differ(self):
        names = ["2026-07-14T12-00-00", "2026-07-14T12-00-00-2", "2026-07-14T12-00-00-3"]
        for number, name in enumerate(names, 1):
            self.assertEqual(self.begun(max_files=number), name)
            plan = plans.read_plan(self.store, name)
            self.assertEqual((plan and plan.run_id, plan and plan.selection.max_files), (name, number))

    def test_are_shared_by_those_who_begin_the_same_run_at_once(self):
        for status, name in [(None, "2026-07-14T12-00-00"), ("partial", "2026-07-14T12-00-00-2")]:
            with self.subTest(status=status):
                self.setUp()
                theirs = self.planned("2026-07-14T12-00-00", status=status, source_rows=99)
                self.assertEqual(self.begun(), name)
                self.assertEqual(plans.read_plan(self.store, "2026-07-14T12-00-00"), theirs)

    def test_of_runs_of_another_release_are_not_shared(self):
        self.begun()

        self.assertEqual(self.begun(release=LATER), "2026-07-14T12-00-00-2")

    def test_run_out_after_a_thousand(self):
        other = a_plan(max_files=1).to_bytes()
        self.begun(max_files=1)
        for number in range(2, plans.MOST_RUNS_OF_A_NAME):
            self.store.put(lake_layout.runs.plan(f"2026-07-14T12-00-00-{number}"), other)

        with self.assertRaisesRegex(ConflictError, "1000 runs are named 2026-07-14T12-00-00. Choose another --run-id"):
            self.begun()


class FindRun(RunsCase):
    def found(self, release: Release | None = None, **selection: Any) -> str | None:
        known = plans.find_run(self.store, a_selection(**selection), release or a_release())
        return known[0].run_id if known else None

    def test_finds_none_in_an_empty_lake(self):
        self.assertIsNone(self.found())

    def test_takes_up_the_unfinished_and_knows_the_completed(self):
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

    def test_takes_only_runs_of_the_same_selection_and_release(self):
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

    def test_takes_the_newest(self):
        self.planned("2026-07-14T12-00-00", minutes=0)
        self.planned("2026-07-14T12-05-00", minutes=5)
        self.planned("2026-07-14T12-09-00", minutes=9, max_files=1)

        self.assertEqual(self.found(), "2026-07-14T12-05-00")

    def test_goes_by_the_time_of_the_plan_and_not_by_the_name(self):
        """A name given by hand, and the tenth run within a second, stand anywhere in the alphabet."""
        self.planned("nightly", minutes=0, status="partial")
        self.planned("2026-07-14T12-05-00", minutes=5)
        self.assertEqual(self.found(), "2026-07-14T12-05-00")

        self.planned("2026-07-14T12-05-00-10", minutes=6, status="completed")
        self.assertEqual(self.found(), "2026-07-14T12-05-00-10")

    def test_does_not_go_back_behind_a_run_that_is_over(self):
        self.planned("r1", minutes=0)
        self.planned("r2", minutes=5, status="partial")

        self.assertIsNone(self.found())


class LastOfAnotherRelease(RunsCase):
    """What a lake remembers of the year, where the source has no summary to compare its count with."""

    def commit(self, run_id: str, rows: int, *, minutes: float = 0, **changes: Any) -> None:
        self.planned(run_id)
        closure = a_manifest().closure.model_copy(update={"source_rows": rows})
        finished = START + timedelta(minutes=minutes)
        body = a_manifest(run_id=run_id, closure=closure, finished_at=finished, **changes).to_bytes()
        self.store.put_new(lake_layout.runs.manifest(run_id), body)

    def last(self) -> tuple[str, int] | None:
        found = plans.last_of_another_release(self.store, LATER)
        return (found.run_id, found.closure.source_rows) if found else None

    def test_is_that_of_the_newest_run_of_another_release(self):
        self.assertIsNone(self.last())
        self.planned("r0")
        self.assertIsNone(self.last())
        self.commit("r9", 900, minutes=1)
        self.commit("r1", 100, minutes=2)
        self.commit("r5", 500, minutes=9, release=LATER)

        self.assertEqual(self.last(), ("r1", 100))

    def test_is_not_that_of_another_year_or_dataset_or_of_a_torn_run(self):
        self.commit("r1", 100, year=2023)
        self.commit("r2", 200, dataset="research-payments")
        self.commit("r3", 300, status="torn")
        self.assertIsNone(self.last())

        self.commit("r4", 400, status="partial")
        self.assertEqual(self.last(), ("r4", 400))


class Reading(RunsCase):
    def test_gives_none_for_what_is_not_there(self):
        self.assertIsNone(plans.read_plan(self.store, "r1"))
        self.assertIsNone(plans.read_manifest(self.store, "r1"))
        with self.assertRaisesRegex(NotFoundError, "memory:// has no run r1"):
            plans.require_plan(self.store, "r1")

    def test_gives_what_was_written(self):
        plan = self.planned("r1", status="torn")

        self.assertEqual(plans.read_plan(self.store, "r1"), plan)
        self.assertEqual(plans.require_plan(self.store, "r1"), plan)
        self.assertEqual(plans.read_manifest(self.store, "r1"), a_manifest(status="torn"))

    def test_refuses_what_it_cannot_read(self):
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
    def test_writes_it_once(self):
        plan = a_plan()

        self.assertEqual(plans.write_plan(self.store, plan), plan)
        self.assertEqual(plans.read_plan(self.store, "r1"), plan)

    def test_takes_the_plan_another_process_of_the_run_wrote_first(self):
        theirs = self.planned("r1", source_rows=99)

        self.assertEqual(plans.write_plan(self.store, a_plan(created_at=START + timedelta(seconds=1))), theirs)
        self.assertEqual(plans.read_plan(self.store, "r1"), theirs)


class WriteSchema(RunsCase):
    def written(self, titles: tuple[str, ...]) -> tuple[Any, list[Any]]:
        table = self.site.publish(2024, titles=titles)
        resolved = self.world.resolved(table)
        with capture_logs() as logs:
            schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        release = resolved.release
        raw = self.store.get(lake_layout.open_payments.schema(release.dataset, release.year, release.name)) or b""
        self.assertTrue(raw.endswith(b"}\n"))
        return json.loads(raw), logs

    def test_keeps_the_columns_of_the_release(self):
        body, logs = self.written(GENERAL.header)

        self.assertEqual(body["schema_version"], 1)
        self.assertEqual(body["columns"], [{"title": title, "name": title.lower()} for title in GENERAL.header])
        self.assertEqual(body["drift"], {"added": [], "removed": [], "reordered": False})
        self.assertEqual(body["release"]["distribution_id"], "00000001-cda3-5f6b-a501-b76926c7c035")
        self.assertEqual(logs, [])

    def test_records_and_says_where_they_drifted(self):
        """S3.2. Equal to the source's own schema and unknown to us: proved, drift recorded."""
        first, *rest = GENERAL.header
        body, logs = self.written((*rest[:-1], first, "Amount_in_Euro"))

        drift = {"added": ["Amount_in_Euro"], "removed": ["Payment_Publication_Date"], "reordered": True}
        self.assertEqual(body["drift"], drift)
        self.assertEqual(
            [(one["log_level"], one["event"]) for one in logs], [("warning", "the columns are not those known")]
        )
        said = {"added": ("Amount_in_Euro",), "removed": ("Payment_Publication_Date",), "reordered": True}
        self.assertEqual({name: logs[0][name] for name in drift}, said)

    def test_may_be_repeated_and_never_replaced(self):
        resolved = self.world.resolved(self.site.publish(2024))
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)
        self.assertEqual(len(self.store.writes), 1)

        self.site.tables[resolved.release.dataset_id].titles = (*TITLES, "Extra")
        changed = self.world.resolved(self.site.tables[resolved.release.dataset_id])
        with self.assertRaises(ConflictError):
            schemas.write_schema(self.store, changed.release, changed.table.columns)


class ReadSchema(RunsCase):
    def test_gives_the_columns_that_were_written(self):
        resolved = self.world.resolved(self.site.publish(2024))
        schemas.write_schema(self.store, resolved.release, resolved.table.columns)

        self.assertEqual(schemas.read_schema(self.store, resolved.release), resolved.table.columns)

    def test_refuses_what_it_cannot_read_or_prove_with(self):
        release = a_release()
        key = lake_layout.open_payments.schema(release.dataset, release.year, release.name)
        bodies: list[bytes | None] = [
            None,
            b"",
            b"[]",
            b"{}",
            b'{"columns": [{}]}',
            b'{"columns": 7}',
            b'{"columns": []}',
        ]
        for body in bodies:
            with self.subTest(body=body):
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                with self.assertRaises(DataError):
                    schemas.read_schema(self.store, release)


class MustBeProvable(RunsCase):
    def test_names_every_column_that_the_proof_lacks(self):
        day, key, payer = "Date_of_Payment", "Record_ID", "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
        for missing in ([day], [key], [payer], [payer, day, key]):
            titles = tuple(title for title in TITLES if title not in missing)
            resolved = self.world.resolved(self.site.publish(2024, titles=titles))
            with self.subTest(missing=missing), self.assertRaises(DataError) as caught:
                schemas.must_be_provable(resolved.release, resolved.table.columns)
            self.assertIn(f"lacks {', '.join(missing)}, so nothing can be proved.", str(caught.exception))

    def test_needs_no_more_than_those(self):
        kept = tuple(title for title in TITLES if title not in ("Change_Type", "Contextual_Information"))

        resolved = self.world.resolved(self.site.publish(2024, titles=kept))
        schemas.must_be_provable(resolved.release, resolved.table.columns)


class ReadSlices(RunsCase):
    def test_reads_those_of_the_plan_that_are_proved(self):
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

    def test_writes_audits_and_report_and_the_manifest_last(self):
        """S2.4."""
        self.close()
        writes = len(self.store.writes)

        manifest = self.commit()

        run = "metadata/runs/run_id=r1/"
        self.assertEqual(
            [key.removeprefix(run) for key in self.store.writes[writes:]],
            ["file_audits.jsonl", "download_report_2024.csv", "manifest.json"],
        )
        self.assertEqual(plans.read_manifest(self.store, "r1"), manifest)
        lines = self.store.get(run + "file_audits.jsonl") or b""
        self.assertEqual(manifest.file_audits_sha256, hashlib.sha256(lines).hexdigest())
        self.assertEqual((manifest.file_audits, manifest.status, manifest.closure.closed), (1, "completed", True))
        self.assertEqual((manifest.created_at, manifest.finished_at), (START, START + timedelta(hours=1)))
        (line,) = read_csv(self.store.get(run + "download_report_2024.csv") or b"")
        self.assertEqual((line["company_id"], line["verdict"], line["sha256"]), (COMPANY, "proved", f"{1:064x}"))

    def test_happens_once(self):
        first = self.commit()
        self.close()
        writes = list(self.store.writes)

        self.assertEqual(self.commit(), first)
        self.assertEqual(self.store.writes, writes)
        self.assertEqual(first.status, "failed")

    def test_compares_with_the_source_at_the_end(self):
        self.close()

        manifest = self.commit(source_rows=4)

        self.assertEqual(
            (manifest.status, manifest.closure.closed, manifest.closure.source_rows), ("partial", False, 4)
        )

    def test_says_torn_where_the_release_changed_under_the_run(self):
        self.close()

        manifest = self.commit(release_at_end=LATER)

        self.assertEqual((manifest.status, manifest.release, manifest.release_at_end), ("torn", a_release(), LATER))

    def test_takes_from_the_lake_what_no_process_here_knows(self):
        self.close()
        write_attempt(self.store, an_attempt(OTHER, reason="conflict"))

        manifest = self.commit(a_plan({COMPANY: 3, OTHER: 2, "777": 1}))

        self.assertEqual(
            [(one.company_id, one.verdict, one.reason) for one in manifest.slices],
            [(COMPANY, "proved", ""), (OTHER, "failed", "conflict"), ("777", "missing", "not_tried")],
        )
        self.assertEqual(manifest.status, "partial")

    def test_believes_a_proof_before_a_failure_of_its_own(self):
        """Another process of the run proved meanwhile what failed here."""
        self.close()
        failed = {one: a_result(one, "failed", reason="blocked") for one in (COMPANY, OTHER)}

        manifest = self.commit(a_plan({COMPANY: 3, OTHER: 2}), known=failed)

        self.assertEqual([one.verdict for one in manifest.slices], ["proved", "failed"])

    def test_keeps_what_this_process_knows_of_its_own_proofs(self):
        self.close()

        manifest = self.commit(known={COMPANY: a_result(rows=3, requests=77)})

        self.assertEqual(manifest.slices[0].requests, 77)

    def test_replaces_what_a_run_that_died_before_its_manifest_left(self):
        for key in (lake_layout.runs.file_audits("r1"), lake_layout.open_payments.download_report("r1", 2024)):
            self.store.put(key, b"half")
        self.close()

        manifest = self.commit()

        lines = self.store.get(lake_layout.runs.file_audits("r1")) or b""
        self.assertEqual(manifest.file_audits_sha256, hashlib.sha256(lines).hexdigest())

    def test_that_loses_a_race_leaves_the_files_of_the_winner(self):
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

    def test_that_loses_a_race_with_its_equal_writes_nothing_more(self):
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

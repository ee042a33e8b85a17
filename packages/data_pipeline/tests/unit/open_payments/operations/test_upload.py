import hashlib
from collections.abc import Iterator
from typing import Any

from structlog.testing import capture_logs

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import releases
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceAudit
from data_pipeline.open_payments.operations.upload import objects_of, upload_run
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.runs import pointers
from data_pipeline.runs.copying import Copied, Copying, ToCopy
from etl_core.errors import ConflictError, DataError, UsageError
from etl_core.lake import Body, ObjectInfo, PutResult, content_of
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.fakes import (
    COMPANY,
    OTHER,
    WorldCase,
    a_manifest,
    a_plan,
    a_release,
    a_result,
    a_selection,
    an_audit,
    payments,
)

RELEASE = "dataset=general-payments/year=2024/release=2026-06-30-00000001"


class Watched(MemoryStore):
    """A lake that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    @property
    def url(self) -> str:
        return "memory://there"

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self.calls.append(f"put_new {key}")
        return super().put_new(key, body, sha256=sha256)

    def get(self, key: str) -> bytes | None:
        self.calls.append(f"get {key}")
        return super().get(key)

    def delete(self, key: str) -> None:
        self.calls.append(f"delete {key}")
        super().delete(key)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.calls.append(f"list {prefix}")
        return super().list(prefix)


class ObjectsOf(WorldCase):
    def test_objects_of_a_run_are_parts_before_their_audits_those_before_what_names_them_and_the_manifest_last(self):
        audits = [an_audit(COMPANY, number=number, of=2) for number in (1, 2)] + [an_audit(OTHER)]
        release = "dataset=general-payments/year=2024/release=2026-06-30-9323b84e"
        slice_audits = f"metadata/audits/{release}/company_id="

        self.assertEqual(
            objects_of(a_plan(), a_manifest(), audits),
            [
                [ToCopy(audit.key, audit.sha256, audit.bytes) for audit in audits],
                [
                    ToCopy(f"{slice_audits}{COMPANY}/part-1-of-2.json", content_of(audits[0].to_bytes())),
                    ToCopy(f"{slice_audits}{COMPANY}/part-2-of-2.json", content_of(audits[1].to_bytes())),
                    ToCopy(f"{slice_audits}{OTHER}/part-1-of-1.json", content_of(audits[2].to_bytes())),
                    ToCopy(f"{slice_audits}{COMPANY}/slice.jsonl", kind=SliceAudit),
                    ToCopy(f"{slice_audits}{OTHER}/slice.jsonl", kind=SliceAudit),
                    ToCopy(releases.key_of(a_release())),
                    ToCopy(f"metadata/schemas/{release}/schema.json"),
                    *map(ToCopy, pointers.of_plan(a_plan())),
                    ToCopy("metadata/runs/run_id=r1/plan.json", kind=Plan),
                    ToCopy("metadata/runs/run_id=r1/file_audits.jsonl", "0" * 64),
                    ToCopy("metadata/runs/run_id=r1/download_report_2024.csv"),
                    *map(ToCopy, pointers.of_manifest(a_manifest())),
                ],
                [ToCopy("metadata/runs/run_id=r1/manifest.json", kind=Manifest)],
            ],
        )

    def test_objects_of_a_run_are_those_of_the_generation_that_the_manifest_names(self):
        manifest = a_manifest(a_result(rows=3, generation=3))

        steps = objects_of(a_plan(), manifest, [an_audit(generation=2, key="x.2.csv")])
        found = [one.key for step in steps for one in step]

        keys = keys_of(a_release(), COMPANY)
        self.assertEqual(found[:3], ["x.2.csv", keys.part_audit(1, 1, 2), keys.slice_audit(3)])


class UploadCase(WorldCase):
    def setUp(self) -> None:
        super().setUp()
        self.there = Watched()
        self.addCleanup(self.there.close)
        self.lines: list[str] = []
        self.site.publish(2024, payments(COMPANY, 3) + payments(OTHER, 2))
        self.manifest = self.committed()

    def committed(self, run_id: str = "r1", **selection: Any) -> Manifest:
        pipeline = self.world.pipeline
        prepared = pipeline.prepare(a_selection(**selection), run_id, TotalsChoice())
        return pipeline.commit(prepared.plan, pipeline.work(prepared))

    def upload(self, **choice: Any) -> Copied:
        self.lines.clear()
        copying = Copying(self.store, self.there, on_file=self.lines.append, **choice)
        return upload_run(copying, open_run(self.store, self.manifest.run_id))

    def of_run(self) -> dict[str, bytes]:
        """What makes the run, by key."""
        mine = (RELEASE, "/distribution_id=", "run_id=r1/", "_r1")
        keys = [one.key for one in self.store.list("") if any(word in one.key for word in mine)]
        keys = [key for key in keys if not key.endswith("_r2")]
        return {key: self.store.get(key) or b"" for key in keys}

    def all_there(self) -> dict[str, bytes]:
        return {entry.key: MemoryStore.get(self.there, entry.key) or b"" for entry in self.there.list("")}

    @property
    def part(self) -> str:
        return f"raw/{RELEASE}/company_id={COMPANY}/part-1-of-1.csv"


class Upload(UploadCase):
    """S2.2: nothing is uploaded twice, or overwritten unless that was asked for."""

    def test_an_upload_copies_a_run_with_its_manifest_last(self):
        uploaded = self.upload()

        run = self.of_run()
        self.assertEqual(self.all_there(), run)
        self.assertEqual(len(run), 17)
        self.assertEqual(uploaded, Copied(files=17, copied=17, same=0, bytes=sum(map(len, run.values()))))
        self.assertEqual(self.there.writes[-1], lake_layout.runs.manifest("r1"))
        kinds = [key.split("/")[0] for key in self.there.writes]
        self.assertEqual(kinds, ["raw"] * 2 + ["metadata"] * 15)
        self.assertEqual(sorted(self.lines), sorted(f"copied  {key}" for key in run))

    def test_an_upload_leaves_caches_and_other_runs_behind(self):
        self.committed("r2", max_files=1)

        self.upload()

        self.assertEqual(self.all_there(), self.of_run())

    def test_an_upload_again_only_lists(self):
        self.upload()
        self.there.calls.clear()

        self.assertEqual(self.upload(), Copied(files=17, copied=0, same=17, bytes=0))

        self.assertEqual([call.split(" ")[0] for call in self.there.calls].count("list"), 12)
        self.assertEqual(len(self.there.calls), 13, "beside the listings only the manifest is read")
        self.assertEqual(self.lines, [])

    def test_an_upload_continues_after_a_break(self):
        self.upload()
        for key in (lake_layout.runs.manifest("r1"), lake_layout.runs.plan("r1"), self.part):
            self.there.delete(key)

        uploaded = self.upload()

        self.assertEqual((uploaded.copied, uploaded.same), (3, 14))
        self.assertEqual(self.all_there(), self.of_run())
        self.assertEqual(
            self.there.writes[-3:], [self.part, lake_layout.runs.plan("r1"), lake_layout.runs.manifest("r1")]
        )

    def test_an_upload_of_a_second_run_copies_only_what_is_new(self):
        self.upload()
        self.manifest = self.committed("r2", max_files=1)

        uploaded = self.upload()

        self.assertEqual((uploaded.copied, uploaded.files), (8, 14))

    def test_an_upload_counts_the_same_content_written_meanwhile_as_done(self):
        body = self.store.get(self.part) or b""
        wanted = Late(self.part, body)
        self.addCleanup(wanted.close)
        self.there = wanted

        uploaded = self.upload()

        self.assertEqual((uploaded.copied, uploaded.same), (16, 1))
        self.assertIn(f"same    {self.part}", self.lines)

    def test_an_upload_leaves_no_file_behind(self):
        self.upload()

        self.assertEqual(list(self.there.scratch_file().parent.iterdir()), [])


class Late(Watched):
    """A lake in which somebody else writes one key just before we do."""

    def __init__(self, key: str, body: bytes) -> None:
        super().__init__()
        self._late = (key, body)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if key == self._late[0]:
            super().put_new(*self._late)
        return super().put_new(key, body, sha256=sha256)


class Conflicts(UploadCase):
    def refused(self) -> str:
        writes = len(self.there.writes)
        with self.assertRaises(ConflictError) as caught:
            self.upload()
        self.assertNotIn(lake_layout.runs.manifest("r1"), self.there.writes[writes:])
        return str(caught.exception)

    def test_conflicts_name_both_hashes_and_overwrite_nothing(self):
        for key in (self.part, lake_layout.runs.plan("r1")):
            with self.subTest(key=key):
                self.setUp()
                self.there.put(key, b"other content")
                message = self.refused()
                theirs = hashlib.sha256(b"other content").hexdigest()
                ours = hashlib.sha256(self.store.get(key) or b"").hexdigest()
                self.assertEqual(
                    message,
                    f"memory://there/{key} holds other content: there sha256 {theirs}, here {ours}. "
                    "Nothing was overwritten; --overwrite does.",
                )
                self.assertEqual(MemoryStore.get(self.there, key), b"other content")
                self.assertEqual(list(self.there.scratch_file().parent.iterdir()), [])

    def test_conflicts_are_found_in_the_manifest_too(self):
        """Another run of the same name was uploaded there."""
        self.upload()
        self.there.put(lake_layout.runs.manifest("r1"), b"of another run")

        self.assertIn(f"{lake_layout.runs.manifest('r1')} holds other content", self.refused())

    def test_parts_that_differ_from_their_audit_are_not_copied(self):
        body = self.store.get(self.part) or b""
        self.store.put(self.part, body.replace(b"lunch", b"lunch"[::-1]))

        message = self.refused()

        self.assertIn(f"memory:///{self.part} holds sha256", message)
        self.assertIn(f"its audit says {hashlib.sha256(body).hexdigest()}; not copied", message)
        self.assertNotIn(self.part, self.there.writes)

    def test_a_list_of_audits_that_the_manifest_does_not_name_is_refused(self):
        """A lake that lost file_audits.jsonl must not have its manifest copied alone."""
        key = lake_layout.runs.file_audits("r1")
        lines = self.store.get(key) or b""
        for body in (None, b"", lines[: lines.index(b"\n") + 1], lines + lines):
            with self.subTest(size=len(body or b"")):
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                with self.assertRaisesRegex(
                    DataError, "file_audits.jsonl is not the file that the manifest beside it names"
                ):
                    self.upload()
                self.assertEqual(self.there.writes, [])

    def test_a_run_whose_report_is_missing_is_refused_and_the_error_says_what_derives_it(self):
        self.store.delete(lake_layout.open_payments.download_report("r1", 2024))

        with self.assertRaisesRegex(DataError, "has no .*download_report_2024.csv.* write_manifest -- --run-id r1"):
            self.upload()

        self.assertEqual(self.there.writes, [])


class Documents(UploadCase):
    def test_documents_that_cannot_be_read_or_are_of_another_place_are_not_copied(self):
        mine, theirs = (keys_of(self.manifest.release, one) for one in (COMPANY, OTHER))
        for key, body in [
            (mine.slice_audit(), b""),
            (mine.slice_audit(), self.store.get(theirs.slice_audit())),
            (mine.part_audit(1, 1), b""),
            (mine.part_audit(1, 1), self.store.get(theirs.part_audit(1, 1))),
        ]:
            with self.subTest(key=key, size=len(body or b"")):
                good = self.store.get(key) or b""
                self.store.put(key, body or b"")
                with self.assertRaisesRegex((ConflictError, DataError), key):
                    self.upload()
                self.assertNotEqual(MemoryStore.get(self.there, key), body)
                self.assertNotIn(lake_layout.runs.manifest("r1"), self.there.writes)
                self.store.put(key, good)


class Overwrite(UploadCase):
    def test_overwriting_replaces_what_differs_and_says_so(self):
        self.upload()
        differing = [self.part, lake_layout.runs.plan("r1"), lake_layout.runs.manifest("r1")]
        for key in differing:
            self.there.put(key, b"other content")
        self.there.calls.clear()

        with capture_logs() as logs:
            uploaded = self.upload(overwrite=True)

        self.assertEqual((uploaded.copied, uploaded.same), (3, 14))
        self.assertEqual(self.all_there(), self.of_run())
        self.assertEqual([one["key"] for one in logs], differing, "the manifest last")
        self.assertEqual(
            {(one["log_level"], one["event"], one["lake"], one["sha256"]) for one in logs},
            {("warning", "overwriting", "memory://there", hashlib.sha256(b"other content").hexdigest())},
        )

    def test_removes_nothing(self):
        self.upload()
        self.there.put(self.part, b"other content")
        self.there.calls.clear()

        self.upload(overwrite=True)

        self.assertEqual([call for call in self.there.calls if call.startswith("delete")], [])

    def test_overwriting_is_plain_copying_where_nothing_is_there(self):
        with capture_logs() as logs:
            self.upload(overwrite=True)

        self.assertEqual(logs, [])
        self.assertEqual(self.all_there(), self.of_run())

    def test_overwriting_of_a_part_that_its_audit_does_not_prove_leaves_the_other_lakes(self):
        self.upload()
        self.there.put(self.part, b"other content")
        self.store.put(self.part, b"damaged since")

        with self.assertRaisesRegex(ConflictError, "not copied"):
            self.upload(overwrite=True)

        self.assertEqual(MemoryStore.get(self.there, self.part), b"other content")
        self.assertEqual(list(self.there.scratch_file().parent.iterdir()), [])


class SameLake(UploadCase):
    def test_the_same_lake_is_refused_and_keeps_everything(self):
        before = self.of_run()
        choices: list[dict[str, Any]] = [{}, {"overwrite": True}, {"dry_run": True}]
        for choice in choices:
            with (
                self.subTest(choice),
                self.assertRaisesRegex(UsageError, "memory:// and memory:// are the same lake"),
            ):
                upload_run(Copying(self.store, self.store, **choice), open_run(self.store, "r1"))
        self.assertEqual(self.of_run(), before)


class DryRun(UploadCase):
    def test_a_dry_run_says_what_it_would_copy_and_copies_nothing(self):
        uploaded = self.upload(dry_run=True)

        self.assertEqual((uploaded.files, uploaded.copied, uploaded.same), (17, 0, 0))
        self.assertEqual(uploaded.bytes, sum(map(len, self.of_run().values())))
        self.assertEqual(sorted(self.lines), sorted(f"would copy  {key}" for key in self.of_run()))
        self.assertEqual(self.there.writes, [])

    def test_a_dry_run_leaves_out_what_is_there(self):
        self.upload()
        self.there.delete(self.part)

        uploaded = self.upload(dry_run=True)

        self.assertEqual((uploaded.copied, uploaded.same), (0, 16))
        self.assertEqual(self.lines, [f"would copy  {self.part}"])
        self.assertEqual(uploaded.bytes, len(self.store.get(self.part) or b""))

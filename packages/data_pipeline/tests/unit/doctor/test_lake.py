import tempfile
import unittest
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from data_pipeline.doctor.checks import outcome_of
from data_pipeline.doctor.lake import LAKE_CHECKS, LakeDoctor
from etl_core.errors import AccessError, UnavailableError
from etl_core.lake import Body, ObjectInfo, ObjectStore, PutResult, content_of
from etl_core.lake.directory import DirectoryStore
from etl_core.testing import MemoryStore


class Overwriting(MemoryStore):
    """Accepts create-only, and overwrites."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        assert isinstance(body, bytes)
        self.put(key, body)
        return PutResult(True, content_of(body))


class ReportingAndOverwriting(MemoryStore):
    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        result = super().put_new(key, body)
        assert isinstance(body, bytes)
        self.put(key, body)
        return result


class Accepting(MemoryStore):
    """Keeps the first content, and reports to every writer that it created the object."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        return replace(super().put_new(key, body), created=True)


class Forgetful(MemoryStore):
    def get(self, key: str) -> bytes | None:
        return None


class Changing(MemoryStore):
    """Reports another hash than that of the stored content."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        result = super().put_new(key, body)
        return result if result.created or body != b"first" else replace(result, sha256="0" * 64)


class Blind(MemoryStore):
    def list(self, prefix: str) -> Any:
        return iter(())


class Closed(MemoryStore):
    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AccessError("read only.")


class Down(MemoryStore):
    def list(self, prefix: str) -> Any:
        raise UnavailableError("cannot list: 503.")


class Unseen(MemoryStore):
    def head(self, key: str) -> ObjectInfo | None:
        return None


def now() -> datetime:
    return datetime.now(UTC)


class LakeDoctorTest(unittest.TestCase):
    def examined(self, store: ObjectStore, doctor: LakeDoctor | None = None) -> tuple[dict[str, str], int]:
        said: list[str] = []
        found = (doctor or LakeDoctor(store, now)).examine(said.append)
        self.assertEqual(len(said), len(LAKE_CHECKS))
        return {one.check.id: one.verdict for one in found}, outcome_of(found)[1]

    def failed(self, store: ObjectStore) -> set[str]:
        return {name for name, verdict in self.examined(store)[0].items() if verdict == "failed"}

    def test_a_folder_passes_every_check_and_no_probe_is_left(self):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "lake"
            store = DirectoryStore(root)
            doctor = LakeDoctor(store, now, lambda _root: 10_000_000_000)
            found, status = self.examined(store, doctor)
            store.close()
            self.assertEqual((set(found.values()), status), ({"passed"}, 0))
            self.assertEqual([path for path in root.rglob("*") if path.is_file()], [])

    def test_free_space_is_checked_in_folders_only(self):
        self.assertEqual(self.examined(MemoryStore())[0]["free_space"], "skipped")

    def test_a_folder_without_room_for_a_year_fails_but_runs_may_start(self):
        with tempfile.TemporaryDirectory() as folder:
            store = DirectoryStore(Path(folder))
            found, status = self.examined(store, LakeDoctor(store, now, lambda _root: 9_000_000_000))
            store.close()
        self.assertEqual((found["free_space"], status), ("failed", 0))

    def test_a_store_that_breaks_a_promise_fails_its_check(self):
        for store, names in [
            (Overwriting(), {"create_only_reported", "create_only_kept", "same_content_agrees"}),
            (ReportingAndOverwriting(), {"create_only_kept"}),
            (Accepting(), {"create_only_reported", "same_content_agrees"}),
            (Changing(), {"same_content_agrees"}),
            (Forgetful(), {"writable"}),
            (Closed(), {"writable"}),
            (Blind(), {"listed"}),
        ]:
            with self.subTest(store=type(store).__name__):
                self.assertEqual(self.failed(store), names)
                self.assertEqual(self.examined(store)[1], 3)
                self.assertEqual(list(MemoryStore.list(store, "")), [])

    def test_a_clock_that_is_five_minutes_off_fails(self):
        for minutes, verdict in [(-6, "failed"), (-4, "passed"), (4, "passed"), (6, "failed")]:
            with self.subTest(minutes=minutes):
                store = MemoryStore(now=lambda minutes=minutes: now() + timedelta(minutes=minutes))  # type: ignore[misc]
                self.assertEqual(self.examined(store)[0]["clock"], verdict)
        self.assertEqual(self.failed(Unseen()), {"clock"})

    def test_a_lake_that_stops_answering_gets_no_more_requests_and_keeps_no_probe(self):
        store = Down()
        found, status = self.examined(store)
        self.assertEqual(status, 4)
        self.assertEqual([name for name, verdict in found.items() if verdict == "no_answer"], [
            "listed", "clock", "free_space",
        ])  # fmt: skip
        self.assertEqual(list(MemoryStore.list(store, "")), [])

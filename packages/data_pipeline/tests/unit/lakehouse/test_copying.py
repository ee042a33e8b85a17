from typing import Any

from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
from data_pipeline.lakehouse import builds
from data_pipeline.lakehouse.copying import copy_build
from data_pipeline.runs.copying import Copied, Copying
from etl_core.errors import ConflictError, DataError, NotFoundError, UnavailableError
from etl_core.lake import Body, PutResult
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.lakehouse.lake_case import raw_key
from packages.data_pipeline.tests.unit.lakehouse.test_curate import SCOPE, BuildCase

ZONES = ("staging/", "metadata/staging/", "metadata/contracts/", "curated/", "metadata/curated/")


class Ending(MemoryStore):
    """A lake whose process ends after so many writes."""

    def __init__(self, writes: int = 1000) -> None:
        super().__init__(name="there")
        self.left = writes

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        if not self.left:
            raise UnavailableError("the process is gone")
        self.left -= 1
        return super().put_new(key, body, sha256=sha256)


class CopyCase(BuildCase):
    def setUp(self) -> None:
        super().setUp()
        self.build = self.curation().run()
        self.there = Ending()
        self.addCleanup(self.there.close)

    def copy(self, **options: Any) -> Copied:
        return copy_build(Copying(self.store, self.there, **options), self.build, list(self.parts))

    def objects(self, store: MemoryStore) -> dict[str, bytes | None]:
        return {entry.key: store.get(entry.key) for zone in ZONES for entry in store.list(zone)}


class Copies(CopyCase):
    def test_a_copy_has_the_same_bytes_and_is_not_made_twice(self):
        copied = self.copy()

        self.assertEqual(self.objects(self.there), self.objects(self.store))
        self.assertEqual((copied.files, copied.copied), (len(self.objects(self.store)), copied.files))
        self.assertEqual(self.there.writes[-1], build_manifest(SCOPE, 1))
        again = self.copy()
        self.assertEqual((again.copied, again.same, again.bytes), (0, copied.files, 0))

    def test_a_copy_that_ended_anywhere_shows_no_half_build_and_is_finished_by_the_same_command(self):
        whole = self.objects(self.store)
        for writes in range(len(whole)):
            with self.subTest(writes=writes):
                self.there = Ending(writes)
                with self.assertRaises(UnavailableError):
                    self.copy()

                self.assertIsNone(builds.current_build(self.there, SCOPE))
                documents = [key for key in self.there.writes if key.startswith("metadata/staging/")]
                named = [StagedKeys.of_part(part, self.build.contract) for part in self.parts]
                there = {one.document for one in named if one.document in documents}
                self.assertTrue(all(self.there.head(self.parts[one].staged_file.key) for one in self.staged_in(there)))
                self.there.left = 1000
                self.copy()
                self.assertEqual(self.objects(self.there), whole)
                self.there.close()

    def staged_in(self, documents: set[str]) -> list[str]:
        return [
            key for key, part in self.parts.items()
            if part.file and StagedKeys.of_part(key, self.build.contract).document in documents
        ]  # fmt: skip

    def test_a_dry_run_copies_nothing(self):
        lines: list[str] = []
        copied = self.copy(dry_run=True, on_file=lines.append)

        self.assertEqual((copied.copied, len(lines), self.there.writes), (0, copied.files, []))

    def test_the_build_of_a_run_is_the_one_that_readers_see(self):
        self.assertEqual(builds.require_build(self.store, SCOPE, "r1"), self.build)
        for scope, run_id, said in (
            (SCOPE, "r2", "is of run r1, not of r2"),
            ("payments/year=1999", "r1", "has no build of"),
        ):
            with self.subTest(run_id=run_id), self.assertRaisesRegex(NotFoundError, said):
                builds.require_build(self.store, scope, run_id)


class Refused(CopyCase):
    def test_a_lake_with_another_build_of_this_number_or_a_later_one_keeps_it(self):
        for number, said in ((1, "holds other content"), (2, "has build 2 of .* already, this one is 1")):
            with self.subTest(number=number):
                theirs = self.build.model_copy(update={"number": number, "release": "b"})
                self.there.put(build_manifest(SCOPE, number), theirs.to_bytes())

                with self.assertRaisesRegex(ConflictError, said):
                    self.copy()
                self.assertEqual(builds.current_build(self.there, SCOPE), theirs)

    def test_a_partial_build_does_not_replace_a_closed_one(self):
        self.there.put(build_manifest(SCOPE, 1), self.build.to_bytes())
        self.build = self.build.model_copy(update={"number": 2, "closed": False})

        with self.assertRaisesRegex(ConflictError, "a partial run does not replace it"):
            self.copy()

    def test_a_part_that_is_not_staged_and_a_file_of_other_bytes_are_named_and_no_manifest_is_copied(self):
        own = StagedKeys.of_part(raw_key("7"), self.build.contract)
        for key, error, said in (
            (own.staged, ConflictError, "not copied"),
            (own.document, DataError, "is missing"),
        ):
            with self.subTest(key=key):
                body = self.store.get(key) or b""
                self.store.put(key, b"x")
                if key == own.document:
                    self.store.delete(key)
                with self.assertRaisesRegex(error, said):
                    self.copy()
                self.assertIsNone(builds.current_build(self.there, SCOPE))
                self.store.put(key, body)

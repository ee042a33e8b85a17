from collections.abc import Callable
from datetime import timedelta

from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
from data_pipeline.lakehouse import builds, gc
from data_pipeline.lakehouse.documents import BuildManifest
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, raw_key
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT
from packages.data_pipeline.tests.unit.lakehouse.test_curate import SCOPE, BuildCase

LATER = START + timedelta(days=2)
RAW_SCOPE = f"{SCOPE}/release=a"


class GcCase(BuildCase):
    """A lake with staged parts and three builds; ``now`` is when its objects are written."""

    def setUp(self) -> None:
        self.now = START
        super().setUp()
        self.builds = [self.curation(release=release).run() for release in ("a", "b", "c")]

    def new_store(self) -> MemoryStore:
        return MemoryStore(lambda: self.now)

    def sorted_builds(self, keep: int | None = 1) -> gc.Builds:
        return gc.sort_builds(self.store, keep, LATER)

    def loose_files(self, keep: int | None = 1) -> set[str]:
        return {one.key for one in gc.loose_files(self.store, self.sorted_builds(keep), LATER)}

    def loose_staged(self, is_used: Callable[[str, str], bool] = lambda *_: True) -> list[str]:
        return [one.key for one in gc.loose_staged(self.store, is_used, LATER)]

    @staticmethod
    def files_of(*found: BuildManifest) -> set[str]:
        return {file.key for build in found for file in build.files}


class ReplacedBuilds(GcCase):
    def test_the_newest_builds_stay_with_their_files_and_all_if_no_number_is_given(self):
        for keep, first in ((1, 2), (2, 1), (3, 0), (9, 0), (None, 0)):
            with self.subTest(keep=keep):
                found = self.sorted_builds(keep)

                self.assertEqual([one.number for one in found.kept], [1, 2, 3][first:])
                self.assertEqual(
                    [one.key for one in found.replaced], [build_manifest(SCOPE, 1 + n) for n in range(first)]
                )
                self.assertEqual(self.loose_files(keep), self.files_of(*self.builds[:first]))

    def test_a_build_that_was_replaced_a_moment_ago_stays_for_its_readers(self):
        self.now = LATER
        self.curation(release="d").run()

        self.assertEqual([one.number for one in self.sorted_builds().kept], [3, 4])

    def test_files_that_a_killed_builder_left_are_found_once_they_are_old(self):
        keys = [f"curated/{SCOPE}/build=00000000/payments-0000-{digit * 8}.parquet" for digit in "12"]
        self.store.put_new(keys[0], b"x")
        self.now = LATER
        self.store.put_new(keys[1], b"x")

        self.assertEqual(self.loose_files(None), {keys[0]})

    def test_a_scope_with_a_manifest_that_cannot_be_read_is_left_alone(self):
        other = self.curation(scope="payments/year=2025").run()
        self.store.put(build_manifest(SCOPE, 3), b'{"schema_version": 2}')

        found = self.sorted_builds()

        self.assertEqual((found.kept, found.replaced, found.unreadable), ((other,), (), {SCOPE}))
        self.assertEqual(self.loose_files(), set())

    def test_a_file_that_a_new_build_names_meanwhile_is_kept(self):
        loose = list(gc.loose_files(self.store, self.sorted_builds(), LATER))
        for manifest in self.sorted_builds().replaced:
            self.assertTrue(gc.remove(self.store, manifest))
        again = self.curation(release="a").run()

        removed = {one.key for one in loose if gc.remove(self.store, one)}

        self.assertEqual(removed, self.files_of(self.builds[1]))
        self.assertEqual(builds.missing_files(self.store, again), [])
        self.store.put(build_manifest(SCOPE, 5), b"{")
        self.assertFalse(gc.remove(self.store, loose[0]), "what an unreadable manifest names is not known")


class StagedInVain(GcCase):
    def test_nothing_is_loose_that_a_document_names_under_a_contract_in_use(self):
        self.assertEqual(self.loose_staged(), [])

    def test_documents_go_before_the_files_they_name(self):
        found = self.loose_staged(lambda *_: False)

        own = {entry.key for entry in self.store.list("") if StagedKeys.of(entry.key)}
        self.assertEqual(set(found), own)
        self.assertTrue(all(key.startswith("metadata/") for key in found[: len(self.parts)]))

    def test_a_contract_under_which_anything_was_staged_a_moment_ago_is_kept_whole(self):
        self.now = LATER
        self.store.put(StagedKeys.of_part(raw_key("5"), CONTRACT.hash).document, b"{}")

        self.assertEqual(self.loose_staged(lambda *_: False), [])

    def test_what_is_in_use_is_asked_by_scope_and_contract(self):
        for used in ((RAW_SCOPE, CONTRACT.hash), (RAW_SCOPE, "00000000"), (SCOPE, CONTRACT.hash)):
            with self.subTest(used=used):
                is_kept = used == (RAW_SCOPE, CONTRACT.hash)

                self.assertEqual(self.loose_staged(lambda *what, used=used: what == used) == [], is_kept)

    def test_a_file_without_a_document_is_loose_unless_a_document_names_it_meanwhile(self):
        own = StagedKeys.of_part(raw_key("5"), CONTRACT.hash)
        document = self.store.get(own.document) or b""
        self.store.delete(own.document)

        self.assertEqual(self.loose_staged(), [own.staged, own.quarantine])
        loose = list(gc.loose_staged(self.store, lambda *_: True, LATER))
        self.store.put(own.document, document)
        self.assertFalse(gc.remove(self.store, loose[0]))
        self.store.delete(own.document)
        self.assertTrue(gc.remove(self.store, loose[0]))
        self.assertIsNone(self.store.head(own.staged))

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple, cast

from data_pipeline.lake_layout.lakehouse import build_manifest
from data_pipeline.lakehouse import builds
from data_pipeline.lakehouse.curate import Curation, Inputs, grouped
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.documents import BuildManifest
from etl_core.errors import ConflictError, DataError
from etl_core.lake import ObjectInfo, ObjectStore
from etl_core.progress import Progress
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, LakehouseCase, csv_of, raw_key
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT, a_record

SCOPE = "payments/year=2024"


class Derived(NamedTuple):
    name: str = "payers"
    select: str = "SELECT payer, count(*) AS payments FROM {source} GROUP BY payer ORDER BY payer"
    check: str = "(SELECT sum(payments) FROM {table}) = (SELECT count(*) FROM {source})"


class StaleListing:
    """A store whose first listing was made before anything was there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._lists = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._lists += 1
        return self._store.list(prefix) if self._lists > 1 else iter(())


class BuildCase(LakehouseCase):
    def setUp(self) -> None:
        super().setUp()
        bodies = {
            "7": csv_of([a_record(Id=one, Payer="7") for one in ("3", "1", "2")]),
            "5": csv_of([a_record(Id="9", Payer="5", Amount="0.70"), a_record(Id="8", Payer="5", Amount="x")]),
            "6": csv_of([]),
        }
        run = self.commit(bodies)
        self.parts = self.staging(run).run({})

    def curation(self, *, rows_per_file: int = 100, **changes: Any) -> Curation:
        inputs = Inputs(
            contract=CONTRACT, derived=(Derived(),), scope=SCOPE, dataset="payments", year=2024, release="a",
            run_id="r1", closed=True, parts=tuple(self.parts.values()),
        )  # fmt: skip
        return Curation(
            self.store,
            replace(inputs, **changes),
            Limits(memory_mb=400, workers=2),
            now=lambda: START,
            progress=Progress(),
            check_stop=lambda: None,
            rows_per_file=rows_per_file,
        )

    def rows(self, build: BuildManifest, table: str) -> list[dict[str, Any]]:
        return [row for file in build.tables[table] for row in self.table(file.key)]


class Built(BuildCase):
    def test_a_build_holds_the_staged_records_in_order_and_what_follows_from_them(self):
        build = self.curation().run()

        self.assertEqual(
            [(row["payer"], row["id"]) for row in self.rows(build, "payments")],
            [("5", "9"), ("7", "1"), ("7", "2"), ("7", "3")],
        )
        self.assertEqual(self.rows(build, "payers"), [{"payer": "5", "payments": 1}, {"payer": "7", "payments": 3}])
        self.assertEqual((build.number, build.rows, build.quarantined, build.parts), (1, 4, 1, 3))
        self.assertEqual(build.amounts, {"amount": Decimal("37.60")})
        for file in build.files:
            with self.subTest(file=file.key):
                body = self.store.get(file.key) or b""
                self.assertEqual((len(body), file.sha256[:8]), (file.bytes, file.key[-16:-8]))
                self.assertTrue(file.key.startswith(f"curated/{SCOPE}/build={build.build}/{file.table}-0000-"))
        self.assertEqual(self.store.get(build_manifest(SCOPE, 1)), build.to_bytes())

    def test_the_files_of_a_table_are_in_its_order(self):
        build = self.curation(rows_per_file=1).run()

        self.assertEqual([file.rows for file in build.tables["payments"]], [1, 3])
        self.assertEqual([row["id"] for row in self.rows(build, "payments")], ["9", "1", "2", "3"])

    def test_the_same_inputs_give_the_same_build_and_then_nothing_is_done(self):
        first = self.curation().run()
        writes = list(self.store.writes)

        self.assertEqual(self.curation().current(), first)
        self.assertEqual(self.curation().run(), first)
        self.assertEqual(self.store.writes, writes)

    def test_a_build_that_lost_a_file_gets_it_again_and_stays_the_same_build(self):
        build = self.curation().run()
        key = build.tables["payers"][0].key
        body = self.store.get(key)
        self.store.delete(key)

        self.assertIsNone(self.curation().current())
        self.assertEqual(self.curation().run(), build)
        self.assertEqual(self.store.get(key), body)

    def test_a_file_of_a_build_that_was_cut_short_is_named_and_made_again_once_it_is_deleted(self):
        build = self.curation().run()
        key = build.tables["payers"][0].key
        self.store.put(key, b"PAR1")

        self.assertIsNone(self.curation().current())
        with self.assertRaisesRegex(DataError, f"{key} holds other bytes than its name says"):
            self.curation().run()
        self.store.delete(key)
        self.assertEqual(self.curation().run(), build)

    def test_another_input_gives_another_build(self):
        inputs = self.curation().inputs
        for changes in (
            {"release": "b"}, {"closed": False}, {"derived": ()}, {"parts": inputs.parts[1:]},
            {"derived": (Derived(select="SELECT 1"),)},
        ):  # fmt: skip
            with self.subTest(**changes):
                self.assertNotEqual(replace(inputs, **changes).build, inputs.build)
        self.assertEqual(replace(inputs, parts=inputs.parts[::-1], run_id="r2").build, inputs.build)

    def test_a_year_without_records_has_a_build_without_files(self):
        build = self.curation(parts=(self.parts[raw_key("6")],)).run()

        self.assertEqual((build.rows, build.files), (0, ()))


class Refused(BuildCase):
    def test_a_staged_file_that_changed_is_named_and_nothing_is_built(self):
        key = self.parts[raw_key("7")].staged_file.key
        for body in (None, b"x"):
            with self.subTest(body=body):
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                with self.assertRaisesRegex(DataError, f"{key} is not the file that its document names"):
                    self.curation().run()
        self.assertIsNone(builds.current_build(self.store, SCOPE))

    def test_rows_that_are_not_the_staged_ones_are_an_error(self):
        part = self.parts[raw_key("7")]
        wrong = part.model_copy(update={"amounts": {"amount": Decimal(1)}})
        with self.assertRaisesRegex(DataError, "written were .*, staged were"):
            self.curation(parts=(wrong,)).run()

    def test_an_equation_that_does_not_hold_is_named(self):
        with self.assertRaisesRegex(DataError, "of payers this does not hold: 1 = 2"):
            self.curation(derived=(Derived(check="1 = 2"),)).run()


class Chain(BuildCase):
    def test_a_new_build_follows_the_old_one_which_stays_readable(self):
        old = self.curation().run()
        new = self.curation(release="b").run()

        self.assertEqual((new.number, new.parent), (2, 1))
        self.assertEqual(builds.current_build(self.store, SCOPE), new)
        self.assertEqual(builds.read_manifest(self.store, build_manifest(SCOPE, 1)), old)
        self.assertEqual(len(self.rows(old, "payments")), 4)
        again = self.curation().run()
        self.assertEqual((again.number, again.build, again.files), (3, old.build, old.files))
        self.assertEqual([one.number for one in builds.current_builds(self.store)], [3])

    def test_a_partial_run_never_takes_the_place_of_a_closed_one(self):
        partial = self.curation(closed=False)
        self.assertEqual((partial.run().number, partial.run().closed), (1, False))
        self.assertEqual(self.curation().run().number, 2)

        for refused in (partial.current, partial.run):
            with self.subTest(refused=refused.__name__), self.assertRaisesRegex(ConflictError, "of the closed run r1"):
                refused()

    def test_of_two_builders_at_once_the_second_takes_the_next_number(self):
        mine = self.curation(release="b").run()

        theirs = builds.commit_build(
            cast("ObjectStore", StaleListing(self.store)), mine.model_copy(update={"build": "11111111"})
        )

        self.assertEqual((theirs.number, theirs.parent), (2, 1))

    def test_builders_at_work_at_the_same_time_make_one_chain(self):
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda release: self.curation(release=release).run(), ("b", "c", "d", "c")))

        chain = [builds.read_manifest(self.store, one.key) for one in builds.manifests(self.store, SCOPE)]
        self.assertEqual(
            [(one.number, one.parent) for one in chain if one], [(1, None), (2, 1), (3, 2), (4, 3)][: len(chain)]
        )
        self.assertLessEqual({one.release for one in made}, {one.release for one in chain if one})
        for build in made:
            self.assertIn(build, chain)
            self.assertEqual(len(self.rows(build, "payments")), 4)

    def test_a_manifest_of_a_newer_version_is_refused(self):
        self.curation().run()
        self.store.put(build_manifest(SCOPE, 2), b'{"schema_version": 2}')

        with self.assertRaisesRegex(DataError, "00000002.json is no BuildManifest of schema version 1"):
            self.curation().current()


class Groups(BuildCase):
    def test_parts_follow_each_other_in_the_order_of_the_table(self):
        found = [[part.least for part in group] for group in grouped(self.parts.values(), 2)]

        self.assertEqual(found, [["5"], ["7"]])
        self.assertEqual(len(list(grouped(self.parts.values(), 4))), 1)

"""The marts of a lake, made by a stand-in for dbt: it copies what it finds in the database ``lake``."""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any, cast

import duckdb

from data_pipeline.lakehouse import gc
from data_pipeline.lakehouse.curate import Curation, Inputs
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import LAKE, Built
from data_pipeline.lakehouse.documents import BuildManifest, MartsManifest, MartsSummary
from data_pipeline.lakehouse.marts import Marts, Source, chain_of
from data_pipeline.lakehouse.reconciliation import Summary
from etl_core.errors import DataError
from etl_core.lake import Body, ObjectStore, PutResult
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Progress
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, LakehouseCase, csv_of
from packages.data_pipeline.tests.unit.lakehouse.tables import CONTRACT, a_record
from packages.data_pipeline.tests.unit.lakehouse.test_curate import Derived

LIMITS = Limits(memory_mb=400, workers=1)
PAYMENTS = Source("payments", CONTRACT, (Derived(),), "amount")
GIFTS = Source("gifts", CONTRACT.model_copy(update={"name": "gifts"}), (), "amount")


@dataclass
class Copies:
    """Copies every table, and says what it was told to."""

    rules: str = "as they are"
    remark: str = ""
    warnings: tuple[str, ...] = ()
    error: Exception | None = None
    before: Callable[[], object] = lambda: None

    def digest(self) -> str:
        return self.rules

    def versions(self) -> dict[str, str]:
        return {"copies": "1"}

    def build(self, folder: Path) -> Built:
        self.before()
        if self.error:
            raise self.error
        path = folder / "made.duckdb"
        with duckdb.connect(str(path)) as database:
            database.execute(f"ATTACH '{folder / LAKE}' AS lake (READ_ONLY)")
            names = database.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_catalog = 'lake'"
            ).fetchall()
            for (name,) in names:
                database.execute(f"CREATE TABLE {name} AS FROM lake.{name}")
                database.execute(f"COMMENT ON TABLE {name} IS '{self.remark}'")
        return Built(path, 3, self.warnings)


class MartsCase(LakehouseCase):
    def setUp(self) -> None:
        super().setUp()
        body = csv_of([a_record(Id=one, Payer="7", Amount="1.10") for one in ("1", "2")])
        self.parts = self.staging(self.commit({"7": body, "6": csv_of([])})).run({})

    def built(self, *, year: int = 2024, release: str = "a", closed: bool = True) -> BuildManifest:
        inputs = Inputs(
            contract=CONTRACT, derived=PAYMENTS.derived, scope=f"payments/year={year}", dataset="payments", year=year,
            release=release, run_id="r1", closed=closed, parts=tuple(self.parts.values()),
        )  # fmt: skip
        return Curation(
            self.store, inputs, LIMITS, now=lambda: START, progress=Progress(), check_stop=lambda: None
        ).run()

    def marts(
        self,
        *pinned: BuildManifest,
        store: ObjectStore | None = None,
        summaries: Sequence[Summary] = (),
        **copies: Any,
    ) -> Marts:
        return Marts(
            store or self.store, (PAYMENTS, GIFTS), pinned, Copies(**copies), LIMITS,
            now=lambda: START, check_stop=lambda: None, summaries=summaries,
        )  # fmt: skip

    def summary(self, body: bytes, *, number: int = 1, year: int = 2024) -> MartsSummary:
        """Rows of the source's summary, in the lake."""
        key = f"raw/summary=totals/{number}/rows.csv"
        self.store.put_new(key, body)
        sha256 = hashlib.sha256(body).hexdigest()
        return MartsSummary(
            table="totals", year=year, release=f"r{number}", rows=2, key=key, bytes=len(body), sha256=sha256
        )

    def in_a_folder(self, build: BuildManifest, name: str) -> DirectoryStore:
        """The files of a build in a lake of their own."""
        there = DirectoryStore(self.folder / name)
        self.addCleanup(there.close)
        for file in build.files:
            there.put_new(file.key, self.store.get(file.key) or b"")
        return there

    def rows(self, marts: MartsManifest, question: str, store: ObjectStore | None = None) -> list[tuple[Any, ...]]:
        path = self.folder / f"{marts.build}-taken-home.duckdb"
        path.write_bytes((store or self.store).get(marts.file.key) or b"")
        with duckdb.connect(str(path), read_only=True) as database:
            return database.execute(question).fetchall()


class Compared(MartsCase):
    def test_a_summary_is_a_table_of_texts_by_year_and_release_whatever_its_dialect_and_order_of_columns(self):
        pinned = (
            self.summary(b'More,ID,Name\nx,007,"A ""b"", c"\ny,8,"two\nlines"\n'),
            self.summary(b'id,name\n9,"back\\"slash"\n', number=2, year=2023),
        )
        made = self.marts(self.built(), summaries=[Summary("totals", ("id", "name"), pinned)]).run()

        self.assertEqual(
            self.rows(made, "SELECT * FROM totals ORDER BY id"),
            [
                ("007", 'A "b", c', 2024, "r1"),
                ("8", "two\nlines", 2024, "r1"),
                ("9", 'back\\"slash', 2023, "r2"),
            ],
        )
        self.assertEqual(made.summaries, pinned)

    def test_a_summary_of_which_nothing_is_stored_is_a_table_without_rows(self):
        made = self.marts(self.built(), summaries=[Summary("totals", ("id", "name"), ())]).run()

        self.assertEqual(made.tables["totals"], 0)
        self.assertEqual((made.summaries, made.reconciled), ((), ()))

    def test_a_newer_summary_gives_other_marts(self):
        build = self.built()
        names = {
            self.marts(build, summaries=[Summary("totals", ("id",), pinned)]).build
            for pinned in ((), (self.summary(b"id\n1\n"),), (self.summary(b"id\n2\n", number=2),))
        }

        self.assertEqual(len(names), 3)

    def test_a_summary_with_other_bytes_than_its_proof_says_is_named_and_nothing_is_published(self):
        damaged = self.summary(b"id\n1\n").model_copy(update={"sha256": "0" * 64})
        with self.assertRaisesRegex(DataError, "raw/summary=totals/1/rows.csv is not the file"):
            self.marts(self.built(), summaries=[Summary("totals", ("id",), (damaged,))]).run()
        self.assertIsNone(chain_of(self.store).current())


class Made(MartsCase):
    def test_each_table_has_the_rows_of_the_pinned_builds_with_dataset_year_and_release(self):
        made = self.marts(self.built(), self.built(year=2023, release="b", closed=False)).run()

        self.assertEqual(
            self.rows(
                made, "SELECT dataset, year, release, count(*), sum(amount) FROM payments GROUP BY ALL ORDER BY 2"
            ),
            [("payments", 2023, "b", 2, Decimal("2.20")), ("payments", 2024, "a", 2, Decimal("2.20"))],
        )
        self.assertEqual(
            self.rows(made, "SELECT year, release, closed, rows, quarantined, amount_usd FROM builds ORDER BY year"),
            [(2023, "b", False, 2, 0, Decimal("2.20")), (2024, "a", True, 2, 0, Decimal("2.20"))],
        )
        self.assertEqual(made.tables, {"builds": 2, "gifts": 0, "payers": 2, "payments": 4})
        self.assertEqual((made.closed, made.tests), (False, 3))

    def test_a_dataset_that_nothing_was_built_of_has_its_tables_with_all_columns_and_types(self):
        made = self.marts(self.built()).run()

        described = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '{}' ORDER BY 1"
        self.assertEqual(self.rows(made, described.format("gifts")), self.rows(made, described.format("payments")))
        nothing = self.marts().run()
        self.assertEqual(self.rows(nothing, described.format("payers")), self.rows(made, described.format("payers")))
        self.assertEqual(nothing.tables, {"builds": 0, "gifts": 0, "payers": 0, "payments": 0})

    def test_builds_of_a_lake_in_a_folder_are_read_where_they_are(self):
        build = self.built()
        with self.subTest("under a name that is a pattern and an address"):
            there = self.in_a_folder(build, "a [lake] 100%25")
            made = self.marts(build, store=there).run()

            self.assertEqual(self.rows(made, "SELECT count(*) FROM payments", there), [(2,)])

    def test_the_manifest_is_written_last_and_is_what_readers_see(self):
        made = self.marts(self.built(), warnings=("a_new_value",)).run()

        self.assertEqual(self.store.writes[-2:], [made.file.key, "metadata/marts/00000001.json"])
        self.assertEqual(chain_of(self.store).current(), made)
        self.assertRegex(made.file.key, f"^marts/build={made.build}/open_payments-{made.file.sha256[:8]}.duckdb$")
        self.assertEqual((made.number, made.parent, made.warnings), (1, None, ("a_new_value",)))


class Repeated(MartsCase):
    def test_the_same_builds_and_rules_give_the_same_marts_and_nothing_is_done(self):
        build = self.built()
        made = self.marts(build).run()

        self.assertEqual(self.marts(build).current(), made)

    def test_another_build_or_other_rules_give_other_marts_and_the_old_ones_stay(self):
        old = self.marts(self.built()).run()
        newer = self.built(release="b")
        for number, marts in enumerate((self.marts(newer), self.marts(newer, rules="changed")), start=2):
            with self.subTest(number=number):
                self.assertIsNone(marts.current())
                self.assertEqual((marts.run().number, marts.current() is not None), (number, True))
        self.assertEqual(self.rows(old, "SELECT DISTINCT release FROM payments"), [("a",)])

    def test_marts_that_lost_their_file_get_it_again_or_are_followed_by_another_file_with_the_same_content(self):
        build = self.built()
        made = self.marts(build).run()
        for remark, number in (("", 1), ("of another hour", 2)):
            with self.subTest(number=number):
                self.store.delete(made.file.key)
                self.assertIsNone(self.marts(build).current())
                again = self.marts(build, remark=remark).run()
                self.assertEqual((again.number, again.build), (number, made.build))
                self.assertEqual(self.marts(build).current(), again)

    def test_of_two_that_make_the_same_marts_at_once_the_first_one_stands(self):
        build, first = self.built(), []
        second = self.marts(build, before=lambda: first.append(self.marts(build).run()))

        self.assertEqual([second.run()], first)
        self.assertEqual(len(chain_of(self.store).entries()), 1)


class DyingStore:
    """A store whose process dies at its n-th write, before it or after."""

    def __init__(self, store: ObjectStore, at: int, moment: str) -> None:
        self._store = store
        self._left = at
        self._moment = moment

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        self._left -= 1
        if self._left == 0 and self._moment == "before":
            raise KeyboardInterrupt
        result = self._store.put_new(key, body, sha256=sha256)
        if self._left == 0:
            raise KeyboardInterrupt
        return result


class Killed(MartsCase):
    def test_after_a_kill_at_any_write_readers_see_nothing_or_all_and_the_same_command_finishes(self):
        for number, (at, moment) in enumerate(product((1, 2), ("before", "after"))):
            with self.subTest(at=at, moment=moment):
                build = self.built(release=str(number))
                dying = cast("ObjectStore", DyingStore(self.store, at, moment))
                before = chain_of(self.store).current()
                with self.assertRaises(KeyboardInterrupt):
                    self.marts(build, store=dying).run()

                seen = chain_of(self.store).current()
                self.assertEqual(seen != before, (at, moment) == (2, "after"))
                finished = self.marts(build).run()
                self.assertEqual((finished.number, self.marts(build).current()), (number + 1, finished))
                self.assertEqual(self.rows(finished, "SELECT DISTINCT release FROM payments"), [(str(number),)])


class Refused(MartsCase):
    def test_a_file_that_is_not_as_its_manifest_says_is_named_and_nothing_is_published(self):
        build = self.built()
        key = build.tables["payments"][0].key
        for body, found in ((None, "it is missing"), (b"x", "other bytes")):
            with self.subTest(found=found):
                self.store.delete(key)
                if body is not None:
                    self.store.put(key, body)
                with self.assertRaisesRegex(DataError, f"{key} is not the file that its manifest names: {found}"):
                    self.marts(build).run()
        self.assertIsNone(chain_of(self.store).current())

    def test_a_link_or_a_pipe_in_place_of_a_file_is_named_and_not_opened(self):
        build = self.built()
        key = build.tables["payments"][0].key
        cases: dict[str, Callable[[Path], None]] = {
            "a link": lambda path: path.symlink_to("/dev/zero"),
            "no regular file": os.mkfifo,
        }
        for found, put in cases.items():
            with self.subTest(found=found):
                there = self.in_a_folder(build, found)
                (there.root / key).unlink()
                put(there.root / key)
                with self.assertRaisesRegex(DataError, f"{key} is {found}, "):
                    self.marts(build, store=there).run()

    def test_nothing_is_published_if_a_rule_does_not_hold(self):
        with self.assertRaisesRegex(DataError, "a rule"):
            self.marts(self.built(), error=DataError("a rule")).run()

        self.assertEqual([key for key in self.store.writes if "marts" in key], [])


class Collected(MartsCase):
    """What ``gc`` finds of marts, once it is old."""

    def test_marts_that_others_replaced_are_found_with_their_file_and_the_newest_stay(self):
        build = self.built()
        made = [self.marts(build, rules=rules, remark=rules).run() for rules in ("a", "b")]
        self.store.put("marts/build=00000000/open_payments-00000000.duckdb", b"of a killed process")
        later = datetime.now(UTC) + timedelta(days=1)

        none = gc.old_marts(self.store, None, later)
        self.assertEqual([one.key for one in none.loose], ["marts/build=00000000/open_payments-00000000.duckdb"])
        old = gc.old_marts(self.store, 1, later)
        self.assertEqual([one.key for one in old.replaced], ["metadata/marts/00000001.json"])
        self.assertIn(made[0].file.key, [one.key for one in old.loose])
        self.assertNotIn(made[1].file.key, [one.key for one in old.loose])
        self.assertEqual(gc.old_marts(self.store, 1, START), gc.OldMarts())
        for entry in (*old.replaced, *old.loose):
            self.assertTrue(gc.remove(self.store, entry))
        self.assertEqual(gc.old_marts(self.store, 1, later), gc.OldMarts())
        self.assertEqual(chain_of(self.store).current(), made[1])

    def test_a_file_that_a_manifest_names_meanwhile_is_kept_and_so_is_all_if_one_cannot_be_read(self):
        made = self.marts(self.built()).run()
        entry = self.store.head(made.file.key)
        assert entry is not None
        self.assertFalse(gc.remove(self.store, entry))

        self.store.put("metadata/marts/00000002.json", b"{}")
        self.assertEqual(gc.old_marts(self.store, 1, datetime.now(UTC) + timedelta(days=1)), gc.OldMarts())
        self.assertFalse(gc.remove(self.store, entry))

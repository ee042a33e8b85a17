"""dbt as it is, on a project of one model."""

from pathlib import Path

import duckdb
import pytest

from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import LAKE, Dbt, interpreter
from data_pipeline.lakehouse.parsed import LARGEST_BYTES
from etl_core.errors import DataError, StoppedError
from etl_core.private_folder import PrivateFolder
from packages.data_pipeline.tests.unit.fakes import Shown
from packages.data_pipeline.tests.unit.lakehouse.test_dbt import LIMITS, ProjectCase, no_stop

PYTHON = interpreter("")


class Run(ProjectCase):
    def lake(self, *numbers: str) -> Path:
        """A work folder with that lake in it."""
        self.work.mkdir()
        with duckdb.connect(str(self.work / LAKE)) as database:
            values = ", ".join(f"({one})" for one in numbers)
            database.execute(f"CREATE TABLE numbers AS SELECT * FROM (VALUES {values}) AS t(n)")
        return self.work

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.project.folder).as_posix(): path.read_bytes()
            for path in self.project.folder.rglob("*")
            if path.is_file()
        }

    def test_the_versions_are_those_of_the_environment_that_runs_dbt(self):
        self.assertEqual(
            set(Dbt(self.project, PYTHON, LIMITS, no_stop).versions()), {"dbt-core", "dbt-duckdb", "duckdb"}
        )

    def test_a_project_becomes_one_file_and_its_warnings_are_named(self):
        self.work = self.folder / "it's {{ 7 * 7 }} 100%"  # a lake's folder may have any name
        before = self.files()
        shown = Shown()
        built = Dbt(self.project, PYTHON, LIMITS, no_stop, progress=shown).build(self.lake("1", "3"))

        self.assertEqual(shown.begun, [("marts: dbt reads the models", 0, 0), ("marts", 3, 0)])
        # dbt is looked at now and then, so that some may be missed.
        self.assertRegex(shown.described[-1], "^marts: (doubled|not_null_doubled_n|accepted_values_doubled_n__)")
        self.assertEqual(built.tests, 2)
        self.assertEqual([name.split("__")[0] for name in built.warnings], ["accepted_values_doubled_n"])
        with duckdb.connect(str(built.database), read_only=True) as database:
            self.assertEqual(database.execute("FROM doubled ORDER BY n").fetchall(), [(2,), (6,)])
        self.assertEqual(self.files(), before)

    def test_a_test_that_fails_is_an_error_of_the_data_which_names_it(self):
        with self.assertRaisesRegex(DataError, "the marts do not hold: 1 fail; not_null_doubled_n: Got 1 result"):
            Dbt(self.project, PYTHON, LIMITS, no_stop).build(self.lake("1", "NULL"))

    @pytest.mark.long
    def test_a_model_that_does_not_fit_in_memory_is_made_on_disk_and_those_after_it_too(self):
        (self.project.folder / "models" / "sorted.sql").write_text(
            "{{ config(materialized='table') }} select row_number() over (order by hash(r.n)) as place, r.n"
            " from (select unnest(range(3_000_000)) as n) as r cross join {{ ref('doubled') }} as one"
        )
        for name in ("later", "last"):
            (self.project.folder / "models" / f"{name}.sql").write_text("select max(n) as n from {{ ref('sorted') }}")
        limits = Limits(memory_mb=60, workers=1)
        built = Dbt(self.project, PYTHON, limits, no_stop).build(self.lake("1"))

        with duckdb.connect(str(built.database), read_only=True) as database:
            self.assertEqual(database.execute("SELECT count(*) FROM sorted").fetchall(), [(3_000_000,)])

    @pytest.mark.long
    def test_what_dbt_read_of_a_project_is_kept_and_read_again_if_it_changed_or_is_damaged(self):
        kept = PrivateFolder(self.folder, "dbt")
        dbt = Dbt(self.project, PYTHON, LIMITS, no_stop, kept)
        model = self.project.folder / "models" / "doubled.sql"

        def kept_after(name: str) -> bytes | None:
            self.work = self.folder / name
            built = dbt.build(self.lake(name))
            with duckdb.connect(str(built.database), read_only=True) as database:
                self.assertEqual(database.execute("FROM doubled").fetchall(), [(factor * int(name),)])
            return kept.read("p.msgpack", limit=LARGEST_BYTES)

        factor = 2
        first = kept_after("1")
        self.assertEqual(kept_after("2"), first)
        factor = 6
        model.write_text(model.read_text().replace("2 * n", "6 * n"))
        kept.replace("p.msgpack", damage := (first or b"")[:1000])
        self.assertNotIn(kept_after("3"), (None, first, damage))

    def test_a_stop_ends_dbt(self):
        def stop() -> None:
            raise StoppedError("stopped", signal_number=2)

        with self.assertRaises(StoppedError):
            Dbt(self.project, PYTHON, LIMITS, stop).build(self.lake("1"))
        self.assertFalse((self.work / "target" / "run_results.json").exists())

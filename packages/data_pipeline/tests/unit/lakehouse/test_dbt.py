"""dbt as it is, on a project of two models; and what its end means."""

import tempfile
import unittest
from pathlib import Path

import duckdb

from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import Dbt, Project, failure, interpreter, profile
from etl_core.errors import AccessError, ConfigError, DataError, PipelineError, StoppedError

LIMITS = Limits(memory_mb=300, workers=2)
PYTHON = interpreter("")
FILES = {
    "dbt_project.yml": "name: p\nversion: '1.0'\nprofile: p\nflags: { send_anonymous_usage_stats: false }\n",
    "models/doubled.sql": "{{ config(materialized='table') }} select 2 * n as n from lake.main.numbers",
    "models/models.yml": """
models:
  - name: doubled
    columns:
      - name: n
        data_tests:
          - not_null
          - accepted_values: { arguments: { values: [2], quote: false }, config: { severity: warn } }
""",
}


def no_stop() -> None:
    pass


class ProjectCase(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.project = Project(self.folder / "project", "p")
        for name, text in FILES.items():
            path = self.project.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.work = self.folder / "work"
        self.work.mkdir()

    def lake(self, *numbers: str) -> Path:
        path = self.folder / "lake.duckdb"
        with duckdb.connect(str(path)) as database:
            values = ", ".join(f"({one})" for one in numbers)
            database.execute(f"CREATE TABLE numbers AS SELECT * FROM (VALUES {values}) AS t(n)")
        return path

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.project.folder).as_posix(): path.read_bytes()
            for path in self.project.folder.rglob("*")
            if path.is_file()
        }


class Run(ProjectCase):
    def test_a_project_becomes_one_file_and_its_warnings_are_named(self):
        before = self.files()
        built = Dbt(self.project, PYTHON, LIMITS, no_stop).build(self.lake("1", "3"), self.work)

        self.assertEqual(built.tests, 2)
        self.assertEqual([name.split("__")[0] for name in built.warnings], ["accepted_values_doubled_n"])
        with duckdb.connect(str(built.database), read_only=True) as database:
            self.assertEqual(database.execute("FROM doubled ORDER BY n").fetchall(), [(2,), (6,)])
        self.assertEqual(self.files(), before)

    def test_a_test_that_fails_is_an_error_of_the_data_which_names_it(self):
        with self.assertRaisesRegex(DataError, "the marts do not hold: 1 fail; not_null_doubled_n: Got 1 result"):
            Dbt(self.project, PYTHON, LIMITS, no_stop).build(self.lake("1", "NULL"), self.work)

    def test_a_stop_ends_dbt(self):
        def stop() -> None:
            raise StoppedError("stopped", signal_number=2)

        with self.assertRaises(StoppedError):
            Dbt(self.project, PYTHON, LIMITS, stop).build(self.lake("1"), self.work)
        self.assertFalse((self.work / "target" / "run_results.json").exists())


class Found(ProjectCase):
    def test_the_versions_are_those_of_the_environment_that_runs_dbt(self):
        self.assertEqual(
            set(Dbt(self.project, PYTHON, LIMITS, no_stop).versions()), {"dbt-core", "dbt-duckdb", "duckdb"}
        )

    def test_a_python_without_dbt_is_named_with_what_to_do(self):
        for python in ("/usr/bin/false", str(self.folder / "nothing")):
            with self.subTest(python=python), self.assertRaisesRegex(ConfigError, f"{python} has no dbt.*DBT_PYTHON"):
                Dbt(self.project, python, LIMITS, no_stop).versions()

    def test_a_given_python_comes_first(self):
        self.assertEqual(interpreter("/opt/dbt/bin/python"), "/opt/dbt/bin/python")


class Digest(ProjectCase):
    def test_every_text_of_a_project_counts_and_its_place_too(self):
        first = self.project.digest()
        self.assertEqual(Project(self.project.folder, "p").digest(), first)
        for name in ("models/doubled.sql", "models/columns.md"):
            with self.subTest(name=name):
                (self.project.folder / name).write_text("changed")
                changed = self.project.digest()
                self.assertNotEqual(changed, first)
                first = changed
        (self.project.folder / "models/doubled.sql").rename(self.project.folder / "models/tripled.sql")
        self.assertNotEqual(self.project.digest(), first)


class Opened(ProjectCase):
    def test_dbt_may_use_no_more_than_the_job_and_downloads_nothing(self):
        said = profile(self.project, Path("/w/made.duckdb"), Path("/w/lake.duckdb"), LIMITS, Path("/w/spill"))

        output = said["p"]["outputs"][said["p"]["target"]]
        self.assertEqual(output["settings"], {"threads": 2, "memory_limit": "300MB", "temp_directory": "/w/spill"})
        self.assertEqual(set(output["config_options"].values()), {False})
        self.assertEqual(output["attach"], [{"path": "/w/lake.duckdb", "alias": "lake", "read_only": True}])


class Ended(unittest.TestCase):
    def test_what_the_end_of_dbt_means(self):
        def result(message: str, status: str = "error") -> dict[str, str]:
            return {"unique_id": "model.p.m", "status": status, "message": message}

        cases: tuple[tuple[int, list[dict[str, str]], type[Exception], str], ...] = (
            (1, [result("Out of Memory Error: could not allocate")], AccessError, "Raise LAKEHOUSE_MEMORY_MB"),
            (1, [result("IO Error: No space left on device")], AccessError, "Free some space"),
            (1, [result("Got 2 results", "fail")], DataError, "1 fail; m: Got 2 results"),
            (1, [result("a\x1b[31m", "fail")], DataError, r"1 fail; m: a \[31m\. "),
            (2, [], RuntimeError, "dbt ended with 2: a bad project"),
            (1, [result("fine", "success")], RuntimeError, "dbt ended with 1"),
        )
        for status, results, kind, said in cases:
            with self.subTest(results=results):
                error = failure(status, results, "a bad project")
                self.assertIsInstance(error, kind)
                self.assertEqual(isinstance(error, PipelineError), kind is not RuntimeError)
                self.assertRegex(str(error), said)

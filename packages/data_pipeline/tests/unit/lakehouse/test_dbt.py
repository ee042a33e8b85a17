"""How dbt is opened, found, and what its end means; tests/integration runs it."""

import tempfile
import unittest
from pathlib import Path

from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import Dbt, Project, failure, interpreter, profile, variables
from etl_core.errors import AccessError, ConfigError, DataError, PipelineError, StoppedError

LIMITS = Limits(memory_mb=300, workers=2)
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


class Found(ProjectCase):
    def test_a_python_without_dbt_is_named_with_what_to_do(self):
        for python in ("/usr/bin/false", str(self.folder / "nothing")):
            with self.subTest(python=python), self.assertRaisesRegex(ConfigError, f"{python} has no dbt.*DBT_PYTHON"):
                Dbt(self.project, python, LIMITS, no_stop).versions()

    def test_a_given_python_comes_first(self):
        self.assertEqual(interpreter("/opt/dbt/bin/python"), "/opt/dbt/bin/python")


class Stopped(ProjectCase):
    def test_a_dbt_that_a_terminal_interrupted_is_stopped_and_no_failure(self):
        calls: list[int] = []

        def stop() -> None:
            calls.append(1)
            if len(calls) > 1:
                raise StoppedError("stopped", signal_number=2)

        self.work.mkdir()
        with self.assertRaises(StoppedError):
            Dbt(self.project, "/usr/bin/false", LIMITS, stop).build(self.work)


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
        output = profile(self.project, LIMITS)["p"]["outputs"]["file"]
        options = output["config_options"]

        self.assertEqual((options["threads"], options["memory_limit"]), (2, "300MB"))
        self.assertEqual({options[f"auto{one}_known_extensions"] for one in ("install", "load")}, {False})
        self.assertEqual([(one["alias"], one["read_only"]) for one in output["attach"]], [("lake", True)])

    def test_dbt_gets_no_variable_of_the_caller_s(self):
        found = variables(Path("/w"))

        self.assertEqual(found.keys(), {"HOME", "TMPDIR", "LC_ALL", "DO_NOT_TRACK"})


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

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path
from typing import Any, ClassVar

import data_pipeline
from data_pipeline.cli import exit_code_of, main
from data_pipeline.open_payments.fetch import slices  # noqa: F401 - their errors
from etl_core import errors
from etl_core.errors import EXIT_STATUSES, PipelineError
from packages.data_pipeline.tests.unit.dropped_in import BROKEN, GOOD, OTHERS

# Runs command lines in one process and says how each ended.
DRIVER = """
import contextlib, io, json, sys
from data_pipeline.cli import exit_code_of
ended = []
for argv in json.load(sys.stdin):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = exit_code_of(argv)
    ended.append([status, out.getvalue(), err.getvalue()])
json.dump(ended, sys.stdout)
"""
Ended = tuple[int, str, str]


def here(*argv: str) -> Ended:
    """A command line in this process, with the jobs there are."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = exit_code_of(list(argv))
    return status, out.getvalue(), err.getvalue()


class DroppedInCase(unittest.TestCase):
    """Against a copy of the package into whose jobs folder files were dropped; nothing else was changed."""

    root: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        package = cls.root / "data_pipeline"
        source = Path(data_pipeline.__file__).parent
        shutil.copytree(source, package, ignore=shutil.ignore_patterns("__pycache__"))
        dropped = {f"{name}.py": text for name, text in GOOD.items()}
        dropped |= {f"{name}.py": text for name, (text, _) in BROKEN.items()} | OTHERS
        for name, text in dropped.items():
            (package / "jobs" / name).write_text(text, encoding="utf-8")

    def python(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(self.root), "PYTHONDONTWRITEBYTECODE": "1"},
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )

    def run_all(self, *lines: list[str]) -> list[Ended]:
        ended = self.python("-c", DRIVER, given=json.dumps(lines))
        self.assertEqual(ended.stderr, "")
        return [(status, out, err) for status, out, err in json.loads(ended.stdout)]


class DroppedIn(DroppedInCase):
    def test_is_a_job_without_a_change_anywhere_else(self):
        """S4.2: the seed's plain template works unchanged."""
        ended = self.run_all(
            ["run", "my_job", "--", "--agency-id", "123"],
            ["run", "my_job", "--", "--agency-id", "10", "--dry-run"],
            ["run", "my_job", "--agency-id", "123"],
            ["describe", "my_job"],
        )

        self.assertEqual(ended[0], (0, "Running normalize for agency=123 dry_run=False\n", ""))
        self.assertEqual(ended[1], (0, "Running normalize for agency=10 dry_run=True\n", ""))
        self.assertEqual(ended[2], ended[0])
        status, out, _ = ended[3]
        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("my_job: Normalize agency records\n\nusage: my-job "), out)

    def test_is_refused_by_its_own_parser(self):
        for ended in self.run_all(
            ["run", "my_job"], ["run", "my_job", "--", "--agency-id", "x"], ["run", "my_job", "--", "--nonsense"]
        ):
            with self.subTest(ended=ended):
                self.assertEqual(ended[0], 2)
                self.assertIn("my-job: error:", ended[2])

    def test_is_listed_the_broken_as_broken_and_the_others_unharmed(self):
        ((status, out, err),) = self.run_all(["list"])

        self.assertEqual((status, err), (0, ""))
        lines = dict(line.split(maxsplit=1) for line in out.splitlines())
        for name, (_, why) in BROKEN.items():
            with self.subTest(name=name):
                self.assertTrue(lines[name].startswith(f"BROKEN: {why}"), lines[name])
        self.assertEqual(lines["my_job"], "Normalize agency records")
        self.assertIn("resolve_ids", lines)
        self.assertEqual(list(lines), sorted(lines))
        for name in ("_helper", "registry", "notes", "x"):
            self.assertNotIn(name, lines)
        width = max(map(len, lines))
        self.assertTrue(all(line[width : width + 2] == "  " for line in out.splitlines()))

    def test_as_a_command_says_what_to_write(self):
        for words, line in (
            (["status"], "data-pipeline run status"),
            (["diff-releases", "--", "--year", "2024"], "data-pipeline run diff_releases -- --year 2024"),
        ):
            with self.subTest(words=words):
                status, out, err = self.run_all(words)[0][:3]
                self.assertEqual((status, out), (2, ""))
                self.assertIn(f"{words[0]} is a job. Write: {line}\n", err)

    def test_of_the_doctor_are_not_mixed_with_the_cluster(self):
        status, out, err = self.run_all(["doctor", "cluster", "lake"])[0][:3]
        self.assertEqual((status, out), (2, ""))
        self.assertIn("cluster is checked alone", err)

    def test_are_listed_as_json(self):
        ((_, plain, _), (status, out, _)) = (ended[:3] for ended in self.run_all(["list"], ["list", "--json"]))
        self.assertEqual(status, 0)
        self.assertEqual(list(json.loads(out)), [line.split()[0] for line in plain.splitlines()])

    def test_that_is_broken_cannot_run_and_says_why(self):
        for name, ended in zip(BROKEN, self.run_all(*(["run", name] for name in BROKEN)), strict=True):
            with self.subTest(name=name):
                self.assertEqual(ended[:2], (1, ""))
                self.assertTrue(
                    ended[2].splitlines()[-1].startswith(f"data-pipeline: job {name} is broken: {BROKEN[name][1]}"),
                    ended[2],
                )

    def test_gets_its_arguments_as_they_were_given(self):
        cases: dict[tuple[str, ...], list[str]] = {}
        for given, arguments in [
            (["echo"], []),
            (["echo", "--"], []),
            (["echo", "--", "--a", "b"], ["--a", "b"]),
            (["echo", "--a", "b"], ["--a", "b"]),
            (["--", "echo", "--a"], ["--a"]),
            (["echo", "--", "--", "x"], ["--", "x"]),
            (["echo", "x", "--", "y"], ["x", "--", "y"]),
            (["echo", "--", "--help"], ["--help"]),
            (["echo", "--help"], ["--help"]),
            (["echo", "-h"], ["-h"]),
            (["echo", "--version"], ["--version"]),
            (["echo", "--", "a b", "", "--x=--y"], ["a b", "", "--x=--y"]),
        ]:
            cases[tuple(given)] = arguments

        for (words, expected), (status, out, err) in zip(
            cases.items(), self.run_all(*(["run", *given] for given in cases)), strict=True
        ):
            with self.subTest(words=words):
                self.assertEqual((status, json.loads(out), err), (0, expected, ""))

    def test_ends_with_the_status_it_returns(self):
        cases = {"0": 0, "null": 0, "3": 3, "4": 4, "true": 1, "false": 0, "77": 77}

        ended = self.run_all(*(["run", "returns", "--", given] for given in cases))

        self.assertEqual(ended, [(status, "", "") for status in cases.values()])

    def test_that_returns_no_status_has_a_bug(self):
        ((status, _, err),) = self.run_all(["run", "returns", "--", '"done"'])

        self.assertEqual(status, 1)
        self.assertIn("this is a bug of ours", err)


class Statuses(DroppedInCase):
    """One table, in ``etl_core.errors``; the design's *Exit status*."""

    documented: ClassVar[dict[str, int]] = {
        "PipelineError": 1,
        "UsageError": 2,
        "PermanentError": 3,
        "ConfigError": 3,
        "DataError": 3,
        "ConflictError": 3,
        "ChangedError": 4,
        "AccessError": 3,
        "NotFoundError": 3,
        "TemporaryError": 4,
        "UnavailableError": 4,
        "UnreachableError": 4,
        "BlockedError": 4,
        "StoppedError": 143,
        "NotProvedError": 4,
        "DriftedError": 3,
        "ReleaseGoneError": 4,
        "BrokenJobError": 1,
    }

    def raised(self, *cases: tuple[str, list[Any], dict[str, Any]]) -> list[Ended]:
        lines = [["run", "raises", "--", name, json.dumps(args), json.dumps(named)] for name, args, named in cases]
        return self.run_all(*lines)

    def test_follow_the_branch_of_the_tree(self):
        classes: list[type[PipelineError]] = [PipelineError, *subclasses(PipelineError)]
        self.assertLessEqual(
            {one.__name__ for one in classes if one.__module__ == errors.__name__}, set(self.documented)
        )
        cases: list[tuple[str, list[Any], dict[str, Any]]] = []
        for one in classes:
            args = ["width", "what happened"] if one.__name__ == "NotProvedError" else ["what happened"]
            cases.append(
                (f"{one.__module__}.{one.__name__}", args, {"signal_number": 15} if "Stopped" in one.__name__ else {})
            )

        for one, (status, out, err) in zip(classes, self.raised(*cases), strict=True):
            with self.subTest(error=one.__name__):
                expected = self.documented.get(one.__name__, one.exit_status.code)
                self.assertEqual((status, out), (expected, ""))
                self.assertIn("what happened", err)
                self.assertNotIn("Traceback", err)

    def test_of_errors_of_ours_come_with_a_letter(self):
        ((_, _, err),) = self.raised(
            ("etl_core.errors.ConfigError", ["LAKE_URL is empty."], {"advice": "Give a folder."})
        )

        self.assertEqual(err, "data-pipeline: LAKE_URL is empty. Give a folder.\n")

    def test_of_signals_are_theirs(self):
        for number, status in [(1, 129), (2, 130), (15, 143)]:
            with self.subTest(number=number):
                found = self.raised(("etl_core.errors.StoppedError", ["stopped"], {"signal_number": number}))
                self.assertEqual(found, [(status, "", "stopped. Run the same command to resume.\n")])

    def test_of_an_interrupt_is_130(self):
        for error in ("builtins.KeyboardInterrupt", "click.exceptions.Abort"):
            with self.subTest(error=error):
                ((status, _, err),) = self.raised((error, [], {}))
                self.assertEqual((status, err.strip()), (130, "interrupted"))

    def test_of_a_bug_is_1_with_a_traceback(self):
        for error in ("builtins.ValueError", "builtins.OSError", "builtins.EOFError", "builtins.AssertionError"):
            with self.subTest(error=error):
                ((status, out, err),) = self.raised((error, ["unforeseen"], {}))
                self.assertEqual((status, out), (1, ""))
                self.assertIn("Traceback (most recent call last)", err)
                self.assertIn("unforeseen", err)
                self.assertTrue(err.endswith(
                    "data-pipeline: this is a bug of ours, not of your data; please report the lines above.\n"
                ))  # fmt: skip

    def test_of_system_exits_are_theirs(self):
        cases: list[tuple[list[Any], int, str]] = [
            ([], 0, ""), ([None], 0, ""), ([0], 0, ""), ([5], 5, ""), ([True], 1, ""),
            (["no such file"], 1, "no such file\n"), ([""], 1, "\n"),
        ]  # fmt: skip

        ended = self.raised(*(("builtins.SystemExit", given, {}) for given, _, _ in cases))

        self.assertEqual(ended, [(status, "", said) for _, status, said in cases])

    def test_of_click_are_2_and_its_exits_their_own(self):
        names = ("UsageError", "ClickException", "BadParameter")
        for status, _, err in self.raised(*((f"click.exceptions.{name}", ["not so"], {}) for name in names)):
            with self.subTest(err=err):
                self.assertEqual(status, 2)
                self.assertIn("not so", err)

        cases = {"--exit 5": 5, "--exit 0": 0, "standalone --exit 5": 5, "standalone --nonsense": 2, "--nonsense": 2}
        ended = self.run_all(*(["run", "click_job", "--", *words.split()] for words in cases))
        self.assertEqual([status for status, _, _ in ended], list(cases.values()))


def subclasses(one: type[PipelineError]) -> list[type[PipelineError]]:
    found = [deeper for direct in one.__subclasses__() for deeper in (direct, *subclasses(direct))]
    return [each for each in found if each.__module__.split(".")[0] in ("etl_core", "data_pipeline")]


class TheOuterDoor(unittest.TestCase):
    def test_shows_what_there_is_where_nothing_is_asked(self):
        status, out, err = here()

        self.assertEqual((status, out), (2, ""))
        self.assertIn("Usage: data-pipeline [OPTIONS] COMMAND", err)

    def test_shows_help_with_examples_and_the_table_of_statuses(self):
        for option in ("--help", "-h"):
            status, out, err = here(option)
            with self.subTest(option=option):
                self.assertEqual((status, err), (0, ""))
                self.assertIn("data-pipeline run download_company -- --year 2024 --company-id 100000000053\n", out)
                for one in EXIT_STATUSES:
                    self.assertRegex(out, rf"\n +{one.code}  {re.escape(one.meaning)}\n")
                for command in ("list", "describe", "run"):
                    self.assertRegex(out, rf"\n  {command} +\w")

    def test_says_its_version(self):
        self.assertEqual(here("--version"), (0, f"data-pipeline, version {data_pipeline.__version__}\n", ""))

    def test_refuses_what_it_does_not_know(self):
        for words in (["nonsense"], ["--nonsense"], ["list", "x"], ["run"], ["describe"], ["describe", "a", "b"]):
            with self.subTest(words=words):
                status, out, err = here(*words)
                self.assertEqual((status, out), (2, ""))
                self.assertIn("Usage: data-pipeline", err)

    def test_knows_no_job_of_another_name(self):
        for command in ("run", "describe"):
            with self.subTest(command=command):
                status, out, err = here(command, "resolve-ids")
                self.assertEqual((status, out), (2, ""))
                self.assertEqual(err, "data-pipeline: there is no job 'resolve-ids'. Did you mean resolve_ids?\n")

    def test_shows_the_help_of_run_itself(self):
        for option in ("--help", "-h"):
            status, out, _ = here("run", option)
            with self.subTest(option=option):
                self.assertEqual(status, 0)
                self.assertIn("Usage: data-pipeline run", out)
                self.assertIn("run JOB -- --year 2024", out)

    def test_repeats_what_it_was_given_in_printable_form(self):
        for argv in (["run", "\x1b[2J\nfine"], ["describe", "\x9b2J"], ["\x1b[2J"], ["doctor", "--dataset", "\x1b[2J"]):
            status, out, err = here(*argv)
            with self.subTest(argv=argv):
                self.assertEqual((status, out), (2, ""))
                self.assertLessEqual({one for one in err if not one.isprintable()}, {"\n"})

    def test_describes_a_job(self):
        status, out, _ = here("describe", "upload_raw")

        self.assertEqual(status, 0)
        self.assertTrue(out.startswith("upload_raw: Copy a committed run, and its build, to another lake"), out)
        self.assertIn("Usage: data-pipeline run upload_raw -- [OPTIONS]", out)

    def test_ends_the_process_with_the_status(self):
        for argv, status in [(["--version"], 0), (["nonsense"], 2)]:
            with (
                self.subTest(argv=argv),
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
                self.assertRaises(SystemExit) as caught,
            ):
                main(argv)
            self.assertEqual(caught.exception.code, status)


class Processes(DroppedInCase):
    def test_start_as_a_module(self):
        """S4.1: python -m data_pipeline works too."""
        ended = self.python("-m", "data_pipeline", "run", "my_job", "--", "--agency-id", "7")
        self.assertEqual((ended.returncode, ended.stdout), (0, "Running normalize for agency=7 dry_run=False\n"))

        ended = self.python("-m", "data_pipeline", "run", "nobody")
        self.assertEqual((ended.returncode, ended.stdout), (2, ""))

    def test_end_without_a_last_search_for_garbage(self):
        code = """
            import atexit, gc
            from data_pipeline.cli import main
            atexit.register(lambda: print(gc.get_freeze_count() > 1000))
            main(["--version"])
        """
        ended = self.python("-c", textwrap.dedent(code))
        self.assertEqual((ended.returncode, ended.stdout.splitlines()[-1]), (0, "True"))

    def test_that_list_import_nothing_heavy(self):
        code = """
            import sys
            from data_pipeline.cli import exit_code_of
            status = exit_code_of(["list"])
            print(status, sorted({name.split(".")[0] for name in sys.modules}))
        """
        ended = self.python("-c", textwrap.dedent(code))

        last = ended.stdout.splitlines()[-1]
        self.assertTrue(last.startswith("0 ["), ended.stderr)
        heavy = (
            "boto3",
            "botocore",
            "duckdb",
            "requests",
            "urllib3",
            "kubernetes",
            "pydantic",
            "structlog",
            "rich",
            "dotenv",
        )
        self.assertEqual([name for name in heavy if f"'{name}'" in last], [])
        self.assertIn("'click'", last)

    def test_that_fetch_import_no_library_of_other_jobs(self):
        """Thousands of pods start so."""
        code = """
            import os, sys
            os.environ |= {"OPEN_PAYMENTS_URL": "http://127.0.0.1:9", "SOURCE_ATTEMPTS": "1"}
            os.environ["XDG_CACHE_HOME"] = os.getcwd()
            from data_pipeline.cli import exit_code_of
            status = exit_code_of(["run", "download_company", "--", "--year", "2024", "--company-id", "1"])
            loaded = {name.split(".")[0] for name, module in sys.modules.items() if module is not None}
            used = {"requests", "pydantic", "structlog"}
            others = {"boto3", "botocore", "duckdb", "kubernetes", "polars", "pyarrow", "rich", "jinja2"}
            print(status, used <= loaded, sorted(others & loaded))
        """
        ended = self.python("-c", textwrap.dedent(code))
        self.assertEqual(ended.stdout.splitlines()[-1], "4 True []", ended.stderr)

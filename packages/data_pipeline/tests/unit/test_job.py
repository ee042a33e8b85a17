import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from data_pipeline import lake_layout
from data_pipeline.job import MOST_LOGS, Context, job_context
from data_pipeline.settings import Settings
from etl_core import logs
from etl_core.errors import AccessError, DataError, UsageError
from etl_core.lake import Body, PutResult
from etl_core.progress import Lines
from etl_core.stop import Stop
from etl_core.testing import MemoryStore
from packages.data_pipeline.tests.unit.folder_case import FolderCase


class OutputCase(FolderCase):
    """What is printed and logged."""

    def setUp(self) -> None:
        super().setUp()
        self.stdout = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.stderr = self.enterContext(contextlib.redirect_stderr(io.StringIO()))

    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.getvalue().splitlines()]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.getvalue().splitlines() if line.startswith("{")]


class ContextCase(OutputCase):
    def setUp(self) -> None:
        super().setUp()
        self.enterContext(logs.configure_logging("json", "info"))

    def context(self, **settings: Any) -> Context:
        log = self.folder / "log.jsonl"
        log.write_text('{"event": "one"}\n')
        context = Context("a_job", Settings(**{"lake_url": str(self.folder / "lake")} | settings), Stop(), log)
        self.addCleanup(context.close)
        return context


class Facts(ContextCase):
    def test_are_one_json_line_with_what_every_fact_has(self):
        context = self.context(run_id="r1")
        context.telemetry.count("source_requests_total", 3, status="200")
        context.telemetry.count("source_requests_total", 2, status="500")
        context.telemetry.count("source_retries_total", 2)

        context.print_fact(status="completed", when=datetime(2026, 7, 14, tzinfo=UTC))

        (fact,) = self.facts()
        self.assertEqual(
            {name: fact[name] for name in fact if name != "seconds"},
            {
                "job": "a_job",
                "run_id": "r1",
                "status": "completed",
                "when": "2026-07-14 00:00:00+00:00",
                "requests": 5,
                "retries": 2,
                "lake": (self.folder / "lake").as_uri(),
            },
        )
        self.assertEqual(list(fact), ["job", "run_id", "status", "when", "seconds", "requests", "retries", "lake"])
        self.assertTrue(0 <= fact["seconds"] < 60)
        self.assertEqual(self.stdout.getvalue().count("\n"), 1)

    def test_of_a_failure_say_what_went_wrong(self):
        context = self.context(run_id="r1")

        context.print_failure(DataError("no such thing.", advice="Look elsewhere."))

        (fact,) = self.facts()
        self.assertEqual(
            (fact["status"], fact["error"], fact["message"]), ("failed", "DataError", "no such thing. Look elsewhere.")
        )

    def test_are_not_followed_by_that_of_a_failure(self):
        context = self.context()
        context.print_fact(status="completed")

        context.print_failure(DataError("late"))

        self.assertEqual([fact["status"] for fact in self.facts()], ["completed"])

    def test_of_a_failure_do_not_hide_it_where_there_is_no_lake(self):
        (self.folder / "file").touch()

        self.context(lake_url=str(self.folder / "file")).print_failure(DataError("first"))

        self.assertEqual(self.facts(), [])


class Full(MemoryStore):
    """A lake that takes nothing new."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AccessError("the disk is full")


class Logs(ContextCase):
    def test_are_kept_for_a_run_only(self):
        context = self.context(run_id="r1")
        context.store_log()
        self.assertEqual(list(context.store.list("")), [])

    def test_lie_beside_those_of_earlier_legs(self):
        context = self.context()
        context.begin("r1")
        context.store_log()
        (self.folder / "log.jsonl").write_text('{"event": "two"}\n')
        context.telemetry.count("source_requests_total", help_text="Requests")
        context.store_log()

        keys = [entry.key for entry in context.store.list("")]
        self.assertEqual(keys, [f"metadata/logs/run_id=r1{leg}" for leg in (".2.log", ".2.prom", ".log", ".prom")])
        self.assertEqual(context.store.get(lake_layout.logs.log("r1", 1)), b'{"event": "one"}\n')
        self.assertEqual(context.store.get(lake_layout.logs.log("r1", 2)), b'{"event": "two"}\n')
        metrics = (context.store.get(lake_layout.logs.metrics("r1", 2)) or b"").decode()
        self.assertIn("source_requests_total 1", metrics)
        self.assertIn('job_duration_seconds{job="a_job"} ', metrics)
        self.assertIn("# HELP job_duration_seconds Wall time of the job", metrics)

    def test_are_kept_once_where_the_answer_to_the_first_write_was_lost(self):
        context = self.context()
        context.begin("r1")
        context.store_log()
        context.store_log()

        self.assertIsNone(context.store.get(lake_layout.logs.log("r1", 2)))

    def test_past_the_last_leg_are_let_go(self):
        context = self.context()
        store = MemoryStore()
        context.store = store
        context.begin("r1")
        for number in range(1, MOST_LOGS):
            store.put(lake_layout.logs.log("r1", number), b"")
        writes = len(store.writes)

        context.store_log()

        self.assertEqual(len(store.writes), writes)

    def test_are_of_the_start_time_if_the_run_has_no_other_name(self):
        context = self.context()

        context.begin()

        self.assertRegex(context.run_id, r"\A\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\Z")

    def test_begin_with_the_name_of_the_run(self):
        context = self.context()

        context.begin("r1")

        self.assertEqual(context.run_id, "r1")
        structlog.get_logger().info("one")
        self.assertEqual([line["run_id"] for line in self.log()], ["r1"])


class OnATerminal(ContextCase):
    """A person gets a summary in place of the fact."""

    def setUp(self) -> None:
        super().setUp()
        self.stdout.isatty = lambda: True  # type: ignore[method-assign]

    def test_a_fact_is_a_summary_with_the_command_that_follows(self):
        context = self.context(run_id="r1")
        context.suggest("verify", "--run-id", "r1")

        context.print_fact(status="copied", files=1234, kinds={"csv": 2, "json": 1}, note="", problem=None)

        first, *lines, following = self.stdout.getvalue().splitlines()
        self.assertRegex(first, r"\Aa_job: copied in 0\.\d s\Z")
        self.assertIn("  files     1,234", lines)
        self.assertIn("  kinds     csv 2, json 1", lines)
        self.assertFalse([line for line in lines if "note" in line or "problem" in line])
        self.assertTrue(following.startswith("Next: ") and following.endswith(" run verify -- --run-id r1"), following)

    def test_what_the_job_told_itself_is_not_told_again(self):
        context = self.context(run_id="r1")
        context.explain("the table")

        context.print_fact(status="shown", files=1234)

        self.assertNotIn("1,234", self.stdout.getvalue())
        self.assertEqual(self.stderr.getvalue(), "the table\n")

    def test_control_characters_are_shown_and_not_obeyed(self):
        self.context().print_fact(status="shown", name="a\x1b[31mb")

        self.assertNotIn("\x1b", self.stdout.getvalue())

    def test_json_is_printed_to_who_asks_for_it(self):
        with job_context("a_job", environ={"LAKE_URL": str(self.folder / "lake")}, is_json=True) as context:
            context.explain("the table")
            context.print_fact(status="shown")

        self.assertEqual([fact["status"] for fact in self.facts()], ["shown"])
        self.assertEqual(self.stderr.getvalue(), "")

    def test_an_error_is_not_a_fact_and_says_where_its_log_is(self):
        environ = {"LAKE_URL": str(self.folder / "lake"), "LOG_FORMAT": "console"}
        with self.assertRaises(DataError) as raised, job_context("a_job", environ=environ) as context:
            context.begin("r1")
            raise DataError("damaged")

        (note,) = raised.exception.__notes__
        log = Path(note.removeprefix("Log: ")).read_text()
        self.assertEqual((self.stdout.getvalue(), self.stderr.getvalue()), ("", ""))
        self.assertEqual([json.loads(line)["message"] for line in log.splitlines()], ["damaged"])


class JobContext(OutputCase):
    @contextlib.contextmanager
    def job(self, environ: dict[str, str] | None = None, **arguments: Any) -> Iterator[Context]:
        environ = {"LAKE_URL": str(self.folder / "lake"), "LOG_FORMAT": "json"} | (environ or {})
        with job_context("a_job", environ=environ, **arguments) as context:
            yield context

    def test_takes_arguments_before_the_environment_before_the_file(self):
        (self.folder / ".env").write_text("SOURCE_ATTEMPTS=3\nSOURCE_MAX_STREAMS=3\nRUN_ID=of-file\n")
        environ = {"SOURCE_MAX_STREAMS": "4", "RUN_ID": "of-environment"}

        with self.job(environ, run_id="of-argument", lake_url=None, source_max_streams=None) as context:
            settings = context.settings

        self.assertEqual(
            (settings.run_id, settings.source_max_streams, settings.source_attempts), ("of-argument", 4, 3)
        )
        self.assertEqual(settings.lake_url, str(self.folder / "lake"))
        self.assertEqual((context.job, context.run_id), ("a_job", "of-argument"))

    def test_refuses_a_run_id_that_is_none_wherever_it_comes_from(self):
        for environ, arguments in [({"RUN_ID": "../x"}, {}), ({}, {"run_id": "../x"})]:
            with self.subTest(environ=environ), self.assertRaises(UsageError), self.job(environ, **arguments):
                self.fail("was let in")

    def test_binds_the_job_and_the_run_to_every_line(self):
        with self.job() as context:
            structlog.get_logger().info("one")
            context.begin("r1")
            with ThreadPoolExecutor(1) as pool:
                pool.submit(structlog.get_logger().info, "two").result()

        self.assertEqual(
            [(line["event"], line["job"], line.get("run_id")) for line in self.log()],
            [("one", "a_job", None), ("two", "a_job", "r1")],
        )

    def test_keeps_level_and_format_as_told(self):
        with self.job({"LOG_LEVEL": "error"}):
            structlog.get_logger().warning("quiet")
            structlog.get_logger().error("loud")
        with self.job({"LOG_FORMAT": "console"}):
            structlog.get_logger().info("plain")

        self.assertEqual([line["event"] for line in self.log()], ["loud"])
        self.assertRegex(self.stderr.getvalue(), r"\[info +\] plain")

    def test_keeps_the_log_of_a_run_in_the_lake(self):
        with self.job() as context:
            context.begin("r1")
            structlog.get_logger().info("one")

        log = (self.folder / "lake" / "metadata" / "logs" / "run_id=r1.log").read_text()
        self.assertEqual([json.loads(line)["event"] for line in log.splitlines()], ["one"])
        self.assertFalse((self.folder / "lake" / ".scratch").exists())

    def test_of_an_error_of_ours_prints_its_fact_and_lets_it_through(self):
        with self.assertRaises(DataError), self.job() as context:
            context.begin("r1")
            raise DataError("no such thing")

        (fact,) = self.facts()
        self.assertEqual((fact["job"], fact["run_id"], fact["status"]), ("a_job", "r1", "failed"))
        self.assertEqual((fact["error"], fact["message"]), ("DataError", "no such thing"))
        (line,) = self.log()
        self.assertEqual((line["event"], line["level"], line["error"]), ("the job failed", "error", "DataError"))
        self.assertEqual(line["message"], "no such thing")
        self.assertIn("the job failed", (self.folder / "lake/metadata/logs/run_id=r1.log").read_text())

    def test_of_a_bug_keeps_its_traceback(self):
        with self.assertRaises(ZeroDivisionError), self.job() as context:
            context.begin("r1")
            _ = 1 / 0

        (line,) = self.log()
        self.assertEqual(line["event"], "a bug")
        self.assertIn("ZeroDivisionError: division by zero", line["exception"])
        self.assertEqual(self.facts(), [])
        self.assertIn("ZeroDivisionError", (self.folder / "lake/metadata/logs/run_id=r1.log").read_text())

    def test_whose_lake_takes_no_log_ends_as_it_would_have(self):
        closed: list[bool] = []

        class Lake(Full):
            def close(self) -> None:
                closed.append(True)
                super().close()

        with self.job() as context:
            context.store = Lake()
            context.begin("r1")

        self.assertEqual(closed, [True])

    def test_releases_the_lake_whatever_happens(self):
        for error in (DataError("no"), ValueError("no"), KeyboardInterrupt(), SystemExit(3)):
            with self.subTest(error=type(error).__name__):
                with self.assertRaises(type(error)), self.job() as context:
                    context.store.scratch_file()
                    raise error
                self.assertFalse((self.folder / "lake" / ".scratch").exists())

    def test_listens_to_signals_in_the_main_thread(self):
        with self.job() as context:
            for number in (signal.SIGINT, signal.SIGTERM):
                self.assertEqual(signal.getsignal(number), context.stop._on_signal)

    def test_shows_progress_in_lines_where_there_is_no_terminal(self):
        with self.job() as context:
            self.assertIsInstance(context.progress, Lines)

    def test_works_in_another_thread(self):
        found: list[str] = []

        def work() -> None:
            with self.job() as context:
                found.append(context.job)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        self.assertEqual(found, ["a_job"])

    def test_gives_a_sign_of_life_from_its_start_where_that_is_asked_for(self):
        path = self.folder / "heartbeat"
        environ = {"LAKE_URL": str(self.folder / "lake"), "HEARTBEAT_FILE": str(path)}
        with job_context("a_job", environ=environ) as context:
            path.unlink()
            context.stop.check()
            self.assertFalse(path.exists(), "not more often than every few seconds")

        with job_context("a_job", environ=environ):
            self.assertTrue(path.exists())

    def test_leaves_no_file_of_its_own_behind(self):
        with self.job():
            self.assertEqual(len(list(self.folder.iterdir())), 1)

        self.assertEqual(list(self.folder.iterdir()), [])


class AProcess(unittest.TestCase):
    """What can be seen from outside only."""

    def run_python(self, code: str, *, dotenv: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / ".env").write_text(dotenv)
            kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
            kept["TMPDIR"] = folder
            return subprocess.run(
                [sys.executable, "-c", code],
                cwd=folder,
                env=kept | environ,
                capture_output=True,
                text=True,
                check=False,
            )

    def test_reads_its_own_environment_and_hands_dotenv_to_boto3(self):
        """boto3 reads AWS_* from the environment and knows nothing of .env; what is set there already stays."""
        ended = self.run_python(
            "import os\n"
            "from data_pipeline.job import job_context\n"
            "with job_context('a_job') as context:\n"
            "    print(os.environ['AWS_REGION'], os.environ['AWS_PROFILE'], 'OTHER' in os.environ)\n"
            "    print(context.settings.source_attempts, context.settings.run_id)\n",
            dotenv="AWS_REGION=of-file\nAWS_PROFILE=of-file\nOTHER=of-file\nSOURCE_ATTEMPTS=2\n",
            AWS_PROFILE="of-environment",
            RUN_ID="r1",
        )

        self.assertEqual(ended.stdout.splitlines(), ["of-file of-environment False", "2 r1"], ended.stderr)

    def test_that_hangs_ends_itself_once_its_grace_is_over(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(signal=number.name):
                ended = self.run_python(
                    "import os, threading\n"
                    "from data_pipeline.job import job_context\n"
                    "with job_context('a_job'):\n"
                    f"    os.kill(os.getpid(), {number.value})\n"
                    "    threading.Event().wait()\n",
                    GRACE_SECONDS="0",
                )
                self.assertEqual(ended.returncode, 128 + number)
                self.assertIn(
                    f"stopped by {number.name}; completed work is kept; not all of it ended within 0 s", ended.stderr
                )

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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from data_pipeline import lake_layout
from data_pipeline.fan_out.shared_backoff import Notice, SharedBudget
from data_pipeline.settings import Settings
from data_pipeline.wiring import MOST_LOGS, Context, job_context, settings_from
from etl_core.errors import AccessError, BlockedError, ConfigError, DataError, StoppedError, UsageError
from etl_core.http import HttpSettings
from etl_core.lake import Body, PutResult
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Lines
from etl_core.retry import RetryPolicy
from etl_core.stop import Stop
from etl_core.testing import MemoryStore


class FolderCase(unittest.TestCase):
    """A test in a folder of its own, temporary files too, whose signal handlers are given back."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.addCleanup(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(self.folder)
        self.enterContext(contextlib.chdir(self.folder))
        self.stdout = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.stderr = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def dotenv(self, text: str | bytes) -> Path:
        path = self.folder / ".env"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def facts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.getvalue().splitlines()]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.getvalue().splitlines() if line.startswith("{")]


class SettingsFrom(FolderCase):
    def test_takes_the_environment_before_the_file_before_the_defaults(self):
        self.dotenv("SOURCE_ATTEMPTS=3\nLAKE_URL=from-file\n")

        found = settings_from({"LAKE_URL": "from-environment"})

        self.assertEqual((found.lake_url, found.source_attempts, found.source_max_streams), ("from-environment", 3, 8))

    def test_takes_an_empty_value_for_none(self):
        self.dotenv("SOURCE_ATTEMPTS=3\nLAKE_URL=\n")

        found = settings_from({"SOURCE_ATTEMPTS": "", "LOG_LEVEL": ""})

        self.assertEqual((found.source_attempts, found.lake_url, found.log_level), (3, "./data", "info"))

    def test_needs_no_file(self):
        self.assertEqual(settings_from({}), Settings())
        self.assertEqual(settings_from({}, self.folder / "elsewhere"), Settings())

    def test_reads_what_such_files_hold(self):
        for text, lake in [
            ("# a comment\n\nLAKE_URL=a\n", "a"),
            ('export LAKE_URL="a b"\n', "a b"),
            ("LAKE_URL='a # b' # comment\r\n", "a # b"),
            ("\ufeffLAKE_URL=a", "a"),
            ("LAKE_URL\n", "./data"),
            ("LAKE_URL=${HOME}/x\n", "${HOME}/x"),
        ]:
            with self.subTest(text=text):
                self.dotenv(text)
                self.assertEqual(settings_from({}).lake_url, lake)

    def test_names_a_line_it_cannot_read(self):
        for text, line in [("=1\n", 1), ("A=1\n\n# c\nwhat is this?\nB=2\n", 4), ("A='open\n", 1)]:
            with self.subTest(text=text), self.assertRaises(ConfigError) as caught:
                settings_from({}, self.dotenv(text))
            self.assertEqual(
                str(caught.exception),
                f"{self.folder / '.env'}, line {line}, is not NAME=value. Mend the line or comment it out with #.",
            )

    def test_says_that_a_file_cannot_be_read(self):
        (self.folder / "folder").mkdir()
        for path in (self.folder / "folder", self.dotenv(b"A=\xff\n")):
            with self.subTest(path=path.name), self.assertRaises(ConfigError) as caught:
                settings_from({}, path)
            self.assertTrue(str(caught.exception).startswith(f"{path} cannot be read: "), caught.exception)
            self.assertTrue(str(caught.exception).endswith("Mend it or move it away."), caught.exception)

    def test_says_where_a_bad_value_came_from(self):
        self.dotenv("SOURCE_ATTEMPTS=many\n")
        for environ, where in [
            ({}, "(from .env)"),
            ({"SOURCE_ATTEMPTS": ""}, "(from .env)"),
            ({"SOURCE_ATTEMPTS": "few"}, "(from the environment)"),
        ]:
            with self.subTest(environ=environ), self.assertRaises(ConfigError) as caught:
                settings_from(environ)
            self.assertIn(where, str(caught.exception))


class ContextCase(FolderCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(structlog.contextvars.clear_contextvars)

    def context(self, **settings: Any) -> Context:
        log = self.folder / "log.jsonl"
        log.write_text('{"event": "one"}\n')
        context = Context("a_job", Settings(**{"lake_url": str(self.folder / "lake")} | settings), Stop(), log)
        self.addCleanup(context.close)
        return context


class Clients(ContextCase):
    def test_are_made_when_first_asked_for(self):
        context = self.context()

        made = {"store", "source", "retry", "pipeline", "progress"}
        self.assertEqual(made & set(vars(context)), set())
        for name in made:
            self.assertIs(getattr(context, name), getattr(context, name))

    def test_open_the_lake_of_the_settings_or_another(self):
        context = self.context()

        store = context.store
        self.assertIsInstance(store, DirectoryStore)
        self.assertEqual(store.url, (self.folder / "lake").as_uri())
        self.assertEqual(context.open_store(str(self.folder / "other")).url, (self.folder / "other").as_uri())

    def test_ask_the_source_as_the_settings_say(self):
        context = self.context(
            open_payments_url="http://127.0.0.1:1/x",
            open_payments_user_agent="us",
            source_max_streams=5,
            source_timeout_seconds=7.5,
            source_attempts=3,
            source_first_wait_seconds=0.25,
        )

        client = context.source._http

        self.assertEqual(client._settings, HttpSettings("http://127.0.0.1:1/x", "us", pool_size=5, read_seconds=7.5))
        self.assertEqual(client._session.headers["User-Agent"], "us")
        self.assertEqual(client._budget.ceiling, 5)
        self.assertEqual(client._budget._folder.name, "127.0.0.1-1")
        self.assertIs(client._retry, context.retry)
        self.assertIs(client._telemetry, context.telemetry)
        self.assertTrue(client._is_temporary(400, "Database internal error."))
        self.assertEqual(context.retry._policy, RetryPolicy(attempts=3, first_wait_seconds=0.25))
        self.assertEqual(context.pipeline._streams, 5)

    def test_of_one_of_many_pods_hear_of_what_the_others_learn(self):
        log = self.folder / "log.jsonl"
        log.touch()
        settings = Settings(lake_url=str(self.folder / "lake"), open_payments_url="http://127.0.0.1:1")
        context = Context("a_job", settings, Stop(), log, is_one_of_many=True)
        self.addCleanup(context.close)

        budget = context.source._http._budget

        assert isinstance(budget, SharedBudget)
        self.assertIs(budget._board, context.board)
        self.assertEqual(budget.ceiling, settings.source_max_streams)
        context.board.tell(Notice(10**12, "403 by the edge"))
        with self.assertRaises(BlockedError), budget.slot():
            pass
        self.assertTrue((self.folder / "lake" / "metadata/sources/127.0.0.1-1/not_before.json").exists())

    def test_of_one_process_ask_the_lake_nothing_of_the_kind(self):
        self.assertNotIsInstance(self.context().source._http._budget, SharedBudget)

    def test_share_what_they_stand_on(self):
        context = self.context()

        pipeline = context.pipeline

        self.assertIs(pipeline._source, context.source)
        self.assertIs(pipeline._store, context.store)
        self.assertIs(pipeline._retry, context.retry)
        self.assertIs(pipeline._progress, context.progress)
        self.assertEqual(pipeline._now, context.now)

    def test_stop_when_the_job_is_asked_to(self):
        """Before a request, in a chunk, and while they wait for the next try."""
        context = self.context()
        context.stop.ask(signal.SIGTERM)
        client = context.source._http

        for what in (lambda: context.source.count("d"), lambda: context.retry._sleep(1000), client._check_stop):
            with self.subTest(), self.assertRaises(StoppedError) as caught:
                what()
            self.assertEqual(caught.exception.signal_number, signal.SIGTERM)

    def test_refuse_an_address_that_is_none(self):
        for url in ("openpaymentsdata.cms.gov", "ftp://x", "file:///x"):
            with self.subTest(url=url), self.assertRaises(ConfigError) as caught:
                _ = self.context(open_payments_url=url).source
            self.assertEqual(
                str(caught.exception), f"OPEN_PAYMENTS_URL={url!r} is no address. It begins with https://."
            )

    def test_write_lines_where_there_is_no_terminal(self):
        self.assertIsInstance(self.context().progress, Lines)

    def test_know_the_time_in_utc(self):
        context = self.context()
        before = datetime.now(UTC)

        self.assertEqual(context.now().tzinfo, UTC)
        self.assertGreaterEqual(context.now(), before)
        context.begin()
        self.assertRegex(context.run_id, r"\A\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\Z")

    def test_release_the_lake_if_it_was_opened(self):
        self.context().close()
        self.assertFalse((self.folder / "lake").exists())

        context = self.context()
        scratch = context.store.scratch_file().parent
        self.assertTrue(scratch.exists())
        context.close()
        self.assertFalse(scratch.exists())


class Facts(ContextCase):
    def test_are_one_json_line_with_what_every_fact_has(self):
        context = self.context(run_id="r1")
        context.telemetry.count("source_requests_total", 3, status="200")
        context.telemetry.count("source_requests_total", 2, status="500")
        context.telemetry.count("source_retries_total", 2)

        context.emit(status="completed", when=datetime(2026, 7, 14, tzinfo=UTC))

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

        context.emit_failure(DataError("no such thing.", advice="Look elsewhere."))

        (fact,) = self.facts()
        self.assertEqual(
            (fact["status"], fact["error"], fact["message"]), ("failed", "DataError", "no such thing. Look elsewhere.")
        )

    def test_are_not_followed_by_that_of_a_failure(self):
        context = self.context()
        context.emit(status="completed")

        context.emit_failure(DataError("late"))

        self.assertEqual([fact["status"] for fact in self.facts()], ["completed"])

    def test_of_a_failure_do_not_hide_it_where_there_is_no_lake(self):
        (self.folder / "file").touch()

        self.context(lake_url=str(self.folder / "file")).emit_failure(DataError("first"))

        self.assertEqual(self.facts(), [])


class Full(MemoryStore):
    """A lake that takes nothing new."""

    def put_new(self, key: str, body: Body, *, sha256: str | None = None) -> PutResult:
        raise AccessError("the disk is full")


class Logs(ContextCase):
    def test_are_kept_for_a_run_only(self):
        context = self.context(run_id="r1")
        context.keep_log()
        self.assertEqual(list(context.store.list("")), [])

    def test_lie_beside_those_of_earlier_legs(self):
        context = self.context()
        context.begin("r1")
        context.keep_log()
        (self.folder / "log.jsonl").write_text('{"event": "two"}\n')
        context.telemetry.count("source_requests_total", help_text="Requests")
        context.keep_log()

        keys = [entry.key for entry in context.store.list("")]
        self.assertEqual(keys, [f"metadata/logs/run_id=r1{leg}" for leg in (".2.log", ".2.prom", ".log", ".prom")])
        self.assertEqual(context.store.get(lake_layout.log("r1", 1)), b'{"event": "one"}\n')
        self.assertEqual(context.store.get(lake_layout.log("r1", 2)), b'{"event": "two"}\n')
        metrics = (context.store.get(lake_layout.metrics("r1", 2)) or b"").decode()
        self.assertIn("source_requests_total 1", metrics)
        self.assertIn('job_duration_seconds{job="a_job"} ', metrics)
        self.assertIn("# HELP job_duration_seconds Wall time of the job", metrics)

    def test_are_kept_once_where_the_answer_to_the_first_write_was_lost(self):
        context = self.context()
        context.begin("r1")
        context.keep_log()
        context.keep_log()

        self.assertIsNone(context.store.get(lake_layout.log("r1", 2)))

    def test_past_the_last_leg_are_let_go(self):
        context = self.context()
        store = MemoryStore()
        context.store = store
        context.begin("r1")
        for number in range(1, MOST_LOGS):
            store.put(lake_layout.log("r1", number), b"")
        writes = len(store.writes)

        context.keep_log()

        self.assertEqual(len(store.writes), writes)

    def test_begin_with_the_name_of_the_run(self):
        context = self.context()

        context.begin("r1")

        self.assertEqual(context.run_id, "r1")
        self.assertEqual(structlog.contextvars.get_contextvars(), {"run_id": "r1"})


class JobContext(FolderCase):
    @contextlib.contextmanager
    def job(self, environ: dict[str, str] | None = None, **arguments: Any) -> Iterator[Context]:
        environ = {"LAKE_URL": str(self.folder / "lake"), "LOG_FORMAT": "json"} | (environ or {})
        with job_context("a_job", environ=environ, **arguments) as context:
            yield context

    def test_takes_arguments_before_the_environment_before_the_file(self):
        self.dotenv("SOURCE_ATTEMPTS=3\nSOURCE_MAX_STREAMS=3\nRUN_ID=of-file\n")
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
            structlog.get_logger().info("two")

        self.assertEqual(
            [(line["event"], line["job"], line.get("run_id")) for line in self.log()],
            [("one", "a_job", None), ("two", "a_job", "r1")],
        )
        self.assertEqual(structlog.contextvars.get_contextvars(), {})

    def test_keeps_level_and_format_as_told(self):
        with self.job({"LOG_LEVEL": "error"}):
            structlog.get_logger().warning("quiet")
            structlog.get_logger().error("loud")
        with self.job({"LOG_FORMAT": "console"}):
            structlog.get_logger().info("plain")

        self.assertEqual([line["event"] for line in self.log()], ["loud"])
        self.assertRegex(self.stderr.getvalue(), r"\[info +\] plain +job=a_job")

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

    def test_works_in_another_thread(self):
        found: list[str] = []

        def work() -> None:
            with self.job() as context:
                found.append(context.job)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

        self.assertEqual(found, ["a_job"])

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
            "from data_pipeline.wiring import job_context\n"
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
                    "from data_pipeline.wiring import job_context\n"
                    "with job_context('a_job'):\n"
                    f"    os.kill(os.getpid(), {number.value})\n"
                    "    threading.Event().wait()\n",
                    GRACE_SECONDS="0",
                )
                self.assertEqual(ended.returncode, 128 + number)
                self.assertIn(
                    f"stopped by {number.name}; what was proved is kept; not all of it ended within 0 s", ended.stderr
                )

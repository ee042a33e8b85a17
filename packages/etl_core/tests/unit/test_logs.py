import contextlib
import io
import json
import os
import pty
import re
import tempfile
import threading
import time
import unittest
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from etl_core import logs
from etl_core.stdio import say
from etl_core.testing import ManualClock


class Captured:
    """What went to stdout and stderr meanwhile."""

    def __init__(self) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()

    def __enter__(self):
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(contextlib.redirect_stdout(self.out))
        self._stack.enter_context(contextlib.redirect_stderr(self.err))
        return self

    def __exit__(self, *_):
        self._stack.close()

    @property
    def lines(self):
        return self.err.getvalue().splitlines()

    @property
    def events(self):
        return [json.loads(line) for line in self.lines]


class LogsCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.copy = Path(folder.name) / "log.jsonl"

    def copied(self):
        return [json.loads(line) for line in self.copy.read_text("utf-8").splitlines()]


class RepeatedWarnings(LogsCase):
    def shown(self, log_format, steps):
        """What people see of warnings at these seconds."""
        clock = ManualClock(100.0)
        with Captured() as captured, logs.configure_logging(log_format, "info", copy=self.copy, clock=clock):
            for second in steps:
                clock.now = 100.0 + second
                structlog.get_logger().warning("Retrying", because=f"error {second}")
            structlog.get_logger().info("Retrying")
        return [line for line in captured.lines if "Retrying" in line]

    def test_are_one_line_with_a_count_on_a_console(self):
        first, later, other, rest = self.shown("console", (0, 1, 4.9, 5, 6))
        self.assertNotIn("more", first)
        self.assertIn("Retrying (and 2 more)", later)
        self.assertIn("info", other)
        self.assertEqual(rest, "Retrying (and 1 more)")

    def test_are_all_in_the_copy_and_in_json(self):
        self.assertEqual(len(self.shown("json", (0, 1, 2))), 4)
        self.assertEqual([event.get("because") for event in self.copied()], ["error 0", "error 1", "error 2", None])


class LinesForTheCopy(LogsCase):
    def test_are_not_shown_on_a_console(self):
        for log_format, shown in (("console", 0), ("json", 1)):
            with self.subTest(log_format):
                self.copy.unlink(missing_ok=True)
                with Captured() as captured, logs.configure_logging(log_format, "info", copy=self.copy):
                    structlog.get_logger().error("the job failed", **logs.FOR_THE_COPY)
                self.assertEqual(len(captured.lines), shown)
                self.assertEqual([event["event"] for event in self.copied()], ["the job failed"])
                self.assertNotIn("_for_the_copy", self.copied()[0])


class JsonLines(LogsCase):
    def test_each_event_is_one_line_of_json_on_stderr_and_nothing_is_on_stdout(self):
        before = datetime.now(UTC)
        with Captured() as captured, logs.configure_logging("json", "info"):
            log = structlog.get_logger()
            log.info("one", number=1, text='é\n"x"', path=Path("/a"))
            log.warning("two", nested={"a": [1, 2]})
            log.error("three")
        one, two, three = captured.events
        self.assertEqual(captured.out.getvalue(), "")
        self.assertEqual((one["event"], one["level"], one["number"], one["text"]), ("one", "info", 1, 'é\n"x"'))
        self.assertIn("/a", one["path"])
        self.assertEqual((two["level"], two["nested"]), ("warning", {"a": [1, 2]}))
        self.assertEqual(three["level"], "error")
        moment = datetime.fromisoformat(one["timestamp"])
        self.assertEqual(moment.utcoffset(), timedelta(0))
        self.assertLess(abs(moment - before), timedelta(minutes=1))

    def test_an_exception_is_logged_with_its_traceback(self):
        with Captured() as captured, logs.configure_logging("json", "info", copy=self.copy):
            try:
                raise ZeroDivisionError("by hand")
            except ZeroDivisionError:
                structlog.get_logger().exception("a bug")
        for event in (*captured.events, *self.copied()):
            self.assertEqual((event["event"], event["level"]), ("a bug", "error"))
            self.assertIn("Traceback (most recent call last)", event["exception"])
            self.assertIn("ZeroDivisionError: by hand", event["exception"])

    def test_events_below_the_level_are_dropped(self):
        for level, seen in [
            ("debug", ["debug", "info", "warning", "error"]),
            ("info", ["info", "warning", "error"]),
            ("warning", ["warning", "error"]),
            ("error", ["error"]),
        ]:
            with self.subTest(level):
                self.copy.unlink(missing_ok=True)
                with Captured() as captured, logs.configure_logging("json", level, copy=self.copy):
                    log = structlog.get_logger()
                    for name in ("debug", "info", "warning", "error"):
                        getattr(log, name)(name)
                self.assertEqual([event["event"] for event in captured.events], seen)
                self.assertEqual([event["event"] for event in self.copied()], seen)

    def test_bound_values_are_on_every_line(self):
        with Captured() as captured:
            with logs.configure_logging("json", "info"):
                structlog.get_logger().info("before")
                logs.bind(job="build_totals", run="r1")
                structlog.get_logger().info("one")
                logs.bind(run="r2")
                structlog.get_logger().info("two", run="own")
                structlog.get_logger().info("three")
            with logs.configure_logging("json", "info"):
                structlog.get_logger().info("after")
        seen = [(event.get("job"), event.get("run")) for event in captured.events]
        job = "build_totals"
        self.assertEqual(seen, [(None, None), (job, "r1"), (job, "own"), (job, "r2"), (None, None)])

    def test_bound_values_are_on_lines_of_other_threads(self):
        with Captured() as captured, logs.configure_logging("json", "info"):
            logs.bind(job="stage")
            thread = threading.Thread(target=structlog.get_logger().info, args=("one",))
            thread.start()
            thread.join()
        self.assertEqual([event["job"] for event in captured.events], ["stage"])

    def test_bound_values_are_not_repeated_to_people(self):
        with Captured() as captured, logs.configure_logging("console", "info", copy=self.copy):
            logs.bind(job="stage")
            structlog.get_logger().info("one", key="a")
        self.assertEqual([("stage" in line, "key" in line) for line in captured.lines], [(False, True)])
        self.assertEqual([event["job"] for event in self.copied()], ["stage"])

    def test_a_line_is_whole_where_other_threads_write_lines_that_are_no_log(self):
        class Slow(io.StringIO):
            """Lets another thread go first after each write, as a busy machine does."""

            def write(self, text):
                written = super().write(text)
                time.sleep(0)
                return written

        def repeat(write, text):
            for _ in range(200):
                write(text)

        with Captured() as captured:
            captured.err = Slow()
            with contextlib.redirect_stderr(captured.err), logs.configure_logging("json", "info"):
                log = structlog.get_logger()
                threads = [
                    threading.Thread(target=repeat, args=(log.info, "one")),
                    threading.Thread(target=repeat, args=(say, "two")),
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        lines = captured.lines
        self.assertEqual((len(lines), lines.count("two")), (400, 200))
        self.assertEqual({json.loads(line)["event"] for line in lines if line != "two"}, {"one"})

    def test_stderr_is_looked_up_at_each_line(self):
        with Captured() as first, logs.configure_logging("json", "info"):
            log = structlog.get_logger()
            log.info("one")
            with Captured() as second:
                log.info("two")
        self.assertEqual([event["event"] for event in first.events], ["one"])
        self.assertEqual([event["event"] for event in second.events], ["two"])

    def test_log_lines_of_many_threads_stay_whole(self):
        def work(number) -> None:
            log = structlog.get_logger()
            for count in range(200):
                log.info("x" * 200, number=number, count=count)

        with Captured() as captured, logs.configure_logging("json", "info", copy=self.copy):
            threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        expected = {(number, count) for number in range(6) for count in range(200)}
        for events in (captured.events, self.copied()):
            self.assertEqual(len(events), 1200)
            self.assertEqual({(event["number"], event["count"]) for event in events}, expected)


class LogCopy(LogsCase):
    def test_the_copy_is_json_whatever_the_console_shows(self):
        for log_format in ("json", "console", "auto"):
            with self.subTest(log_format):
                self.copy.unlink(missing_ok=True)
                with Captured(), logs.configure_logging(log_format, "info", copy=self.copy):
                    logs.bind(job="j")
                    structlog.get_logger().info("one", path=Path("/a"), text="é")
                    self.assertEqual(len(self.copied()), 1, "each line is there at once")
                (event,) = self.copied()
                self.assertEqual((event["event"], event["job"], event["text"]), ("one", "j", "é"))
                self.assertIn("timestamp", event)

    def test_on_a_full_disk_the_copy_is_lost_and_the_work_goes_on(self):
        with Captured() as captured, logs.configure_logging("json", "info", copy=Path("/dev/full")):
            structlog.get_logger().info("one")
        self.assertEqual(len(captured.events), 1)

    def test_an_existing_copy_is_continued(self):
        for _ in range(2):
            with Captured(), logs.configure_logging("json", "info", copy=self.copy):
                structlog.get_logger().info("one")
        self.assertEqual(len(self.copied()), 2)

    def test_the_copy_is_closed_and_the_logger_reset(self):
        with Captured(), logs.configure_logging("json", "info", copy=self.copy):
            log = structlog.get_logger()
            log.info("one")
            tee = structlog.get_config()["processors"][-1]
        self.assertIsNone(tee._copy)
        with Captured():
            log.info("two")  # a thread that outlives the job
        self.assertEqual(len(self.copied()), 1)
        self.assertFalse(structlog.is_configured())

    def test_the_copy_is_closed_after_an_exception_too(self):
        with Captured(), self.assertRaises(ZeroDivisionError), logs.configure_logging("json", "info", copy=self.copy):
            raise ZeroDivisionError
        self.assertFalse(structlog.is_configured())


class ConsoleFormat(LogsCase):
    def test_without_a_terminal_console_text_has_no_colours(self):
        with Captured() as captured, logs.configure_logging("console", "info", copy=self.copy):
            logs.bind(job="totals")
            structlog.get_logger().info("rows counted", rows=17)
            try:
                raise ZeroDivisionError("by hand")
            except ZeroDivisionError:
                structlog.get_logger().exception("a bug")
        text = captured.err.getvalue()
        self.assertEqual(captured.out.getvalue(), "")
        self.assertRegex(captured.lines[0], r"info.*rows counted.*rows=17")
        self.assertNotIn("\x1b", text)
        self.assertIn("ZeroDivisionError: by hand", text)
        with self.assertRaises(ValueError):
            json.loads(captured.lines[0])

    def test_text_from_elsewhere_does_not_reach_the_terminal_as_control_characters(self):
        evil = "\x1b]0;title\x07\x9b2J\u202e"
        for copy in (None, self.copy):
            with self.subTest(copy=copy), Captured() as captured, logs.configure_logging("console", "info", copy=copy):
                structlog.get_logger().info(f"read {evil}", key=evil)
                try:
                    raise ZeroDivisionError(evil)
                except ZeroDivisionError:
                    structlog.get_logger().exception("a bug")
            text = captured.err.getvalue()
            self.assertEqual({one for one in text if not one.isprintable()}, {"\n"})
            self.assertEqual(text.count("\\x1b]0;title\\x07\\x9b2J\\u202e"), 3)

    def test_the_console_has_the_time_of_day_and_the_copy_the_date_too(self):
        with Captured() as captured, logs.configure_logging("console", "info", copy=self.copy):
            structlog.get_logger().info("one")
        self.assertRegex(captured.lines[0], r"^\d\d:\d\d:\d\dZ \[info")
        self.assertEqual(datetime.fromisoformat(self.copied()[0]["timestamp"]).utcoffset(), timedelta(0))

    def test_no_color_is_obeyed_on_a_terminal(self):
        master, slave = pty.openpty()
        with os.fdopen(master, "rb", 0) as seen, os.fdopen(slave, "w") as terminal:
            with contextlib.redirect_stderr(terminal), logs.configure_logging("auto", "info", no_color=True):
                structlog.get_logger().info("one")
            terminal.flush()
            self.assertNotIn(b"\x1b", seen.read(4096))

    def test_the_auto_format_is_json_without_a_terminal(self):
        with Captured() as captured, logs.configure_logging("auto", "info"):
            structlog.get_logger().info("one")
        self.assertEqual(captured.events[0]["event"], "one")

    def test_on_a_terminal_auto_is_coloured_text_and_json_stays_json(self):
        for log_format, shape in [
            ("auto", r"\x1b\["),
            ("console", r"\x1b\["),
            ("json", r'^\{"event": "one"|^\{.*"one"'),
        ]:
            with self.subTest(log_format):
                master, slave = pty.openpty()
                try:
                    with os.fdopen(slave, "w") as terminal:
                        with contextlib.redirect_stderr(terminal), logs.configure_logging(log_format, "info"):
                            structlog.get_logger().info("one")
                        terminal.flush()
                        text = os.read(master, 4096).decode()
                finally:
                    os.close(master)
                self.assertRegex(text, shape)
                self.assertIn("one", re.sub(r"\x1b\[[\d;]*m", "", text))

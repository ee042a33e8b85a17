import contextlib
import io
import json
import os
import pty
import re
import threading
import unittest

from etl_core import logs
from etl_core.progress import LINE_EVERY_SECONDS, Bars, Lines, Progress, for_terminal
from etl_core.testing import ManualClock


@contextlib.contextmanager
def captured():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), logs.configure_logging("json", "info"):
        yield lambda: [json.loads(line) for line in err.getvalue().splitlines()]
    assert out.getvalue() == ""


@contextlib.contextmanager
def terminal():
    """stderr is a terminal; gives what was drawn on it once it is over."""
    master, slave = pty.openpty()
    drawn: list[bytes] = []

    def drain() -> None:
        with contextlib.suppress(OSError):  # the other side was closed
            while piece := os.read(master, 65536):
                drawn.append(piece)

    thread = threading.Thread(target=drain)
    thread.start()
    try:
        with os.fdopen(slave, "w") as stream, contextlib.redirect_stderr(stream):
            yield lambda: b"".join(drawn).decode()
    finally:
        thread.join(20)
        os.close(master)


class LinesCase(unittest.TestCase):
    def setUp(self):
        self.clock = ManualClock(500.0)
        self.lines = Lines("files", clock=self.clock)

    def test_there_is_one_line_every_ten_seconds(self):
        with captured() as events:
            self.lines.start("downloading", units=4, rows=1000)
            seen = []
            for _ in range(25):
                self.clock.now += 1.0
                self.lines.advance(rows=10, bytes_read=100)
                seen.append(len(events()))
            self.lines.stop()
        self.assertEqual(LINE_EVERY_SECONDS, 10.0)
        self.assertEqual(seen, [0] * 9 + [1] * 10 + [2] * 6)

    def test_a_line_shows_what_is_done(self):
        with captured() as events:
            self.lines.start("downloading", units=4, rows=1000)
            self.lines.advance(rows=300, bytes_read=70)
            self.lines.advance(rows=-100)
            self.lines.advance(units=1)
            self.clock.now += 10
            self.lines.advance(rows=5, bytes_read=7)
        (event,) = events()
        self.assertEqual(
            (event["event"], event["files"], event["rows"], event["bytes"]), ("downloading", "1/4", "205/1000", 77)
        )

    def test_a_new_start_counts_from_zero(self):
        with captured() as events:
            self.lines.start("one", units=1, rows=1)
            self.lines.advance(rows=1, units=1, bytes_read=9)
            self.clock.now += 100
            self.lines.start("two", units=2, rows=20)
            self.lines.advance(rows=1)
            self.assertEqual(events(), [])
            self.clock.now += 10
            self.lines.advance(rows=1)
        (event,) = events()
        self.assertEqual((event["event"], event["files"], event["rows"], event["bytes"]), ("two", "0/2", "2/20", 0))

    def test_no_count_of_a_thread_is_lost(self):
        with captured() as events:
            self.lines.start("x", units=4000, rows=4000)

            def work() -> None:
                for _ in range(1000):
                    self.lines.advance(rows=1, units=1)

            threads = [threading.Thread(target=work) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.clock.now += 10
            self.lines.advance()
        (event,) = events()
        self.assertEqual((event["files"], event["rows"]), ("4000/4000", "4000/4000"))


class BarsCase(unittest.TestCase):
    def test_a_bar_shows_what_is_done_and_vanishes(self):
        with terminal() as drawn:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                bars = Bars("files")
                bars.start("downloading", units=3, rows=4000)
                bars.advance(rows=2000, bytes_read=5)
                bars.advance(rows=-500, units=2)
                task = bars._bar.tasks[0]
                self.assertEqual((task.completed, task.total), (1500, 4000))
                self.assertEqual(task.fields["units"], "2/3 files")
                self.assertRegex(task.fields["details"], r"^2/3 files · 1,500 rows · \d+\.\d MB/s$")
                bars.stop()
            self.assertEqual(out.getvalue(), "")
        text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn())
        self.assertIn("downloading", text)
        self.assertIn("2/3", text)
        self.assertIn("\x1b[2K", drawn())  # the line is wiped

    def test_they_name_no_rate_where_others_do_the_reading(self):
        with terminal():
            bars = Bars("files")
            bars.start("fan-out", units=3, rows=4000)
            bars.advance(units=1, rows=2000)
            self.assertEqual(bars._bar.tasks[0].fields["details"], "1/3 files · 2,000 rows")
            bars.stop()

    def test_nothing_is_needed_before_the_start_or_after_the_stop(self):
        bars = Bars("files")
        bars.advance(rows=1)
        bars.stop()
        bars.advance(rows=1)
        bars.stop()

    def test_work_that_is_not_measured_appears_after_a_while_if_it_is_not_over_by_then(self):
        with terminal():
            for after, is_drawn in ((0.0, True), (1000.0, False)):
                bars = Bars("files", after=after)
                with self.subTest(after=after), bars.showing("x"):
                    timer = bars._timer
                    assert timer is not None
                    if is_drawn:
                        timer.join(20)
                        task = bars._bar.tasks[0]
                        self.assertEqual((task.total, task.fields["details"]), (None, ""))
                timer.join(20)
                self.assertIsNone(bars._bar)

    def test_a_thread_that_comes_too_late_does_no_harm(self):
        entered = threading.Event()

        class Lock:
            """Says when somebody is about to wait for it."""

            def __init__(self):
                self._lock = threading.Lock()

            def __enter__(self):
                entered.set()
                self._lock.acquire()

            def __exit__(self, *_):
                self._lock.release()

        with terminal():
            bars = Bars("files")
            lock = Lock()
            failures: list[BaseException] = []

            def come() -> None:
                try:
                    bars.advance(rows=1)
                except BaseException as error:  # noqa: BLE001 - told below
                    failures.append(error)

            bars.start("x", units=1, rows=1)
            setattr(bars, "_lock", lock)  # noqa: B010 - it is another kind of lock
            with lock:
                entered.clear()
                thread = threading.Thread(target=come)
                thread.start()
                self.assertTrue(entered.wait(20))
                bars.stop()
            thread.join()
        self.assertEqual(failures, [])

    def test_a_second_start_begins_at_nothing(self):
        with terminal():
            bars = Bars("files")
            for doing in ("one", "two"):
                bars.start(doing, units=2, rows=10)
                bars.advance(rows=4, units=1)
                self.assertEqual((bars._bar.tasks[0].completed, bars._bar.tasks[0].fields["units"]), (4, "1/2 files"))
            bars.stop()

    def test_work_without_rows_is_measured_by_its_units_and_says_which_part_it_is_at(self):
        with terminal():
            bars = Bars("models")
            bars.start("marts", units=4, rows=0)
            bars.advance(units=1)
            bars.describe("marts [one]")
            task = bars._bar.tasks[0]
            self.assertEqual((task.completed, task.total, task.fields["details"]), (1, 4, "1/4 models"))
            self.assertEqual(task.description, "marts \\[one]")
            bars.stop()

    def test_a_start_may_name_other_units(self):
        with terminal():
            bars = Bars("files")
            bars.start("one", units=2, rows=10, unit_name="pages")
            self.assertEqual(bars._bar.tasks[0].fields["units"], "0/2 pages")
            bars.stop()


class TheRightOne(unittest.TestCase):
    def test_bars_on_a_terminal_lines_elsewhere(self):
        with terminal():
            self.assertIsInstance(for_terminal("files"), Bars)
            self.assertIsInstance(for_terminal("files", kind="xterm"), Bars)
            self.assertIsInstance(for_terminal("files", kind="dumb"), Lines)
        with contextlib.redirect_stderr(io.StringIO()):
            self.assertIsInstance(for_terminal("files"), Lines)

    def test_silence_says_nothing(self):
        with captured() as events:
            one = Progress()
            one.start("x", units=1, rows=1)
            one.advance(rows=1, units=1, bytes_read=1)
            one.stop()
        self.assertEqual(events(), [])

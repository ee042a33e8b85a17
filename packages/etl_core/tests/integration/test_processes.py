"""What several processes, and killed ones, do with signals, scratch folders, slots and standard streams."""

import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import textwrap
import time

import pytest

from etl_core.budget import Budget
from etl_core.errors import StoppedError
from etl_core.private_folder import PrivateFolder
from etl_core.scratch import Scratch
from packages.etl_core.tests.support.children import child, line, run, start

# ------------------------------------------------------------------------------------------------ signals

ASKED = """
    import signal, sys
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may themselves run under nohup
    from etl_core.errors import StoppedError
    from etl_core.stop import Stop
    stop = Stop()
    stop.install()
    print("ready", flush=True)
    try:
        {action}
    except StoppedError as error:
        print(error, error.signal_number, flush=True)
    {after}
"""


@pytest.mark.parametrize("action", ["stop.sleep(1000)", "stop.wait(); stop.check()"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_sleep_and_the_process_goes_on(action, number):
    with child(ASKED.format(action=action, after="sys.exit(7)")) as process:
        assert line(process) == "ready"
        process.send_signal(number)
        assert line(process) == f"stopped by {number.name}; completed work is kept {int(number)}"
        assert process.wait(20) == 7


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_second_signal_of_the_same_kind_ends_the_process(number):
    with child(ASKED.format(action="stop.sleep(1000)", after="sys.stdin.read()")) as process:
        assert line(process) == "ready"
        process.send_signal(number)
        assert line(process).startswith("stopped by")
        process.send_signal(number)
        assert process.wait(20) == -number


def test_a_second_signal_of_the_other_kind_does_not_end_the_process():
    after = 'print("still here", flush=True); stop.wait(); sys.stdin.readline(); stop.check()'
    with child(ASKED.format(action="stop.sleep(1000)", after=after)) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGTERM)
        assert line(process).endswith(" 15")
        assert line(process) == "still here"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate("\n", timeout=20)
        assert "StoppedError: stopped by SIGINT" in err


def test_a_signal_is_handled_at_any_time():
    # The handler runs in the thread it interrupts, and must not wait for a lock that this thread holds.
    code = """
        import os, random, signal, threading, time
        from etl_core.errors import StoppedError
        from etl_core.stop import Stop
        for number in range(80):
            stop = Stop()
            stop.install()
            thread = threading.Thread(target=lambda: (time.sleep(random.random() / 2000), os.kill(os.getpid(), 15)))
            thread.start()
            try:
                while True:
                    stop.sleep(0.0)
            except StoppedError:
                thread.join()
        print("done")
    """
    assert run(code) == (0, "done\n", "")


def test_who_ignores_the_end_of_the_terminal_goes_on_doing_so():
    code = """
        import os, signal
        from etl_core.stop import Stop
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup starts it
        stop = Stop()
        stop.install()
        os.kill(os.getpid(), signal.SIGHUP)
        stop.check()
        print("done")
    """
    assert run(code) == (0, "done\n", "")


# ----------------------------------------------------------------------------------------- standard streams


@pytest.mark.parametrize(("columns", "has_details"), [(40, False), (80, False), (140, True)])
def test_percent_and_time_left_are_seen_at_any_width_and_the_selection_is_cut(columns, has_details):
    code = """
        from etl_core.progress import Bars
        bars = Bars("companies")
        bars.start("general-payments 2024, companies 100000000053 to 100000000062 " * 3, units=9, rows=4000)
        bars.advance(rows=1000, units=2, bytes_read=10)
        bars._bar.refresh()
        bars.stop()
    """
    drawn = on_a_terminal(code, columns)
    last = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", drawn).strip())[-1]
    assert re.search(r"general-payments.*….* 25% .*(\d:\d\d:\d\d|-:--:--)", last), drawn
    assert len(last) <= columns
    assert ("1,000 rows" in last) is has_details


def on_a_terminal(code, columns):
    """What a program draws on a terminal so many columns wide."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    words = [sys.executable, "-c", textwrap.dedent(code)]
    # Where tests run, COLUMNS may be set, which would come before the width of this terminal.
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    environment["TERM"] = "xterm"
    process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    drawn = b""
    with contextlib.suppress(OSError):  # the other side was closed
        while piece := os.read(master, 65536):
            drawn += piece
    os.close(master)
    assert process.wait(20) == 0, drawn
    return drawn.decode()


def test_logs_and_progress_write_nothing_to_stdout():
    code = """
        import structlog
        from etl_core import logs, progress
        with logs.configure_logging("auto", "debug"):
            structlog.get_logger().debug("one")
            bar = progress.for_terminal("files")
            bar._clock = iter([0.0, 20.0, 20.0]).__next__
            bar.start("working", units=1, rows=2)
            bar.advance(rows=1)
            bar.stop()
            print("the fact")
    """
    status, out, err = run(code)
    assert (status, out) == (0, "the fact\n")
    assert [json.loads(text)["event"] for text in err.splitlines()] == ["one", "working"]


# ----------------------------------------------------------------------------------------- scratch folders

HOLD_SCRATCH = """
    import sys
    from pathlib import Path
    from etl_core.scratch import Scratch
    scratch = Scratch(Path(sys.argv[1]))
    scratch.new().write_bytes(b"half of it")
    print(scratch.folder, flush=True)
    sys.stdin.read()
"""


def test_scratch_of_a_killed_process_is_removed_at_the_next_start(tmp_path):
    parent = tmp_path / ".scratch"
    with child(HOLD_SCRATCH, parent) as dead, child(HOLD_SCRATCH, parent) as living:
        folders = [parent / line(process).rpartition("/")[2] for process in (dead, living)]
        dead.kill()
        dead.wait()
        assert all(any(folder.iterdir()) for folder in folders)

        scratch = Scratch(parent)
        try:
            made = scratch.folder
            assert sorted(entry for entry in parent.iterdir() if entry.is_dir()) == sorted([folders[1], made])
            assert len(list(folders[1].iterdir())) == 2  # its file and its lock
        finally:
            scratch.close()


def test_scratch_folders_of_many_short_processes_work(tmp_path):
    code = """
        import sys
        from pathlib import Path
        from etl_core.scratch import Scratch
        for _ in range(60):
            scratch = Scratch(Path(sys.argv[1]))
            path = scratch.new()
            path.write_bytes(b"x")
            assert path.read_bytes() == b"x"
            scratch.close()
    """
    processes = [start(code, tmp_path / ".scratch") for _ in range(4)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in processes] == [("", 0)] * 4
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- slots

HOLD_SLOT = """
    import sys
    from pathlib import Path
    from etl_core.budget import Budget
    from etl_core.private_folder import PrivateFolder
    with Budget(1, PrivateFolder(Path(sys.argv[1]), "budget"), check_stop=lambda: print("looked", flush=True)).slot():
        print("held", flush=True)
        sys.stdin.read()
    print("given back", flush=True)
"""


def assert_no_slot(folder):
    looks = iter(range(3))

    def check():
        if next(looks, None) is None:
            raise StoppedError("stopped", signal_number=15)

    with pytest.raises(StoppedError), Budget(1, PrivateFolder(folder, "budget"), check_stop=check).slot():
        pass


def test_processes_share_slots_and_a_killed_one_frees_its_own(tmp_path):
    with child(HOLD_SLOT, tmp_path) as process:
        assert [line(process), line(process)] == ["looked", "held"]
        assert_no_slot(tmp_path)
        process.kill()
        process.wait()
        with Budget(1, PrivateFolder(tmp_path, "budget")).slot():
            assert_no_slot(tmp_path)


def test_a_process_waits_for_the_slot_of_another(tmp_path):
    with contextlib.ExitStack() as stack:
        stack.enter_context(Budget(1, PrivateFolder(tmp_path, "budget")).slot())
        with child(HOLD_SLOT, tmp_path) as process:
            assert [line(process) for _ in range(3)] == ["looked"] * 3  # it has tried twice
            stack.close()
            while (said := line(process)) == "looked":
                pass
            assert said == "held"
            out, _ = process.communicate(timeout=20)
            assert out == "given back\n"


def test_a_budget_uses_the_clock_that_processes_share(tmp_path):
    budget = Budget(4, PrivateFolder(tmp_path, "budget"))
    with budget.slot() as taken:
        assert abs(taken - time.time()) < 60
    budget.throttled(taken, 0.0)
    code = """
        import sys
        from pathlib import Path
        from etl_core.budget import Budget
        from etl_core.private_folder import PrivateFolder
        print(Budget(4, PrivateFolder(Path(sys.argv[1]), "budget")).allowed)
    """
    assert run(code, tmp_path) == (0, "2\n", "")

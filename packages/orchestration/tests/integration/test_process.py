"""The place ``process``, with real children."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from etl_core.errors import ConfigError
from orchestration.process import ProcessPlace

PROGRAM = """
import json, os, signal, sys, time
def stop(*_):
    try:
        print(json.dumps({"status": "stopped"}), flush=True)
    finally:
        os._exit(143)
print("progress", flush=True)
if "wait" in sys.argv:
    signal.signal(signal.SIGTERM, stop)
    open(sys.argv[-1], "w").write(str(os.getpid()))
    time.sleep(60)
print(json.dumps({"arguments": sys.argv[1:], "retry_after_seconds": 7}))
sys.exit(4 if "fail" in sys.argv else 0)
"""


@pytest.fixture
def program(tmp_path):
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path)]


def appears(path: Path) -> str:
    while not path.exists() or not path.read_text():
        threading.Event().wait(0.01)
    return path.read_text()


def test_the_last_line_on_stdout_is_the_fact_and_the_status_is_the_job_s(program):
    done = ProcessPlace(program).run(["stage", "--run-id", "a b"])
    failed = ProcessPlace(program).run(["stage", "fail"])

    assert (done.status, done.fact["arguments"]) == (0, ["run", "stage", "--", "--run-id", "a b"])
    assert (failed.status, failed.verdict, failed.retry_after_seconds) == (4, "retry", 7.0)


def test_stop_passes_the_signal_on_and_what_the_job_says_is_heard(program, tmp_path):
    place, started = ProcessPlace(program), tmp_path / "started"

    def stop() -> None:
        appears(started)
        place.stop()

    stopper = threading.Thread(target=stop)
    stopper.start()

    outcome = place.run(["wait", str(started)])

    stopper.join()
    assert (outcome.status, outcome.verdict, outcome.fact) == (143, "default", {"status": "stopped"})


def test_a_child_without_stop_does_not_outlive_a_killed_worker(program, tmp_path):
    started = tmp_path / "started"
    code = f"from orchestration.process import ProcessPlace; ProcessPlace({program!r}).run(['wait', {str(started)!r}])"
    with subprocess.Popen([sys.executable, "-c", code]) as worker:
        child = os.pidfd_open(int(appears(started)))
        worker.send_signal(signal.SIGKILL)

    ended, _, _ = select.select([child], [], [], 20)

    os.close(child)
    assert ended


def test_a_program_that_is_not_there_is_a_matter_of_configuration():
    with pytest.raises(ConfigError, match="no-such-program cannot be run"):
        ProcessPlace(["no-such-program"]).run(["stage"])

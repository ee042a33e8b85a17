"""The sandbox as a process: it says where it listens, and ends when it is told to or nobody is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from typing import Any

import pytest

LARGE = "100000000053"


def serve(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "sandbox", "serve", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ask(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_its_url_and_ends_with_zero_on_a_signal(number):
    with serve("--set", f"company_rows={{'{LARGE}': 50}}", "--set", "seed=3", "--warm") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        truth = ask(url, "/_sandbox/truth?year=2024")
        assert truth["companies"][LARGE]["rows"] == 50
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""


def test_options_become_settings_and_faults():
    words = ["--year", "2023", "--year", "2024", "--scale", "0.0001", "--first-companies", "3"]
    words += ["--set", "dialect=A", "--set", "bytes_per_second=2e6", "--set", "retry_after_form=date"]
    words += ["--fault", "http_500:probability=0.05,match=/download", "--fault", "stall:count=1,seconds=0.5"]
    with serve(*words) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        settings = ask(url, "/_sandbox/settings")
        assert (settings["years"], settings["dialect"], settings["first_companies"]) == ([2023, 2024], "A", 3)
        assert (settings["bytes_per_second"], settings["retry_after_form"]) == (2e6, "date")
        faults = ask(url, "/_sandbox/faults")
        assert [(f["name"], f["probability"], f["count"], f["match"], f["params"]) for f in faults] == [
            ("http_500", 0.05, None, "/download", {}),
            ("stall", None, 1, "", {"seconds": 0.5}),
        ]
        process.terminate()


def test_it_ends_when_the_process_it_was_started_for_is_gone():
    words = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as parent,
        serve("--company", LARGE, "--parent-pid", str(parent.pid)) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline()
        parent.communicate("\n")
        assert process.wait(timeout=20) == 0


@pytest.mark.parametrize(
    "words", [["--fault", "rain"], ["--fault", "stall:seconds"], ["--set", "colour=red"], ["--set", "seed"]]
)
def test_a_wrong_option_is_told_and_ends_with_two(words):
    with serve(*words) as process:
        _, told = process.communicate(timeout=20)
        assert process.returncode == 2
        assert "Error:" in told
        assert "Traceback" not in told


def test_the_help_teaches_by_example():
    with serve("--help") as process:
        told, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    for line in ("--first-companies 20", "--set dialect=A", "--fault stall:count=1,seconds=5", "--parent-pid $$"):
        assert "python -m sandbox serve" in told
        assert line in told

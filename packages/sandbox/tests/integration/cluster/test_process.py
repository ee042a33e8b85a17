"""The stand-in as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request

import pytest
import urllib3


def serve(*words):
    command = [sys.executable, "-m", "sandbox", "cluster", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def told(process):
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_where_it_listens_and_runs_until_a_signal(number, tmp_path):
    path = tmp_path / "kubeconfig"
    with serve("--kubeconfig", str(path), "--namespace", "etl", "--set", "minor_version=34") as process:
        found = told(process)
        assert found["kubeconfig"] == str(path)
        assert json.loads(path.read_text())["clusters"][0]["cluster"]["server"] == found["url"]
        with urllib.request.urlopen(f"{found['url']}/version", timeout=20) as answer:
            assert json.load(answer)["minor"] == "34"
        process.send_signal(number)
        assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""


def test_it_ends_when_the_process_it_was_started_for_is_gone():
    words = [sys.executable, "-c", "input()"]
    with (
        subprocess.Popen(words, stdin=subprocess.PIPE, text=True) as parent,
        serve("--instant", "0", "--parent-pid", str(parent.pid)) as process,
    ):
        assert told(process)["url"].startswith("http://127.0.0.1:")
        parent.communicate("\n")
        assert process.wait(timeout=20) == 0


def test_options_become_faults():
    words = ["--instant", "0", "--fault", "http_503:count=1,after=1,match=list jobs"]
    with serve(*words) as process:
        url = f"{told(process)['url']}/apis/batch/v1/namespaces/default/jobs"
        for code in (200, 503, 200):
            assert urllib3.request("GET", url, retries=False).status == code
        process.terminate()


@pytest.mark.parametrize("words", [["--fault", "rain"], ["--set", "rain=1"], ["--image", "etl"]])
def test_a_wrong_option_is_told_and_ends_with_two(words):
    with serve(*words) as process:
        _, said = process.communicate(timeout=20)
        assert process.returncode == 2
        assert "Error:" in said
        assert "Traceback" not in said

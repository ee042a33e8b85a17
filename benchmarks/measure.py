"""Run a command as a process and measure it; run the sandbox as another and query it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

BIN = Path(sys.executable).parent
# pip takes 10 s with a mirror nearby.
INSTALL_SECONDS = 120


@dataclass(frozen=True)
class Cost:
    """Wall and CPU time in seconds, peak resident memory in bytes; CPU and memory include child processes."""

    wall: float
    cpu: float
    peak: int
    stdout: str


def run(words: Sequence[str], *, cwd: Path | None = None, **environment: str) -> Cost:
    """Run a command to its end; if it fails, so does the benchmark.

    The peak is never below this process's own, which the kernel counts for a child before it starts its program.
    """
    program = BIN / words[0]
    command = [str(program) if program.exists() else words[0], *words[1:]]
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=cwd, env=os.environ | environment, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if process.returncode:
            sys.exit(f"{words[0]} failed with status {process.returncode}:\n{stderr.read()[-2000:]}")
        return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, stdout.read())


def run_job(url: str, lake: Path, *words: str, kubeconfig: str = "") -> Cost:
    """Run a job of ours against a sandbox."""
    command = ["data-pipeline", "run", *words]
    return run(command, OPEN_PAYMENTS_URL=url, LAKE_URL=str(lake), LOG_FORMAT="json", KUBECONFIG=kubeconfig)


def sandbox(**settings: object) -> contextlib.AbstractContextManager[str]:
    """The URL of a sandbox that runs as a process of its own."""
    return _served("from sandbox.open_payments import Sandbox, Settings", settings)


def crm(**settings: object) -> contextlib.AbstractContextManager[str]:
    """Likewise of a CRM."""
    return _served("from sandbox.crm import Crm as Sandbox, CrmSettings as Settings", settings)


@contextlib.contextmanager
def _served(imports: str, settings: dict[str, object]) -> Iterator[str]:
    code = (
        f"import json,sys\n{imports}\n"
        "with Sandbox(Settings(**json.loads(sys.argv[1]))) as s:\n"
        "    print(s.url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, json.dumps(settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield (process.stdout.readline() if process.stdout else "").strip()
        process.communicate()  # closes its stdin, which ends it


def query(url: str, path: str, *, method: str = "GET", **body: object) -> Any:  # noqa: ANN401 - JSON
    """An answer of the sandbox's own interface, below /_sandbox."""
    data = json.dumps(body).encode() if body else None
    with urlopen(Request(f"{url}/_sandbox/{path}", data=data, method=method)) as answer:
        return json.load(answer)


def installed(package: str, environment: Path) -> Path:
    """The ``bin`` folder of a virtual environment with this package, created if necessary.

    Raises:
        subprocess.SubprocessError: it cannot be installed in time.

    """
    programs = environment / "bin"
    if not programs.exists():
        venv.create(environment, with_pip=True)
    pip = [str(programs / "pip"), "install", "--quiet", package]
    subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return programs

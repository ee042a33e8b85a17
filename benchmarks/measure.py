"""Run a command as a process and say what it cost; run the sandbox as another, and ask it what it saw."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

BIN = Path(sys.executable).parent
# pip takes 10 s with a mirror at hand; past this much nobody wants to wait for a comparison.
INSTALL_SECONDS = 120


@dataclass(frozen=True)
class Cost:
    """Wall and processor time in seconds (children included), peak resident memory in bytes."""

    wall: float
    cpu: float
    peak: int
    stdout: str


def run(words: Sequence[str], *, cwd: Path | None = None, **environment: str) -> Cost:
    """Run to the end; a command that fails ends the benchmark."""
    program = BIN / words[0]
    full = [str(program) if program.exists() else words[0], *words[1:]]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    process = subprocess.Popen(
        full, cwd=cwd, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    stdout, stderr = process.communicate()
    wall = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if process.returncode:
        sys.exit(f"{words[0]} ended with {process.returncode}:\n{stderr[-2000:]}")
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(wall, cpu, 0, stdout)


def run_measuring_memory(words: Sequence[str], **environment: str) -> Cost:
    """As ``run``, in an interpreter of its own whose only child it is, so that the peak is its own."""
    code = (
        "import json,resource,subprocess,sys,time\n"
        "t=time.monotonic()\n"
        "p=subprocess.run(sys.argv[1:],stdout=subprocess.PIPE,stderr=subprocess.PIPE,text=True)\n"
        "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps([p.returncode,time.monotonic()-t,u.ru_utime+u.ru_stime,u.ru_maxrss*1024,p.stdout,p.stderr]))\n"
    )
    program = BIN / words[0]
    full = [str(program) if program.exists() else words[0], *words[1:]]
    done = subprocess.run(
        [sys.executable, "-c", code, *full], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    status, wall, cpu, peak, stdout, stderr = json.loads(done.stdout)
    if status:
        sys.exit(f"{words[0]} ended with {status}:\n{stderr[-2000:]}")
    return Cost(wall, cpu, peak, stdout)


@contextlib.contextmanager
def sandbox(**settings: object) -> Iterator[str]:
    """The sandbox in a process of its own, everything generated before it is asked; gives its address."""
    code = (
        "import json,sys\n"
        "from sandbox.open_payments import Sandbox, Settings\n"
        "with Sandbox(Settings(**json.loads(sys.stdin.readline()))) as s:\n"
        "    print(s.url, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdin is not None:  # ten thousand companies are too long for an argument
            process.stdin.write(json.dumps(settings) + "\n")
            process.stdin.flush()
        yield (process.stdout.readline() if process.stdout else "").strip()
    finally:
        if process.stdin is not None:
            process.stdin.close()
        process.wait()


def asked(url: str, path: str, *, method: str = "GET", **body: object) -> Any:  # noqa: ANN401 - JSON
    """What the sandbox says by its own interface, of which ``path`` is a part."""
    data = json.dumps(body).encode() if body else None
    with urlopen(Request(f"{url}/_sandbox/{path}", data=data, method=method)) as answer:
        return json.load(answer)


def installed(package: str, environment: Path) -> Path:
    """The programs of an environment that has this package, which would contradict ours; made if need be.

    Raises:
        subprocess.SubprocessError: it cannot be had in time.

    """
    programs = environment / "bin"
    if not programs.exists():
        venv.create(environment, with_pip=True)
    pip = [str(programs / "pip"), "install", "--quiet", package]
    subprocess.run(pip, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    return programs

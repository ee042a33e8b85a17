"""Run named checks, all of them even after a failure, and count the failures: ``gate.py NAME …``.

A gate is a list of parts, a part is one command. The last line is ``N passed, N failed``; the exit status is 1 if any
failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent  # not resolved: the environment's folder, not the base Python's

# Variables of a person's shell that checks must not see: a test reaches no account, bucket or site of theirs.
NOT_FOR_CHECKS = (
    "AIRFLOW_",
    "AWS_",
    "OPEN_PAYMENTS_",
    "SOURCE_",
    "LAKE_",
    "LOG_",
    "RUN_ID",
    "GRACE_",
    "PYTEST_ADDOPTS",
)
# Variables of `make` itself; a test may start another one.
OF_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS", "PYTHON", "YEAR", "MAX", "COMPANY", "CA", "ARGS"}
# By default boto3 reads files in the home folder and asks a link-local address for credentials.
FOR_CHECKS = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    # Empty is unset. Tests start some 3,000 programs; each would compile our 120 modules again.
    "PYTHONDONTWRITEBYTECODE": "",
}
# Where Linux keeps files in memory, and what must be free there: many times what tests have at once.
MEMORY = Path("/dev/shm")  # noqa: S108 - the folder below it is of a new name, and the caller's alone
LEAST_MEMORY_BYTES = 8 * 2**30


@dataclass(frozen=True)
class Part:
    """One command. A word with a ``*`` is a pattern of files and folders below the root; it must match."""

    name: str
    command: Sequence[str]
    # Several times what any part takes: a hung one is to fail here, with its name, not in CI's own limit.
    limit_seconds: float = 1200
    in_memory: bool = True
    # It keeps one core busy, so it runs beside the others, which wait half of their time; shown once they have ended.
    beside: bool = False

    def words(self, root: Path) -> list[str]:
        """The command with patterns expanded; FileNotFoundError if one matches nothing, so that no check disappears."""
        program, *rest = self.command
        words = [str(BIN / program) if (BIN / program).exists() else program]
        for word in rest:
            if "*" in word:
                found = sorted(str(path.relative_to(root)) for path in root.glob(word))
                if not found:
                    raise FileNotFoundError(f"nothing matches {word}")
                words += found
            else:
                words.append(word)
        return words


def pytest(name: str, *words: str, limit_seconds: float = 1200, in_memory: bool = True) -> Part:
    command = ("python", "-m", "pytest", "-q", "--durations=15", "--durations-min=10", *words)
    return Part(name, command, limit_seconds, in_memory)


# CI has two cores. Tests wait half of their time, for a moment or a server, so more share them; long ones compute.
COMPUTING = ("-n", "2", "--dist", "worksteal")
# Tests of a file stay together: they share its servers. Files begin in the order of ALL, those of slow tests first.
BY_FILE = ("-n", "6", "--dist", "loadfile", "--no-loadscope-reorder", "--timeout=300")

QUICK = {
    "manifests": ("tests/manifests*", "tests/containers*", "tests/airflow*"),
    "docs": ("tests/docs*",),
    "tooling": ("tests/tooling*", "tests/broken_on_purpose*"),
    "unit": ("packages/*/tests/unit",),
}
SLOW = {
    "infrastructure": ("tests/infrastructure*",),
    "end-to-end": ("tests/end_to_end*", "tests/kubernetes*"),
    "packaging": ("tests/packaging*",),
    "integration": ("packages/*/tests/integration",),
}
ALL = SLOW | QUICK


def together(name: str, folders: Mapping[str, Sequence[str]]) -> Part:
    """One run of pytest: no part of the tests waits for the last test of another, and each worker imports once."""
    return pytest(name, *(word for words in folders.values() for word in words), *BY_FILE, limit_seconds=2400)


STATIC = (
    Part("lint", ("ruff", "check", ".")),
    Part("format", ("ruff", "format", "--check", ".")),
    Part("contracts", ("lint-imports", "--no-logo", "--cache-dir", ".cache/import_linter")),
    Part("lock", ("python", "tools/lock.py", "check")),
    Part("types", ("mypy", "."), beside=True),
)
CHECK = (*STATIC, together("quick tests", QUICK))
TEST = (*STATIC, together("tests", ALL))
LONG = (
    # One process: all tests of the image share one build, which is too large for memory.
    pytest("containers", "tests/containers*", "-m", "long", "--timeout=900", limit_seconds=1800, in_memory=False),
    # One process: its tests share one Airflow, one after the other.
    pytest("airflow", "tests/airflow*", "-m", "long", "--timeout=900", limit_seconds=1200),
    pytest(
        "long", "packages/*/tests", "tests*", "--ignore=tests/containers", "--ignore=tests/airflow",
        "-m", "long", *COMPUTING, "--timeout=1800", limit_seconds=3600,
    ),
)  # fmt: skip
GATES = {"check": CHECK, "test": TEST, "test-long": LONG}
PARTS = {part.name: part for part in (*STATIC, *LONG, *(together(name, {name: ALL[name]}) for name in ALL))}


def environment(outside: Mapping[str, str]) -> dict[str, str]:
    kept = {name: outside[name] for name in outside.keys() - OF_MAKE if not name.startswith(NOT_FOR_CHECKS)}
    return kept | FOR_CHECKS


@contextlib.contextmanager
def scratch(memory: Path = MEMORY) -> Iterator[dict[str, str]]:
    """The setting of a folder in memory for temporary files, gone afterwards; none where there is too little memory.

    Tests make and remove some 100,000 folders, each an entry in the journal of a disk, and wait for it.
    """
    if not memory.is_dir() or shutil.disk_usage(memory).free < LEAST_MEMORY_BYTES:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="data-pipeline-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield {"TMPDIR": folder}


class Running:
    """A part that is running. Closing it ends whatever it has started."""

    def __init__(self, part: Part, root: Path) -> None:
        self._limit = part.limit_seconds
        self._begun = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        with contextlib.ExitStack() as stack:
            settings = environment(os.environ) | (stack.enter_context(scratch()) if part.in_memory else {})
            self._output = stack.enter_context(tempfile.TemporaryFile()) if part.beside else None
            try:
                words = part.words(root)
                # A process group of its own, so that everything a part has started is stopped with it.
                self._process = subprocess.Popen(
                    words, cwd=root, env=settings, stdout=self._output, stderr=self._output, start_new_session=True
                )
            except OSError as error:
                self._problem = str(error)
            stack.callback(self._end)
            self._stack = stack.pop_all()

    def close(self) -> None:
        self._stack.close()

    def wait(self) -> str | None:
        """Wait for its end, and show what was not shown at once; why it failed, or None."""
        if self._process is None:
            return self._problem
        try:
            status = self._process.wait(max(0.0, self._limit - (time.monotonic() - self._begun)))
        except subprocess.TimeoutExpired:
            return f"stopped after {self._limit:g} s"
        finally:
            if self._output is not None:
                self._output.seek(0)
                sys.stdout.write(self._output.read().decode(errors="replace"))
        return f"status {status}" if status else None

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:  # too slow, or the gate itself was interrupted
            stop(self._process)


def stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


def run_all(parts: Sequence[Part], root: Path) -> int:
    """Run every part; returns the number that failed."""
    lines = []
    failed = 0
    with contextlib.ExitStack() as stack:
        beside = {part: stack.enter_context(contextlib.closing(Running(part, root))) for part in parts if part.beside}
        for part in sorted(parts, key=lambda one: one.beside):
            print(f"\n── {part.name}: {' '.join(part.command)}", flush=True)
            started = time.monotonic()
            with contextlib.closing(beside.get(part) or Running(part, root)) as running:
                reason = running.wait()
            failed += reason is not None
            verdict = f"FAILED ({reason})" if reason else "ok"
            took = f"{'beside':>8}" if part.beside else f"{time.monotonic() - started:6.1f} s"
            lines.append(f"{part.name:<12} {took}  {verdict}")
            print(f"── {lines[-1]}", flush=True)
    print("\n" + "\n".join(lines))
    print(f"{len(parts) - failed} passed, {failed} failed", flush=True)
    return failed


def chosen(names: Sequence[str]) -> list[Part]:
    """The named parts, and the parts of the named gates, each once."""
    known = {name: (part,) for name, part in PARTS.items()} | GATES
    return list(dict.fromkeys(part for name in names for part in known[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*GATES, *PARTS]
    parser.add_argument("names", nargs="+", choices=names, metavar="NAME", help=f"a gate or a part: {', '.join(names)}")
    arguments = parser.parse_args()
    # SIGTERM, as CI sends it, unwinds like Ctrl-C, so that the running part is stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return 1 if run_all(chosen(arguments.names), ROOT) else 0
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())

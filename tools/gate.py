"""Run named checks, all of them even after a failure, and count the failures: ``gate.py NAME …``.

A gate is a list of parts, a part is one command. The last line is ``N passed, N failed``; the exit status is 1 if any
failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
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


# CI has two cores. Tests wait half of their time, for a moment or a server, so four share them; long ones compute.
# Unit tests go to any free worker; integration tests stay together by file, since a file shares its servers.
FREE = ("-n", "4", "--dist", "worksteal")
BY_FILE = ("-n", "4", "--dist", "loadfile")
COMPUTING = ("-n", "2", "--dist", "worksteal")

CHECK = (
    Part("lint", ("ruff", "check", ".")),
    Part("format", ("ruff", "format", "--check", ".")),
    Part("types", ("mypy", ".")),
    Part("contracts", ("lint-imports", "--no-logo", "--cache-dir", ".cache/import_linter")),
    Part("lock", ("python", "tools/lock.py", "check")),
    pytest("unit", "packages/*/tests/unit", *FREE),
    pytest("tooling", "tests/tooling*", "tests/broken_on_purpose*", *FREE),
    pytest("docs", "tests/docs*", *FREE),
    pytest("manifests", "tests/manifests*", "tests/containers*", "tests/airflow*", *FREE),
)
TEST = (
    *CHECK,
    pytest("packaging", "tests/packaging*", "--timeout=300"),
    pytest("integration", "packages/*/tests/integration", *BY_FILE, "--timeout=300"),
    pytest("infrastructure", "tests/infrastructure*", *BY_FILE, "--timeout=300"),
    pytest("end-to-end", "tests/end_to_end*", "tests/kubernetes*", *BY_FILE, "--timeout=300", limit_seconds=2400),
)
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


def run(part: Part, root: Path) -> str | None:
    """Run a part and show its output; why it failed, or None."""
    with contextlib.ExitStack() as stack:
        settings = stack.enter_context(scratch()) if part.in_memory else {}
        return _run(part, root, environment(os.environ) | settings)


def _run(part: Part, root: Path, settings: Mapping[str, str]) -> str | None:
    try:
        words = part.words(root)
        # A process group of its own, so that everything a part has started is stopped with it.
        process = subprocess.Popen(words, cwd=root, env=settings, start_new_session=True)
    except OSError as error:
        return str(error)
    try:
        status = process.wait(part.limit_seconds)
    except subprocess.TimeoutExpired:
        return f"stopped after {part.limit_seconds:g} s"
    finally:
        if process.poll() is None:  # too slow, or the gate itself was interrupted
            stop(process)
    return f"status {status}" if status else None


def stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


def processor_seconds() -> float:
    """What all ended processes below this one used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_all(parts: Sequence[Part], root: Path) -> int:
    """Run every part; returns the number that failed."""
    lines = []
    failed = 0
    for part in parts:
        print(f"\n── {part.name}: {' '.join(part.command)}", flush=True)
        started, before = time.monotonic(), processor_seconds()
        reason = run(part, root)
        failed += reason is not None
        verdict = f"FAILED ({reason})" if reason else "ok"
        busy = f"(processor {processor_seconds() - before:6.1f} s)"
        lines.append(f"{part.name:<12} {time.monotonic() - started:6.1f} s  {busy}  {verdict}")
        print(f"── {lines[-1]}", flush=True)
    print("\n" + "\n".join(lines))
    print(f"{len(parts) - failed} passed, {failed} failed", flush=True)
    return failed


def chosen(names: Sequence[str]) -> list[Part]:
    """The named parts, and the parts of the named gates, each once."""
    known = {part.name: [part] for gate in GATES.values() for part in gate} | {k: list(v) for k, v in GATES.items()}
    return list(dict.fromkeys(part for name in names for part in known[name]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*GATES, *dict.fromkeys(part.name for gate in GATES.values() for part in gate)]
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

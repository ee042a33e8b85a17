"""The command in a process of its own that has imported its libraries already: a test waits for work, not for imports.

The imports take 0.4 processor seconds, half of what most commands of a test need. So a server imports once, and each
program is a fork of it with its own environment, folder, streams, signals and exit status. What a new interpreter does
differently (flags, encodings, memory, its command line) is for tests that start one.
"""

from __future__ import annotations

import atexit
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any, Self

from sandbox.cluster.process import Started, child
from tests.fork_server import SERVER


class Descriptor:
    """An open file of this process that a started one gets, too."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self.number),)


def _received(wrapped: Any) -> Descriptor:
    return Descriptor(wrapped.detach())


@dataclass(frozen=True)
class Call:
    """What a program is: the words behind ``python``, and where they run."""

    words: Sequence[str]
    environment: Mapping[str, str]
    folder: str
    streams: Sequence[Descriptor]  # stdin, stdout, stderr
    leads: Descriptor | None = None  # closed once it leads a session, if it shall lead one

    def run(self) -> None:
        """Become the program, in the process that the server forked."""
        if self.leads:
            os.setsid()
            os.close(self.leads.number)
        for number, stream in enumerate(self.streams):
            os.dup2(stream.number, number)
            os.close(stream.number)
        sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
        os.environ.clear()
        os.environ.update(self.environment)
        time.tzset()
        tempfile.tempdir = None
        os.chdir(self.folder)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.argv = [*self.words[self.words[0] == "-m" :]]
        try:
            if self.words[0] == "-m":
                runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(sys.argv[0], run_name="__main__")
        finally:
            atexit._run_exitfuncs()


class Forked:
    """A started program, with the streams it was given."""

    # Whenever a process is started, the statuses of all others are read; two threads may not read the same.
    _lock = threading.Lock()

    def __init__(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, streams: Sequence[int], *, leads: bool = False
    ) -> None:
        self.args = [sys.executable, *words]
        begun, beginning = os.pipe()
        call = Call(words, dict(env), str(cwd), [*map(Descriptor, streams)], Descriptor(beginning) if leads else None)
        self._process = SERVER.Process(target=call.run, daemon=True)
        with self._lock:
            self._process.start()
        os.close(beginning)
        os.read(begun, 1)  # its end
        os.close(begun)
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | Any:
        return self.poll()

    def poll(self) -> int | None:
        with self._lock:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        wait([self._process.sentinel], timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return status

    until_ended = wait


def container(command: Sequence[str], environment: Mapping[str, str], folder: Path, output: int) -> Started:
    """How a stand-in cluster starts the process of a container."""
    if command[0] != sys.executable:
        return child(command, environment, folder, output)
    with Path(os.devnull).open() as nothing:
        return Forked(command[1:], environment, folder, (nothing.fileno(), output, output), leads=True)


class Program(Forked):
    """A started program: of ``subprocess.Popen[str]``, what tests use."""

    def __init__(self, *words: str, env: Mapping[str, str], cwd: Path) -> None:
        stdin, (out, stdout), (err, stderr) = os.open(os.devnull, os.O_RDONLY), os.pipe(), os.pipe()
        given = (stdin, stdout, stderr)
        super().__init__(words, env, cwd, given)
        for number in given:
            os.close(number)
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] = os.fdopen(err)
        self._read: dict[IO[str], str] = {self.stdout: "", self.stderr: ""}
        self._readers: list[threading.Thread] = []

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """The rest of stdout and of stderr, once the program has ended."""
        until = None if timeout is None else time.monotonic() + timeout
        if not self._readers:
            self._readers = [threading.Thread(target=self._read_all, args=(one,), daemon=True) for one in self._read]
            for reader in self._readers:
                reader.start()
        for reader in self._readers:
            reader.join(None if until is None else max(0.0, until - time.monotonic()))
            if reader.is_alive():
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if until is None else max(0.0, until - time.monotonic()))
        return self._read[self.stdout], self._read[self.stderr]

    def _read_all(self, stream: IO[str]) -> None:
        if not stream.closed:
            with stream:
                self._read[stream] = stream.read()

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.communicate()

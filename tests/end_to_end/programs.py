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
from multiprocessing.reduction import DupFd
from pathlib import Path
from typing import IO, Any, Self

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

    def run(self) -> None:
        """Become the program, in the process that the server forked."""
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


class Program:
    """A started program: of ``subprocess.Popen[str]``, what tests use."""

    def __init__(self, *words: str, env: Mapping[str, str], cwd: Path) -> None:
        self.args = [sys.executable, *words]
        stdin, (out, stdout), (err, stderr) = os.open(os.devnull, os.O_RDONLY), os.pipe(), os.pipe()
        given = (stdin, stdout, stderr)
        call = Call(words, dict(env), str(cwd), tuple(map(Descriptor, given)))
        self._process = SERVER.Process(target=call.run, daemon=True)
        self._process.start()
        for number in given:
            os.close(number)
        assert self._process.pid is not None
        self.pid = self._process.pid
        self.stdout: IO[str] = os.fdopen(out)
        self.stderr: IO[str] = os.fdopen(err)
        self._read: dict[IO[str], str] = {self.stdout: "", self.stderr: ""}
        self._readers: list[threading.Thread] = []

    @property
    def returncode(self) -> int | Any:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

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

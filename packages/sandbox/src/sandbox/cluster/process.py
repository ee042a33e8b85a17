"""A container as a local process: started, signalled, waited for, its output kept in a file."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

_LOG_BYTES = 64 * 1024


class Started(Protocol):
    """A program that leads a process group."""

    pid: int

    def until_ended(self) -> object: ...  # and let it keep its number, if possible

    def wait(self) -> int: ...  # its status, negative for a signal


class Child(subprocess.Popen[bytes]):
    """A program as a child of this process."""

    def until_ended(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)


def child(command: Sequence[str], environment: Mapping[str, str], folder: Path, output: int) -> Started:
    return Child(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


# Command, environment, folder and the descriptor of its output; OSError if there is no such program.
Start: TypeAlias = Callable[[Sequence[str], Mapping[str, str], Path, int], Started]


class Process:
    """A program in a folder and a process group of its own; `on_exit` is called once with its status."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        on_exit: Callable[[int], None],
        start: Start = child,
    ) -> None:
        self._lock, self._ended = threading.Lock(), False
        self._folder, self._output, self._on_exit = folder, folder.with_suffix(".log"), on_exit
        folder.mkdir()
        with self._output.open("wb") as output:
            own = {"HOME": str(folder), "TMPDIR": str(folder)}
            self._started = start(command, {**own, **environment}, folder, output.fileno())
        self._waiter = threading.Thread(target=self._wait, daemon=True, name=f"end-of-{self._started.pid}")
        self._waiter.start()

    def signal(self, number: int) -> None:
        """SIGTERM to the program alone, as PID 1 of a container gets it; SIGKILL to all that it started, too."""
        with self._lock:
            if not self._ended:  # until then the number of a child is its own, if only a zombie's
                with contextlib.suppress(ProcessLookupError):
                    (os.killpg if number == signal.SIGKILL else os.kill)(self._started.pid, number)

    def passes(self, probe: Sequence[str], seconds: float) -> bool:
        """Whether a command that looks at it, from beside it, succeeds in time."""
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(
                probe,
                cwd=self._folder,
                timeout=seconds,
                check=False,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            return done.returncode == 0
        return False

    def join(self) -> None:
        self._waiter.join()

    def log(self) -> bytes:
        with self._output.open("rb") as output:
            output.seek(max(self._output.stat().st_size - _LOG_BYTES, 0))
            return output.read(_LOG_BYTES)

    def _wait(self) -> None:
        self._started.until_ended()
        self.signal(signal.SIGKILL)  # what outlives PID 1 dies with it
        with self._lock:
            code, self._ended = self._started.wait(), True
        shutil.rmtree(self._folder, ignore_errors=True)
        self._on_exit(code if code >= 0 else 128 - code)

"""A container as a local process: started, signalled, waited for, the end of its output kept."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, cast

_LOG_BYTES = 64 * 1024
_LAST_WORDS_SECONDS = 5.0  # for a pipe that somebody outside the group holds open


class Process:
    """A program in a folder and a process group of its own; `on_exit` is called once with its status."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: tempfile.TemporaryDirectory[str],
        on_exit: Callable[[int], None],
    ) -> None:
        self._log = bytearray()
        self._lock = threading.Lock()
        self._ended = False
        self._folder, self._on_exit = folder, on_exit
        self._popen = subprocess.Popen(
            command,
            env=dict(environment),
            cwd=folder.name,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"log-of-{self._popen.pid}")
        self._waiter = threading.Thread(target=self._wait, daemon=True, name=f"end-of-{self._popen.pid}")
        self._reader.start()
        self._waiter.start()

    def terminate(self) -> None:
        """SIGTERM to the program alone, as PID 1 of a container gets it."""
        self._signal(os.kill, signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and to everything it started."""
        self._signal(os.killpg, signal.SIGKILL)

    def join(self) -> None:
        self._waiter.join()

    def log(self) -> bytes:
        with self._lock:
            return bytes(self._log[-_LOG_BYTES:])

    def _signal(self, send: Callable[[int, int], None], number: int) -> None:
        with self._lock:
            if not self._ended:  # until then the number is its own, if only a zombie's
                send(self._popen.pid, number)

    def _read(self) -> None:
        pipe = cast("IO[bytes]", self._popen.stdout)
        with pipe:
            for data in iter(lambda: os.read(pipe.fileno(), 65536), b""):
                with self._lock:
                    self._log += data
                    del self._log[: -2 * _LOG_BYTES]

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._popen.pid, os.WEXITED | os.WNOWAIT)
        self.kill()  # what outlives PID 1 dies with it, and lets go of the pipe
        with self._lock:
            code = self._popen.wait()
            self._ended = True
        self._reader.join(_LAST_WORDS_SECONDS)
        self._folder.cleanup()
        self._on_exit(code if code >= 0 else 128 - code)

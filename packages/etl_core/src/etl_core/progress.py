"""What a person sees while it runs: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

# Often enough to see that it lives, seldom enough for a log that is kept.
LINE_EVERY_SECONDS = 10.0


class Progress(Protocol):
    """Told by many threads what came to pass."""

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        """Work of ``slices`` slices and ``rows`` rows begins."""
        ...

    def advance(self, *, rows: int = 0, slices: int = 0, bytes_read: int = 0) -> None:
        """So much more is done. Rows may be negative: an attempt that failed takes its rows back."""
        ...

    def stop(self) -> None:
        """The work ended, well or not."""
        ...


class Silent:
    """Says nothing."""

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        """Nothing."""

    def advance(self, *, rows: int = 0, slices: int = 0, bytes_read: int = 0) -> None:
        """Nothing."""

    def stop(self) -> None:
        """Nothing."""


class Lines:
    """A log line every few seconds, for terminals that are none."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._totals = (0, 0)
        self._done = [0, 0, 0]
        self._doing = ""
        self._last = 0.0

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        self._doing, self._totals, self._done = doing, (slices, rows), [0, 0, 0]
        self._last = self._clock()

    def advance(self, *, rows: int = 0, slices: int = 0, bytes_read: int = 0) -> None:
        with self._lock:
            self._done = [self._done[0] + slices, self._done[1] + rows, self._done[2] + bytes_read]
            due = self._clock() - self._last >= LINE_EVERY_SECONDS
            if due:
                self._last = self._clock()
                done, totals = tuple(self._done), self._totals
        if due:
            structlog.get_logger().info(
                self._doing, slices=f"{done[0]}/{totals[0]}", rows=f"{done[1]}/{totals[1]}", bytes=done[2]
            )

    def stop(self) -> None:
        """Nothing is left open."""


class Bars:
    """A live bar on stderr, by rich."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._lock = threading.Lock()
        self._slices = [0, 0]
        self._read = 0

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self._slices, self._read = [0, slices], 0
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[slices]} slices · {task.fields[rows]} rows · {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            transient=True,
            redirect_stdout=False,
        )
        self._started = time.monotonic()
        self._task = self._bar.add_task(doing, total=max(rows, 1), slices=f"0/{slices}", rows="0", rate="")
        self._bar.start()

    def advance(self, *, rows: int = 0, slices: int = 0, bytes_read: int = 0) -> None:
        bar = self._bar  # another thread may take it away meanwhile
        if bar is None:
            return
        with self._lock:
            self._slices[0] += slices
            self._read += bytes_read
            done = int(bar.tasks[self._task].completed) + rows
            rate = self._read / max(time.monotonic() - self._started, 0.001) / 1e6
            bar.update(
                self._task,
                advance=rows,
                slices=f"{self._slices[0]}/{self._slices[1]}",
                rows=f"{done:,}",
                rate=f"{rate:.1f} MB/s",
            )

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def for_terminal() -> Progress:
    """Bars if stderr is a terminal, else lines."""
    return Bars() if sys.stderr.isatty() else Lines()

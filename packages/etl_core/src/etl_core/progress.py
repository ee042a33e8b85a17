"""What a person sees while it runs: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

# Often enough to see that it lives, seldom enough for a log that is kept.
LINE_EVERY_SECONDS = 10.0


class Progress:
    """Told by many threads what came to pass; counts it, and shows nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._begin("", 0, 0)

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        """Work of ``slices`` slices and ``rows`` rows begins."""
        self._begin(doing, slices, rows)

    def _begin(self, doing: str, slices: int, rows: int) -> None:
        self._doing, self._all_slices, self._all_rows = doing, slices, rows
        self._slices = self._rows = self._bytes = 0
        self._shown_at = self._began = self._clock()

    def advance(self, *, rows: int = 0, slices: int = 0, bytes_read: int = 0) -> None:
        """So much more is done. Rows may be negative: an attempt that failed takes its rows back."""
        with self._lock:
            self._rows += rows
            self._slices += slices
            self._bytes += bytes_read
            self._show()

    def stop(self) -> None:
        """The work ended, well or not."""

    def _show(self) -> None:
        """Called with every advance, by one thread at a time."""


class Lines(Progress):
    """A log line every few seconds, for terminals that are none."""

    def _show(self) -> None:
        if self._clock() - self._shown_at < LINE_EVERY_SECONDS:
            return
        self._shown_at = self._clock()
        slices, rows = f"{self._slices}/{self._all_slices}", f"{self._rows}/{self._all_rows}"
        structlog.get_logger().info(self._doing, slices=slices, rows=rows, bytes=self._bytes)


class Bars(Progress):
    """A live bar on stderr, by rich."""

    _bar: Any = None
    _task: Any = None

    def start(self, doing: str, *, slices: int, rows: int) -> None:
        super().start(doing, slices=slices, rows=rows)
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=None),
            progress.TaskProgressColumn(),
            progress.TextColumn("{task.fields[slices]} slices · {task.fields[rows]} rows · {task.fields[rate]}"),
            progress.TimeRemainingColumn(),
            console=Console(file=sys.stderr),
            transient=True,
            redirect_stdout=False,
        )
        self._task = self._bar.add_task(doing, total=max(rows, 1), slices=f"0/{slices}", rows="0", rate="")
        self._bar.start()

    def _show(self) -> None:
        bar = self._bar
        if bar is None:  # another thread took it away meanwhile
            return
        seconds = max(self._clock() - self._began, 0.001)
        rate = f"{self._bytes / seconds / 1e6:.1f} MB/s" if self._bytes else ""  # others may do the reading
        slices = f"{self._slices}/{self._all_slices}"
        bar.update(self._task, completed=self._rows, slices=slices, rows=f"{self._rows:,}", rate=rate)

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def for_terminal() -> Progress:
    """Bars if stderr is a terminal, else lines."""
    return Bars() if sys.stderr.isatty() else Lines()

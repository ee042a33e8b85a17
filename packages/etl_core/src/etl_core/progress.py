"""Progress for people: a bar on a terminal, else a log line every few seconds."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from etl_core.logs import get_logger
from etl_core.printable import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Often enough to see that it is running, seldom enough for a log that is kept.
LINE_EVERY_SECONDS = 10.0
SHOWN_AFTER_SECONDS = 1.0
# Columns of a terminal from which a bar has all its details, and at least the number of units.
WIDE, NARROW = 100, 60


class Progress:
    """Counts what many threads have done, and shows nothing. ``unit_name`` is the plural that people see."""

    def __init__(self, unit_name: str = "units", *, clock: Callable[[], float] = time.monotonic) -> None:
        self._unit_name = unit_name
        self._clock = clock
        self._lock = threading.Lock()
        self._begin("", 0, 0)

    def start(self, doing: str, *, units: int, rows: int, unit_name: str = "") -> None:
        """Work of so many units and rows begins; ``unit_name`` changes what people see from now on.

        Rows measure it, or units where there are no rows. Of work that has neither, people only see that it runs.
        """
        self._unit_name = unit_name or self._unit_name
        self._begin(doing, units, rows)

    def _begin(self, doing: str, units: int, rows: int) -> None:
        self._doing, self._all_units, self._all_rows = doing, units, rows
        self._units = self._rows = self._bytes = 0
        self._shown_at = self._began = self._clock()

    def describe(self, doing: str) -> None:
        """The same work is at another part of it."""
        with self._lock:
            self._doing = doing
            self._show()

    def advance(self, *, rows: int = 0, units: int = 0, bytes_read: int = 0) -> None:
        """Add what was done. Rows may be negative: a failed attempt subtracts its rows."""
        with self._lock:
            self._rows += rows
            self._units += units
            self._bytes += bytes_read
            self._show()

    def stop(self) -> None:
        """The work ended, successfully or not."""

    @contextlib.contextmanager
    def showing(self, doing: str, *, units: int = 0, rows: int = 0, unit_name: str = "") -> Iterator[None]:
        """``start`` and ``stop`` around some work."""
        self.start(doing, units=units, rows=rows, unit_name=unit_name)
        try:
            yield
        finally:
            self.stop()

    def _show(self) -> None:
        """Called after every change, by one thread at a time."""


class Lines(Progress):
    """A log line every few seconds."""

    def _show(self) -> None:
        if self._clock() - self._shown_at < LINE_EVERY_SECONDS:
            return
        self._shown_at = self._clock()
        units = {self._unit_name: f"{self._units}/{self._all_units}"} if self._all_units else {}
        rows = {"rows": f"{self._rows}/{self._all_rows}", "bytes": self._bytes} if self._all_rows else {}
        get_logger().info(self._doing, **units, **rows)


class Bars(Progress):
    """A live bar on stderr, by rich. Of work that is not measured it appears after a while: most of it is over then."""

    def __init__(
        self, unit_name: str, *, clock: Callable[[], float] = time.monotonic, after: float = SHOWN_AFTER_SECONDS
    ) -> None:
        super().__init__(unit_name, clock=clock)
        self._after = after
        self._bar: Any = None
        self._task: Any = None
        self._timer: threading.Timer | None = None
        self._drawing = threading.Lock()

    def start(self, doing: str, *, units: int, rows: int, unit_name: str = "") -> None:
        self.stop()
        super().start(doing, units=units, rows=rows, unit_name=unit_name)
        if units or rows:
            self._draw(None)
            return
        self._timer = timer = threading.Timer(self._after, lambda: self._draw(timer))
        timer.daemon = True
        timer.start()

    def _draw(self, timer: threading.Timer | None) -> None:
        with self._drawing:
            if timer is self._timer:  # else the work has ended
                bar, self._task = self._made()
                self._bar = bar  # from now on other threads change it
                bar.start()

    def _made(self) -> tuple[Any, Any]:
        from rich import progress
        from rich.console import Console
        from rich.table import Column

        console = Console(file=sys.stderr)
        shortened, whole = Column(ratio=1, no_wrap=True, overflow="ellipsis"), Column(no_wrap=True)
        columns: list[Any] = [
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", table_column=shortened),
            progress.TaskProgressColumn(table_column=whole),
            progress.TimeRemainingColumn(table_column=whole),
        ]
        # How much is done, and how long it takes, matter more than what it is made of.
        if console.width >= WIDE:
            columns.insert(2, progress.BarColumn(bar_width=None, table_column=Column(ratio=1)))
            columns.insert(4, progress.TextColumn("{task.fields[details]}", table_column=whole))
        elif console.width >= NARROW:
            columns.insert(3, progress.TextColumn("{task.fields[units]}", table_column=whole))
        bar = progress.Progress(*columns, console=console, transient=True, redirect_stdout=False, expand=True)
        return bar, bar.add_task(total=self._all_rows or self._all_units or None, **self._shown())

    def _show(self) -> None:
        bar = self._bar
        if bar is not None:  # another thread may have stopped it
            bar.update(self._task, completed=self._rows if self._all_rows else self._units, **self._shown())

    def _shown(self) -> dict[str, Any]:
        from rich.markup import escape

        seconds = max(self._clock() - self._began, 0.001)
        rate = f"{self._bytes / seconds / 1e6:.1f} MB/s" if self._bytes else ""  # other processes may do the reading
        units = f"{self._units}/{self._all_units} {self._unit_name}" if self._all_units else ""
        rows = f"{self._rows:,} rows" if self._all_rows else ""
        details = " · ".join(filter(None, (units, rows, rate)))
        return {"description": escape(printable(self._doing)), "units": units, "details": details}

    def stop(self) -> None:
        with self._drawing:
            timer, bar = self._timer, self._bar
            self._timer = self._bar = None
        if timer is not None:
            timer.cancel()
        if bar is not None:
            bar.stop()


def for_terminal(unit_name: str, *, kind: str = "") -> Progress:
    """A bar if stderr is a terminal that can move its cursor, else lines. ``kind`` is how it names itself."""
    return Bars(unit_name) if sys.stderr.isatty() and kind not in ("dumb", "unknown") else Lines(unit_name)

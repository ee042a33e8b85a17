"""Structured logs to stderr, as JSON lines or console text, with a copy in a file.

Nothing is written to stdout: it carries the result of the command.
"""

from __future__ import annotations

import contextlib
import io
import math
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, TextIO

from etl_core.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, MutableMapping
    from pathlib import Path


@contextlib.contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let ``import`` not find a module within a ``with`` block, unless it is already imported."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment] # as the import system spells "there is none"
    try:
        yield
    finally:
        del sys.modules[module]


# structlog imports rich, if it is there, for tracebacks that ours replace: a sixth of what a command takes to start.
with _hidden("rich"):
    import structlog

get_logger = structlog.get_logger
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# People see a warning that comes again and again once in so many seconds, with a count.
REPEAT_SECONDS = 5.0
# A line with this value goes to the copy only: the program itself tells people.
FOR_THE_COPY = {"_for_the_copy": True}
# What every line of the process has. Threads of a pool inherit no context variables.
_on_every_line: dict[str, str] = {}


class _Repeats:
    """Warnings that come again and again: shows one of them from time to time, and counts the others."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._shown_at: dict[str, float] = {}
        self._hidden: Counter[str] = Counter()

    def hides(self, event: MutableMapping[str, Any]) -> bool:
        """Whether it is not to be shown; one that is shown gets the count of those before it."""
        if event["level"] != "warning":
            return False
        text = str(event["event"])
        with self._lock:
            now = self._clock()
            if now - self._shown_at.get(text, -math.inf) < REPEAT_SECONDS:
                self._hidden[text] += 1
                return True
            self._shown_at[text] = now
            if hidden := self._hidden.pop(text, 0):
                event["event"] = f"{text} (and {hidden:,} more)"
        return False

    def rest(self) -> list[str]:
        """What was counted and never shown."""
        return [f"{text} (and {hidden:,} more)" for text, hidden in self._hidden.items()]


class _Tee:
    """One line to the console in its format, and the same event as JSON to a file."""

    def __init__(
        self,
        render: Any,  # noqa: ANN401 - a structlog renderer
        copy: Path | None,
        *,
        as_json: bool,
        clock: Callable[[], float],
    ) -> None:
        self._render = render
        self._as_json = as_json
        self._json = structlog.processors.JSONRenderer(default=str)
        self._copy = copy.open("a", encoding="utf-8") if copy is not None else None
        self._repeats = _Repeats(clock)

    def __call__(self, logger: Any, name: str, event: MutableMapping[str, Any]) -> str:  # noqa: ANN401 - structlog's contract
        for_the_copy = event.pop("_for_the_copy", False)
        if self._copy is not None:
            with contextlib.suppress(OSError):  # on a full disk the copy is lost, not the work
                self._copy.write(str(self._json(logger, name, dict(event))) + "\n")
                self._copy.flush()
        if not self._as_json:
            if for_the_copy or self._repeats.hides(event):
                raise structlog.DropEvent
            event = {key: _shown(value) for key, value in event.items() if key not in _on_every_line}
            event["timestamp"] = event["timestamp"][11:19] + "Z"  # people know what day it is
        return str(self._render(logger, name, event))

    def close(self) -> None:
        if not self._as_json:
            for text in self._repeats.rest():
                sys.stderr.write(escaped(text) + "\n")
        if self._copy is not None:
            with contextlib.suppress(OSError):
                self._copy.close()
            self._copy = None


class _Lines:
    """Writes each line at once: other threads write to stderr, too, and not by the log."""

    @staticmethod
    def error(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    debug = info = warning = error


@contextlib.contextmanager
def configure_logging(
    log_format: str,
    level: str,
    *,
    copy: Path | None = None,
    no_color: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Configure structlog within a ``with`` block. ``auto`` is console on a terminal, else JSON."""
    _on_every_line.clear()
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty() and not no_color, exception_formatter=_write_traceback
        )
    )
    tee = _Tee(renderer, copy, as_json=as_json, clock=clock)
    structlog.configure(
        processors=[
            _add_common,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.format_exc_info] if as_json or copy is not None else []),
            tee,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        # Looked up at each call: a progress bar takes over stderr while it is drawn.
        logger_factory=lambda *_args: _Lines(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        tee.close()
        _on_every_line.clear()
        structlog.reset_defaults()


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever is logged
    """A value as a terminal shows it and does not obey it; JSON needs no such thing, being ASCII."""
    return escaped(value, keep="\n") if isinstance(value, str) else value


def _write_traceback(stream: TextIO, error: Any) -> None:  # noqa: ANN401 - structlog's contract
    text = io.StringIO()
    structlog.dev.plain_traceback(text, error)
    stream.write(escaped(text.getvalue(), keep="\n"))


@contextlib.contextmanager
def silent_unless_configured() -> Iterator[None]:
    """Log nothing unless structlog is configured: its default prints to stdout. For library calls."""
    if structlog.is_configured():
        yield
        return
    structlog.configure(processors=[_drop])
    try:
        yield
    finally:
        structlog.reset_defaults()


def _drop(_logger: Any, _name: str, _event: MutableMapping[str, Any]) -> Any:  # noqa: ANN401 - structlog's contract
    raise structlog.DropEvent


def bind(**values: str) -> None:
    """Add values to every further line of this process, whatever thread writes it."""
    _on_every_line.update(values)


def _add_common(
    _logger: Any,  # noqa: ANN401 - structlog's contract
    _name: str,
    event: MutableMapping[str, Any],
) -> MutableMapping[str, Any]:
    for name, value in _on_every_line.items():
        event.setdefault(name, value)
    return event

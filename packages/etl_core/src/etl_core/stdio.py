"""stdout and stderr that survive a closed pipe.

A closed terminal, ``| head`` or a full disk behind ``2>`` does not end the work; only a result that
cannot be written to stdout is an error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from etl_core.printable import escaped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class BrokenPipeSafeStream:
    """A text stream that drops its output once the reader is gone; with ``may_fail``, on any other error too."""

    def __init__(self, stream: TextIO, *, may_fail: bool) -> None:
        self._stream = stream
        self._may_fail = may_fail

    def write(self, text: str) -> int:
        """Write, or drop the text; raises ``AccessError``, ``PermanentError``."""
        if text != "":  # click writes "" to find out whether a stream takes text, and lets errors through
            self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or drop what is buffered; raises ``AccessError``, ``PermanentError``."""
        self._attempt(self._stream.flush)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - all other attributes of the stream
        return getattr(self._stream, name)

    def _attempt(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            _write_into_nothing(self._stream)
            from etl_core.files import translate_os_errors

            if not (self._may_fail or isinstance(error, BrokenPipeError)):
                with translate_os_errors(f"write to {self._stream.name}"):
                    raise


def say(*lines: str, to_stdout: bool = False) -> None:
    """Print lines for a person, by default to stderr; control characters in them are escaped."""
    stream = sys.stdout if to_stdout else sys.stderr
    stream.write("".join(escaped(line) + "\n" for line in lines))
    stream.flush()


def guard_stdio() -> None:
    """Wrap ``sys.stdout`` and ``sys.stderr`` in ``BrokenPipeSafeStream``; one closed at start goes to /dev/null."""
    for name, may_fail in (("stdout", False), ("stderr", True)):
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open
        setattr(sys, name, BrokenPipeSafeStream(stream, may_fail=may_fail))


def write_bytes(stream: TextIO | BrokenPipeSafeStream, chunks: Iterable[bytes]) -> None:
    """Write bytes below a text stream, until they end or the reader has gone; raises ``AccessError``."""
    from etl_core.files import translate_os_errors

    stream.flush()
    with translate_os_errors("write to stdout"):
        try:
            for chunk in chunks:
                stream.buffer.write(chunk)
            stream.buffer.flush()
        except BrokenPipeError:
            _write_into_nothing(stream)


def _write_into_nothing(stream: TextIO | BrokenPipeSafeStream) -> None:
    """Buffers are flushed again when the interpreter ends: into nothing, then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

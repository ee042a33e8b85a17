"""stdout and stderr as a process that has work to do needs them: who listens may go away at any time.

A run whose log nobody reads any more (``| head``, a terminal that was closed, a full disk behind
``2>``) still proves what it set out to prove; only a result that cannot be written is an error.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


class Heard:
    """A text stream that falls silent once its reader is gone; one that ``may_fail`` also on any other error."""

    def __init__(self, stream: TextIO, *, may_fail: bool) -> None:
        self._stream = stream
        self._may_fail = may_fail

    def write(self, text: str) -> int:
        """Write, or say nothing; raises ``AccessError``, ``PermanentError``."""
        if text != "":  # with which click finds out what it writes to, and takes no error for an answer
            self._tried(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flush, or say nothing; raises ``AccessError``, ``PermanentError``."""
        self._tried(self._stream.flush)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else the stream can
        return getattr(self._stream, name)

    def _tried(self, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            # What is left in its buffers goes nowhere, also when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
            from etl_core.files import explained

            if not (self._may_fail or isinstance(error, BrokenPipeError)):
                with explained(f"write to {self._stream.name}"):
                    raise


def let_readers_go() -> None:
    """Put both streams of this process behind ``Heard``; one that was closed before it began says nothing."""
    for name, may_fail in (("stdout", False), ("stderr", True)):
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - stays open
        setattr(sys, name, Heard(stream, may_fail=may_fail))

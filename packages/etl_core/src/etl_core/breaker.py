"""A breaker: a service that failed so often in a row is left alone for the rest of a run."""

from __future__ import annotations

import threading

from etl_core.errors import DataError, PipelineError, UnavailableError


class Breaker:
    """Opens after ``limit`` consecutive failures, whichever of several threads met them, and stays open.

    What counts as a failure is up to the caller. ``says`` is what is said then, with ``{}`` for their number.
    """

    def __init__(self, limit: int, says: str = "stopped after {} consecutive failures", *, advice: str = "") -> None:
        self._limit, self._says, self._advice = limit, says, advice
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._reason: PipelineError | None = None

    def check(self) -> None:
        """Raise the reason if it is open: nothing more is to be sent."""
        if self._reason is not None:
            raise self._reason.with_traceback(None)  # else that of each thread is kept, with all that it holds

    def failed(self, error: PipelineError) -> bool:
        """Count a failure; whether it opens now, for an ``UnavailableError``, or for a ``DataError`` otherwise."""
        with self._lock:
            self._in_a_row += 1
            opens = self._reason is None and self._in_a_row >= self._limit
            if opens:
                kind = UnavailableError if isinstance(error, UnavailableError) else DataError
                said = f"{self._says.format(self._in_a_row)}, the last: {error}"
                self._reason = kind(said, advice=self._advice)
            return opens

    def open(self, reason: PipelineError) -> None:
        """Open at once for this reason, unless it is open."""
        with self._lock:
            self._reason = self._reason or reason

    def succeeded(self) -> None:
        """End a row of failures; an open breaker stays open."""
        with self._lock:
            self._in_a_row = 0

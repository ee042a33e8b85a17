"""A breaker: a service that failed so often in a row is left alone for the rest of a run."""

from __future__ import annotations

import threading

from etl_core.errors import UnavailableError


class Breaker:
    """Opens after ``limit`` consecutive failures, whichever of several threads met them, and stays open."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._failures = 0
        self._last = ""

    def check(self) -> None:
        """Raise ``UnavailableError`` if it is open: nothing more is to be sent."""
        if self._failures >= self._limit:
            raise UnavailableError(f"not tried after {self._failures} consecutive failures, the last: {self._last}")

    def failed(self, error: UnavailableError) -> None:
        with self._lock:
            if self._failures < self._limit:
                self._failures += 1
                self._last = str(error)

    def succeeded(self) -> None:
        """An answer of any kind came; an open breaker stays open."""
        with self._lock:
            if self._failures < self._limit:
                self._failures = 0

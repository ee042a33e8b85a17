"""How fast bytes may leave: buckets that tell how long to wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import monotonic

from sandbox.result import Data
from sandbox.settings import Settings

_BURST_SECONDS = 0.05
_SMALLEST, _LARGEST = 4 * 1024, 256 * 1024


class Bucket:
    """Allows `rate` units a second with a burst of a twentieth of a second; without a rate, anything."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._paid_until = 0.0
        self._lock = threading.Lock()

    def wait(self, units: float) -> float:
        """Seconds to wait before so many units may go."""
        if not self.rate:
            return 0.0
        with self._lock:
            now = monotonic()
            self._paid_until = max(self._paid_until, now) + units / self.rate
            return max(0.0, self._paid_until - now - _BURST_SECONDS)


class Pace:
    """One answer's buckets, the first of which all answers share."""

    def __init__(self, shared: Bucket, settings: Settings) -> None:
        self._shared, self._bytes = shared, Bucket(settings.bytes_per_second_per_stream)
        self._rows = Bucket(settings.rows_per_second_per_stream)

    def portions(self, data: Data) -> Iterator[tuple[float, Data]]:
        """The data in pieces, each with the seconds to wait before it. Unpaced, it stays whole."""
        rates = [bucket.rate for bucket in (self._shared, self._bytes) if bucket.rate]
        if self._rows.rate and data.rows:
            rates.append(self._rows.rate * len(data.body) / data.rows)
        if not rates:
            yield 0.0, data
            return
        size = int(min(max(min(rates) * _BURST_SECONDS, _SMALLEST), _LARGEST))
        view, told = memoryview(data.body), 0
        for start in range(0, len(view), size):
            part = view[start : start + size]
            rows = data.rows * (start + len(part)) // len(view) - told
            told += rows
            waits = (self._shared.wait(len(part)), self._bytes.wait(len(part)), self._rows.wait(rows))
            yield max(waits), Data(part, rows)

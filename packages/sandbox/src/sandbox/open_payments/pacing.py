"""How fast bytes may leave: token buckets."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from time import monotonic

_BURST_SECONDS = 0.05
_SMALLEST, _LARGEST = 4 * 1024, 256 * 1024


class Bucket:
    """Allows `rate` bytes a second with a burst of a twentieth of a second; without a rate, anything."""

    def __init__(self, rate: float | None) -> None:
        self.rate = rate
        self._paid_until = 0.0
        self._lock = threading.Lock()

    def wait(self, size: int) -> float:
        """Seconds to wait before so many bytes may go."""
        if not self.rate:
            return 0.0
        with self._lock:
            now = monotonic()
            self._paid_until = max(self._paid_until, now) + size / self.rate
            return max(0.0, self._paid_until - now - _BURST_SECONDS)


def portions(body: bytes | memoryview, buckets: Sequence[Bucket]) -> Iterator[tuple[float, bytes | memoryview]]:
    """A body in pieces, each with the seconds to wait before it. Unpaced, it stays whole."""
    rates = [bucket.rate for bucket in buckets if bucket.rate]
    size = int(min(max(min(rates) * _BURST_SECONDS, _SMALLEST), _LARGEST)) if rates else max(1, len(body))
    for start in range(0, len(body), size):
        part = memoryview(body)[start : start + size]
        yield max((bucket.wait(len(part)) for bucket in buckets), default=0.0), part

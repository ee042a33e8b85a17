"""How much of a source may be used at once.

A ceiling on concurrent requests shared by all threads of the process. A 429 or 503 halves
what is allowed and holds everybody back until the moment the source named; success raises it
again, one step per round of answers. A source that throttles again and again without naming a
moment is left alone for twice as long each time; a single such answer only costs its asker the
wait of a retry. A block by the source's edge stops all for good.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from etl_core.errors import BlockedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The hold after the second throttling answer in a row that names no moment; doubles up to the longest.
FIRST_HOLD_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 60.0
# How long a waiting thread sleeps before it looks whether it was asked to stop.
LOOK_AGAIN_SECONDS = 0.5


class Budget:
    """Slots for requests. ``with budget.slot():`` around each request, body included."""

    def __init__(
        self,
        ceiling: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.ceiling = ceiling
        self._clock = clock
        self._check_stop = check_stop
        self._changed = threading.Condition()
        self._allowed = float(ceiling)
        self._in_use = 0
        self._not_before = 0.0
        self._last_cut = float("-inf")
        self._throttled_in_a_row = 0
        self._blocked: str | None = None

    @property
    def allowed(self) -> int:
        """Concurrent requests allowed now."""
        with self._changed:
            return int(self._allowed)

    @contextlib.contextmanager
    def slot(self) -> Iterator[float]:
        """Wait for a slot and hold it; gives the moment it was taken.

        Raises ``BlockedError`` if the source has blocked us, before or while waiting.
        """
        taken = self._take()
        try:
            yield taken
        finally:
            with self._changed:
                self._in_use -= 1
                self._changed.notify()

    def succeeded(self) -> None:
        """An answer came well: allow a little more."""
        with self._changed:
            self._throttled_in_a_row = 0
            if self._allowed < self.ceiling:
                self._allowed = min(float(self.ceiling), self._allowed + 1.0 / self._allowed)
                self._changed.notify()

    def throttled(self, taken: float, retry_after: float | None) -> None:
        """A request whose slot was taken at ``taken`` was told to slow down.

        Requests that were already under way when the budget was last cut do not cut it again.
        """
        with self._changed:
            now = self._clock()
            if taken > self._last_cut:
                self._allowed = max(1.0, self._allowed / 2)
                self._last_cut = now
                self._throttled_in_a_row += 1
            if retry_after is None and self._throttled_in_a_row > 1:
                doubled = FIRST_HOLD_SECONDS * 2.0 ** min(self._throttled_in_a_row - 2, 10)
                retry_after = min(doubled, LONGEST_HOLD_SECONDS)
            self._not_before = max(self._not_before, now + (retry_after or 0.0))

    def block(self, why: str) -> None:
        """The source's edge refuses us: no further request is let through."""
        with self._changed:
            self._blocked = self._blocked or why
            self._changed.notify_all()

    def _take(self) -> float:
        with self._changed:
            while True:
                self._check_stop()
                if self._blocked is not None:
                    raise BlockedError(self._blocked)
                now = self._clock()
                if now < self._not_before:
                    self._changed.wait(min(self._not_before - now, LOOK_AGAIN_SECONDS))
                elif self._in_use >= int(self._allowed):
                    self._changed.wait(LOOK_AGAIN_SECONDS)
                else:
                    self._in_use += 1
                    return now

"""A backoff that all pods of a source share: no request before this moment.

Each pod keeps its own share of the source's ceiling. What one of them learns from a 429 or a block
reaches the others through an object in the lake, which each reads every few seconds. The object is
a hint, not a proof: a pod that knows of a later moment overwrites it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from etl_core.budget import POLL_SECONDS, Budget, raise_if_too_long
from etl_core.budget_state import LONGEST_REASON
from etl_core.errors import BlockedError, PipelineError
from etl_core.json_text import parse_json
from etl_core.logs import get_logger
from etl_core.printable import printable
from etl_core.retry import LONGEST_RETRY_AFTER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl_core.lake import ObjectStore
    from etl_core.private_folder import PrivateFolder

READ_EVERY_SECONDS = 2.0
# As long as the advice of a block says to wait.
BLOCKED_SECONDS = 3600.0
# A moment less than this later than the stored one is not worth a write.
MIN_DIFFERENCE_SECONDS = 1.0

_log = get_logger()


@dataclass(frozen=True)
class Backoff:
    """``not_before`` in seconds since the epoch; ``blocked`` is the reason if the source's edge refuses us."""

    not_before: float = 0.0
    blocked: str = ""


class SharedBackoff:
    """The backoff of one source, stored in the lake."""

    def __init__(self, store: ObjectStore, source: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._key = lake_layout.fan_out.not_before(source)
        self._clock = clock
        self._lock = threading.Lock()
        self._known = Backoff()
        self._body: bytes | None = None
        self._read_at = float("-inf")

    def current(self) -> Backoff:
        """The backoff, at most a few seconds old; the last known one while the lake does not answer."""
        with self._lock:
            if self._clock() - self._read_at >= READ_EVERY_SECONDS:
                self._read_at = self._clock()
                self._known = self._read()
            return self._known

    def publish(self, backoff: Backoff) -> None:
        """Write ``not_before`` unless the stored one is later; a block is always written."""
        with self._lock:
            self._known = known = self._read()
            self._read_at = self._clock()
            if backoff.not_before < known.not_before + MIN_DIFFERENCE_SECONDS and not backoff.blocked:
                return
            try:
                self._store.put(self._key, json.dumps({**asdict(backoff), "written": self._clock()}).encode())
                self._known = backoff
            except PipelineError as error:
                _log.warning("the shared backoff could not be written", because=str(error))

    def raise_if_blocked(self) -> None:
        """Raise ``BlockedError`` if the source's edge refused a pod within the last hour."""
        backoff = self._read()
        left = backoff.not_before - self._clock()
        if backoff.blocked and left > 0:
            advice = f"Wait another {left / 60:.0f} minutes, or delete {self._store.url}/{self._key} to try at once."
            raise BlockedError(printable(backoff.blocked, LONGEST_REASON), advice=advice)

    def _read(self) -> Backoff:
        try:
            body = self._store.get(self._key)
            if body != self._body:
                self._known, self._body = _parsed(body, self._clock()), body
        except (PipelineError, ValueError, TypeError, KeyError) as error:
            _log.warning("the shared backoff cannot be read", because=str(error))
        return self._known


def _parsed(body: bytes | None, now: float) -> Backoff:
    """The stored backoff, no longer than when it was written: the clock of the pod that wrote it may be ahead."""
    if body is None:
        return Backoff()
    found = parse_json(body)
    not_before, written, blocked = float(found["not_before"]), float(found["written"]), str(found["blocked"])
    longest = BLOCKED_SECONDS if blocked else LONGEST_RETRY_AFTER_SECONDS
    if not not_before - written <= longest + MIN_DIFFERENCE_SECONDS:  # also where one of them is no number
        raise ValueError(f"no source asked to wait from {written} until {not_before}")
    return Backoff(not_before - max(0.0, written - now), blocked)


class SharedBudget(Budget):
    """A pod's share of a source; it follows the shared backoff, and publishes its own."""

    def __init__(
        self,
        ceiling: int,
        folder: PrivateFolder,
        backoff: SharedBackoff,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(ceiling, folder, clock=clock, sleep=sleep, check_stop=check_stop)
        self._backoff = backoff

    def throttled(self, taken: float, retry_after: float | None) -> None:
        super().throttled(taken, retry_after)
        until = self.held_until
        if until > self._clock() + MIN_DIFFERENCE_SECONDS:
            self._backoff.publish(Backoff(until))

    def block(self, why: str) -> None:
        super().block(why)
        self._backoff.publish(Backoff(self._clock() + BLOCKED_SECONDS, why))

    def _take(self) -> int:
        while True:
            self._check_stop()
            backoff, now = self._backoff.current(), self._clock()
            if now >= backoff.not_before:
                return super()._take()
            if backoff.blocked:
                raise BlockedError(printable(backoff.blocked, LONGEST_REASON))
            raise_if_too_long(backoff.not_before, now)
            self._sleep(min(backoff.not_before - now, 10 * POLL_SECONDS))

"""One word to all pods: ask nothing before this moment.

A pod keeps its share of the source's ceiling by itself; what one of them learns by a 429 or a
block reaches the others by an object in the lake, which each reads every few seconds. It is a
notice, not a fact: whoever knows of a later moment replaces it, and nothing is proved by it.
"""

from __future__ import annotations

import json
import math
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import structlog

from data_pipeline import lake_layout
from etl_core.budget import POLL_SECONDS, Budget
from etl_core.errors import BlockedError, PipelineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl_core.lake import ObjectStore

READ_EVERY_SECONDS = 2.0
# What the block's own advice says: wait an hour.
BLOCKED_SECONDS = 3600.0
# A hold that ends less than this later than the one known is not worth a write.
WORTH_TELLING_SECONDS = 1.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class Notice:
    """``not_before`` in seconds since the epoch; ``blocked`` has the reason if the source's edge refuses us."""

    not_before: float = 0.0
    blocked: str = ""


class Board:
    """Where the notice of one source hangs."""

    def __init__(self, store: ObjectStore, source: str, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._key = lake_layout.fan_out.not_before(source)
        self._clock = clock
        self._lock = threading.Lock()
        self._known = Notice()
        self._read_at = float("-inf")

    def current(self) -> Notice:
        """The notice as of a few seconds ago; a lake that does not answer leaves the one known."""
        with self._lock:
            if self._clock() - self._read_at >= READ_EVERY_SECONDS:
                self._read_at = self._clock()
                self._known = self._read()
            return self._known

    def tell(self, notice: Notice) -> None:
        """Hang it up, if it says more than the one there."""
        with self._lock:
            self._known = known = self._read()
            self._read_at = self._clock()
            if notice.not_before < known.not_before + WORTH_TELLING_SECONDS and not notice.blocked:
                return
            try:
                self._store.put(self._key, json.dumps(asdict(notice)).encode())
                self._known = notice
            except PipelineError as error:
                _log.warning("the others could not be told to wait", because=str(error))

    def must_not_be_blocked(self) -> None:
        """Raise ``BlockedError`` if a pod was refused by the source's edge within the hour."""
        notice = self._read()
        left = notice.not_before - self._clock()
        if notice.blocked and left > 0:
            advice = f"Wait another {left / 60:.0f} minutes; if you know better, delete {self._store.url}/{self._key}."
            raise BlockedError(notice.blocked, advice=advice)

    def _read(self) -> Notice:
        try:
            return _parsed(self._store.get(self._key))
        except (PipelineError, ValueError, TypeError, KeyError) as error:
            _log.warning("the notice of the source cannot be read", because=str(error))
            return self._known


def _parsed(body: bytes | None) -> Notice:
    if body is None:
        return Notice()
    said = json.loads(body)
    not_before = float(said["not_before"])
    if not math.isfinite(not_before):
        raise ValueError(f"{not_before} is no moment")
    return Notice(not_before, str(said["blocked"]))


class SharedBudget(Budget):
    """A pod's share of a source, that also heeds and tells what other pods learn of it."""

    def __init__(
        self,
        ceiling: int,
        folder: Path,
        board: Board,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(ceiling, folder, clock=clock, sleep=sleep, check_stop=check_stop)
        self._board = board

    def throttled(self, taken: float, retry_after: float | None) -> None:
        super().throttled(taken, retry_after)
        until = self.held_until
        if until > self._clock() + WORTH_TELLING_SECONDS:
            self._board.tell(Notice(until))

    def block(self, why: str) -> None:
        super().block(why)
        self._board.tell(Notice(self._clock() + BLOCKED_SECONDS, why))

    def _take(self) -> int:
        while True:
            self._check_stop()
            notice, now = self._board.current(), self._clock()
            if now >= notice.not_before:
                return super()._take()
            if notice.blocked:
                raise BlockedError(notice.blocked)
            self._sleep(min(notice.not_before - now, 10 * POLL_SECONDS))

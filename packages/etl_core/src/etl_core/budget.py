"""How much of a source may be used at once, by all threads and processes of a machine.

A ceiling on concurrent requests. A 429 or 503 halves what is allowed and holds everybody back
until the moment the source named; success raises it again, one step per round of answers. A
source that throttles again and again without naming a moment is left alone for twice as long
each time; a single such answer only costs its asker the wait of a retry. A block by the
source's edge stops every process that was running when it came.

The processes meet in a folder: a slot is a file whose lock a request holds, so a killed process
gives its slots back; what is allowed stands in ``state.json``, replaced whole under a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import structlog

from etl_core.errors import BlockedError
from etl_core.files import translate_os_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The hold after the second throttling answer in a row that names no moment; doubles up to the longest.
FIRST_HOLD_SECONDS = 1.0
LONGEST_HOLD_SECONDS = 60.0
# How often a request without a slot looks whether another process has given one back.
LOOK_AGAIN_SECONDS = 0.05
# What was learnt of a source longer ago says nothing of it now.
FORGET_AFTER_SECONDS = 3600.0
# A person who sees nothing happen for longer wonders.
WORTH_TELLING_SECONDS = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class _State:
    """Moments are seconds since the epoch: the only clock that processes share."""

    allowed: float
    not_before: float = 0.0
    last_cut: float = 0.0
    throttled_in_a_row: int = 0
    blocked_at: float = 0.0
    blocked_why: str = ""
    updated: float = 0.0


class Budget:
    """Slots for requests. ``with budget.slot():`` around each request, body included."""

    def __init__(
        self,
        ceiling: int,
        folder: Path,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self.ceiling = ceiling
        self._folder = folder
        self._clock = clock
        self._sleep = sleep
        self._check_stop = check_stop
        self._started = clock()
        self._told = 0.0
        self._given_back = threading.Condition()
        with translate_os_errors(f"make {folder}"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def allowed(self) -> int:
        """Concurrent requests allowed now."""
        return min(self.ceiling, int(self._read().allowed))

    @property
    def held_until(self) -> float:
        """The moment before which nothing is asked, in seconds since the epoch."""
        return self._read().not_before

    @contextlib.contextmanager
    def slot(self) -> Iterator[float]:
        """Wait for a slot and hold it; gives the moment it was taken.

        Raises:
            BlockedError: the source has blocked us, before or while waiting.

        """
        held = self._take()
        try:
            yield self._clock()
        finally:
            os.close(held)
            with self._given_back:
                self._given_back.notify()

    def succeeded(self) -> None:
        """An answer came well: allow a little more."""
        state = self._read()
        if state.allowed < self.ceiling or state.throttled_in_a_row:
            self._change(self._raised)

    def throttled(self, taken: float, retry_after: float | None) -> None:
        """A request whose slot was taken at ``taken`` was told to slow down.

        Requests that were already under way when the budget was last cut do not cut it again.
        """
        self._change(lambda state, now: _cut(state, now, taken, retry_after))

    def block(self, why: str) -> None:
        """The source's edge refuses us: no further request of a running process is let through."""
        self._change(lambda state, now: replace(state, blocked_at=now, blocked_why=why))

    def _take(self) -> int:
        while True:
            self._check_stop()
            state, now = self._read(), self._clock()
            if state.blocked_at >= self._started:
                raise BlockedError(state.blocked_why)
            if now < state.not_before:
                if state.not_before > max(self._told, now + WORTH_TELLING_SECONDS):
                    self._told = state.not_before
                    _log.info("waiting, as the source asked of all", seconds=round(state.not_before - now))
                self._sleep(min(state.not_before - now, 10 * LOOK_AGAIN_SECONDS))
                continue
            for number in range(min(self.ceiling, int(state.allowed))):
                held = self._lock_now(f"slot-{number:02}")
                if held is not None:
                    return held
            with self._given_back:
                self._given_back.wait(LOOK_AGAIN_SECONDS)

    def _raised(self, state: _State, _now: float) -> _State:
        allowed = min(float(self.ceiling), state.allowed + 1.0 / state.allowed)
        return replace(state, allowed=max(allowed, state.allowed), throttled_in_a_row=0)

    def _read(self) -> _State:
        try:
            state = _State(**json.loads((self._folder / "state.json").read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return _State(float(self.ceiling))
        fresh = abs(self._clock() - state.updated) < FORGET_AFTER_SECONDS
        return state if fresh else _State(float(self.ceiling))

    def _change(self, change: Callable[[_State, float], _State]) -> None:
        with translate_os_errors(f"write in {self._folder}"):
            lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                now = self._clock()
                state = replace(change(self._read(), now), updated=now)
                beside = self._folder / "state.json.new"
                beside.write_text(json.dumps(asdict(state)))
                beside.replace(self._folder / "state.json")
            finally:
                os.close(lock)

    def _lock_now(self, name: str) -> int | None:
        with translate_os_errors(f"open {self._folder / name}"):
            descriptor = os.open(self._folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


def _cut(state: _State, now: float, taken: float, retry_after: float | None) -> _State:
    allowed, in_a_row, last_cut = state.allowed, state.throttled_in_a_row, state.last_cut
    if taken > last_cut:
        allowed, in_a_row, last_cut = max(1.0, allowed / 2), in_a_row + 1, now
    hold = retry_after or 0.0
    if retry_after is None and in_a_row > 1:
        hold = min(FIRST_HOLD_SECONDS * 2.0 ** min(in_a_row - 2, 10), LONGEST_HOLD_SECONDS)
    return replace(
        state,
        allowed=allowed,
        throttled_in_a_row=in_a_row,
        last_cut=last_cut,
        not_before=max(state.not_before, now + hold),
    )

"""A rate limit shared by all threads and processes of a machine that use one source.

It limits concurrent requests. A throttled request halves the limit, and nobody sends a request before
the time the source named; successes raise the limit again, by one per round of answers. A
source that keeps throttling without naming a time gets twice as long a pause each time; a
single such answer delays only its own retry. A block stops every process that was running then.

The processes share a folder: a slot is a file that a request holds locked, so a killed process
frees its slots; the limit is in ``state.json``, replaced atomically under a lock.
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

# The pause after the second throttled answer in a row that names no time; doubles up to the longest.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# How often a request without a slot polls for one that another process released.
POLL_SECONDS = 0.05
# An older state is ignored.
STATE_TTL_SECONDS = 3600.0
# A longer pause is logged: a person would wonder.
MIN_LOGGED_PAUSE_SECONDS = 2.0

_log = structlog.get_logger()


@dataclass(frozen=True)
class _State:
    """Times are seconds since the epoch: the only clock that processes share."""

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
        self._logged_until = 0.0
        self._released = threading.Condition()
        with translate_os_errors(f"make {folder}"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @property
    def allowed(self) -> int:
        """Concurrent requests allowed now."""
        return min(self.ceiling, int(self._read().allowed))

    @property
    def held_until(self) -> float:
        """No request is sent before this time, in seconds since the epoch."""
        return self._read().not_before

    @contextlib.contextmanager
    def slot(self) -> Iterator[float]:
        """Wait for a slot and hold it; yields the time it was taken, for ``throttled``.

        Raises:
            BlockedError: the source blocks this client, before or while waiting.

        """
        held = self._take()
        try:
            yield self._clock()
        finally:
            os.close(held)
            with self._released:
                self._released.notify()

    def succeeded(self) -> None:
        """An answer was complete: raise the limit a little."""
        state = self._read()
        if state.allowed < self.ceiling or state.throttled_in_a_row:
            self._change(self._raised)

    def throttled(self, taken: float, retry_after: float | None) -> None:
        """A request whose slot was taken at ``taken`` was throttled; ``retry_after`` is in seconds.

        Requests that were under way when the limit was last cut do not cut it again.
        """
        self._change(lambda state, now: _cut(state, now, taken, retry_after))

    def block(self, why: str) -> None:
        """The source blocks this client: running processes send no further request."""
        self._change(lambda state, now: replace(state, blocked_at=now, blocked_why=why))

    def _take(self) -> int:
        while True:
            self._check_stop()
            state, now = self._read(), self._clock()
            if state.blocked_at >= self._started:
                raise BlockedError(state.blocked_why)
            if now < state.not_before:
                if state.not_before > max(self._logged_until, now + MIN_LOGGED_PAUSE_SECONDS):
                    self._logged_until = state.not_before
                    seconds = round(state.not_before - now)
                    _log.info(f"Rate limited: waiting {seconds} s as the source requested", seconds=seconds)
                self._sleep(min(state.not_before - now, 10 * POLL_SECONDS))
                continue
            for number in range(min(self.ceiling, int(state.allowed))):
                held = self._lock_now(f"slot-{number:02}")
                if held is None:
                    continue
                if _pauses(self._read()) == _pauses(state):
                    return held
                os.close(held)  # a block or a pause came between the read and the lock
                break
            with self._released:
                self._released.wait(POLL_SECONDS)

    def _raised(self, state: _State, _now: float) -> _State:
        allowed = min(float(self.ceiling), state.allowed + 1.0 / state.allowed)
        return replace(state, allowed=max(allowed, state.allowed), throttled_in_a_row=0)

    def _read(self) -> _State:
        try:
            state = _State(**json.loads((self._folder / "state.json").read_bytes()))
        except (FileNotFoundError, ValueError, TypeError):
            return _State(float(self.ceiling))
        fresh = abs(self._clock() - state.updated) < STATE_TTL_SECONDS
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


def _pauses(state: _State) -> tuple[float, float]:
    return state.blocked_at, state.not_before


def _cut(state: _State, now: float, taken: float, retry_after: float | None) -> _State:
    allowed, in_a_row, last_cut = state.allowed, state.throttled_in_a_row, state.last_cut
    if taken > last_cut:
        allowed, in_a_row, last_cut = max(1.0, allowed / 2), in_a_row + 1, now
    pause = retry_after or 0.0
    if retry_after is None and in_a_row > 1:
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(in_a_row - 2, 10), LONGEST_PAUSE_SECONDS)
    return replace(
        state,
        allowed=allowed,
        throttled_in_a_row=in_a_row,
        last_cut=last_cut,
        not_before=max(state.not_before, now + pause),
    )

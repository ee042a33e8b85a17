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
import os
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from etl_core import budget_state
from etl_core.budget_state import LARGEST_STATE_BYTES, LONGEST_REASON, State
from etl_core.errors import BlockedError
from etl_core.logs import get_logger
from etl_core.printable import printable
from etl_core.retry import LONGEST_WAIT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from etl_core.private_folder import PrivateFolder

# How often a request without a slot polls for one that another process released.
POLL_SECONDS = 0.05
# A longer pause is logged: a person would wonder.
MIN_LOGGED_PAUSE_SECONDS = 2.0

_log = get_logger()


class Budget:
    """Slots for requests. ``with budget.slot():`` around each request, body included."""

    def __init__(
        self,
        ceiling: int,
        folder: PrivateFolder,
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
        self._logged_until = 0.0
        self._released = threading.Condition()
        self._block_at_start = self._read().block

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
            BlockedError: the source blocks this client, or asked for a longer pause than a run waits for; before or
                while waiting.

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
            self._change(lambda state, _now: budget_state.raised(state, self.ceiling))

    def throttled(self, taken: float, retry_after: float | None) -> None:
        """A request whose slot was taken at ``taken`` was throttled; ``retry_after`` is in seconds.

        Requests that were under way when the limit was last cut do not cut it again.
        """
        self._change(lambda state, now: budget_state.cut(state, now, taken, retry_after))

    def block(self, why: str) -> None:
        """The source blocks this client: running processes send no further request."""
        named = {"block": uuid.uuid4().hex, "blocked_why": printable(why, LONGEST_REASON)}
        self._change(lambda state, _now: state.changed(**named))

    def raise_if_held_long(self, *, because: str = "") -> None:
        """Raise ``BlockedError`` if the next request may be sent later than a run waits for; it says when."""
        raise_if_too_long(self._read().not_before, self._clock(), because=because)

    def _take(self) -> int:
        while True:
            self._check_stop()
            state, now = self._read(), self._clock()
            if state.block != self._block_at_start and state.block:
                raise BlockedError(printable(state.blocked_why, LONGEST_REASON))
            if now < state.not_before:
                self._pause(state, now)
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

    def _pause(self, state: State, now: float) -> None:
        raise_if_too_long(state.not_before, now)
        left = state.not_before - now
        if state.not_before > max(self._logged_until, now + MIN_LOGGED_PAUSE_SECONDS):
            self._logged_until = state.not_before
            _log.info(f"Rate limited: waiting {left:.0f} s as the source requested", seconds=round(left))
        self._sleep(min(left, 10 * POLL_SECONDS))

    def _read(self) -> State:
        now = self._clock()
        state = self._load(now)
        if state.updated == now:  # maybe shifted from the future: stored once, or its pause would never end
            self._change(lambda state, _now: state)
        return state

    def _load(self, now: float) -> State:
        return budget_state.parse(self._folder.read("state.json", limit=LARGEST_STATE_BYTES), now, self.ceiling)

    def _change(self, change: Callable[[State, float], State]) -> None:
        with self._folder.locked("lock"):
            now = self._clock()
            state = change(self._load(now), now).changed(updated=now)
            self._folder.replace("state.json", state.model_dump_json().encode())

    def _lock_now(self, name: str) -> int | None:
        descriptor = self._folder.open_file(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        return descriptor


def raise_if_too_long(not_before: float, now: float, *, because: str = "") -> None:
    """Raise ``BlockedError``, with the time of the next request, if that is further away than a run waits for."""
    wait = not_before - now
    if wait > LONGEST_WAIT_SECONDS:
        when = datetime.fromtimestamp(not_before, UTC)
        asked = f"the source asked for no request before {when:%Y-%m-%d %H:%M:%S} UTC, in {wait / 60:.0f} min."
        raise BlockedError(
            f"{because}; {asked}" if because else asked,
            advice="Run the same command again then; completed work is kept.",
            retry_after=wait,
        )


def _pauses(state: State) -> tuple[str, float]:
    return state.block, state.not_before

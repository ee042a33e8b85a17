"""Retries with exponential backoff and jitter.

Limited twice: by attempts and by total time. ``Retry-After`` is obeyed; if it exceeds the time that is
left, there is no retry. Sleeping, clock and chance are injected.
"""

from __future__ import annotations

import random
import re
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from etl_core.errors import TemporaryError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# A run waits this long for a service that names a time; for longer, it ends and says when to come back.
LONGEST_WAIT_SECONDS = 600.0
# Nobody means more. A broken server or proxy that says a century must not lock anybody out for one.
LONGEST_RETRY_AFTER_SECONDS = 7 * 86_400.0


@dataclass(frozen=True)
class RetryPolicy:
    """``attempts`` in all, within ``total_seconds``; waits double from ``first_wait_seconds``.

    Jitter makes each wait ``jitter_from`` times to ``jitter_from + 0.5`` times as long.
    """

    attempts: int = 6
    total_seconds: float = 900.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0
    jitter_from: float = 0.5


class Retry:
    """Runs an action until it succeeds, fails for good, or the policy's limits are reached."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy or RetryPolicy()
        self._sleep = sleep
        self._clock = clock
        self._chance = chance

    def call(
        self,
        action: Callable[[int], T],
        *,
        on_retry: Callable[[int, TemporaryError, float], None] | None = None,
    ) -> T:
        """``action(attempt)`` with attempts counted from 1; the last error is raised unchanged."""
        started = self._clock()
        attempt = 1
        while True:
            try:
                return action(attempt)
            except TemporaryError as error:
                if not error.retryable:
                    raise
                wait = self.wait_before(attempt + 1, error)
                spent = self._clock() - started
                if attempt >= self._policy.attempts or spent + wait > self._policy.total_seconds:
                    raise
                if on_retry is not None:
                    on_retry(attempt, error, wait)
                self._sleep(wait)
                attempt += 1

    def wait_before(self, attempt: int, error: TemporaryError) -> float:
        """Seconds to wait before ``attempt`` (2, 3, …): doubling, with jitter, never before ``Retry-After``."""
        policy = self._policy
        doubled = min(policy.first_wait_seconds * 2.0 ** (attempt - 2), policy.longest_wait_seconds)
        jittered = doubled * (policy.jitter_from + 0.5 * self._chance())
        if not isinstance(error, UnavailableError):
            return jittered
        if error.retry_after is None:
            return jittered * error.wait_factor
        # A little later than requested, and not all clients at the same time.
        return error.retry_after + 0.1 * jittered


def parse_retry_after(value: str | None, sent: str | None = None) -> float | None:
    """Seconds from either form of ``Retry-After`` (RFC 9110 10.2.3), at most a week; None if absent or invalid.

    ``sent`` is the answer's ``Date``: a date is compared with it, because the clock of this machine may be wrong.
    """
    if not value:
        return None
    if re.fullmatch(r"\s*[0-9]+\s*", value):
        seconds = float(value)
    elif (until := _seconds_of(value)) is not None:
        now = _seconds_of(sent or "")
        seconds = until - (time.time() if now is None else now)
    else:
        return None
    return min(max(0.0, seconds), LONGEST_RETRY_AFTER_SECONDS)


def _seconds_of(date: str) -> float | None:
    """Seconds since the epoch of an HTTP date, which is in UTC also where it does not say so."""
    try:
        parsed = parsedate_to_datetime(date)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None

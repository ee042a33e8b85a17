"""Retries with exponential backoff and jitter.

Limited twice: by attempts and by total time. ``Retry-After`` is obeyed; if it exceeds the time that is
left, there is no retry. Sleeping, clock and chance are injected.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import urllib3

from etl_core.errors import TemporaryError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """``attempts`` in all, within ``total_seconds``; waits double from ``first_wait_seconds``."""

    attempts: int = 6
    total_seconds: float = 900.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


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
        jittered = doubled * (0.5 + 0.5 * self._chance())
        if not isinstance(error, UnavailableError):
            return jittered
        if error.retry_after is None:
            return jittered * error.wait_factor
        # A little later than requested, and not all clients at the same time.
        return error.retry_after + 0.1 * jittered


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from either form of ``Retry-After`` (RFC 9110 10.2.3); None if absent or invalid."""
    if not value:
        return None
    try:
        return urllib3.Retry().parse_retry_after(value)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None

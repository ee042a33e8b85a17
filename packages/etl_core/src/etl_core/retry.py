"""What waiting can cure, how long to wait, and when to give up.

Bounded twice: by tries and by time. ``Retry-After`` is obeyed, and a service that asks for
more time than is left is given up at once. Sleeping, clock and chance are injected.
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
    """``attempts`` tries in all, within ``total_seconds``; waits double from ``first_wait_seconds``."""

    attempts: int = 6
    total_seconds: float = 900.0
    first_wait_seconds: float = 0.5
    longest_wait_seconds: float = 60.0


class Retry:
    """Runs an action until it succeeds, cannot be cured by waiting, or the policy is used up."""

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
        """``action(attempt)`` with attempts counted from 1. The last error is raised as it came."""
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
        # A little after the moment asked for, and not everybody at the same time.
        return error.retry_after + 0.1 * jittered


def parse_retry_after(value: str | None) -> float | None:
    """Seconds from either form of ``Retry-After`` (RFC 9110 10.2.3); None if absent or unreadable."""
    if not value:
        return None
    try:
        return urllib3.Retry().parse_retry_after(value)
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None

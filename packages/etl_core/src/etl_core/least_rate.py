"""A least rate at which a server must send."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from etl_core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

BYTES_PER_SECOND = 1000.0


class LeastRate:
    """Reads of one body. Only the time counts in which the server is waited for.

    Each read must return what is there, and not wait for more: at 100 bytes a second a megabyte takes three hours.
    ``doing`` is for the message, as in ``GET https://…``.
    """

    def __init__(
        self,
        doing: str,
        *,
        seconds: float,
        bytes_per_second: float = BYTES_PER_SECOND,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._doing = doing
        self._seconds = seconds
        self._bytes_per_second = bytes_per_second
        self._clock = clock
        self._waited = 0.0
        self._received = 0

    def read(self, read_available: Callable[[int], bytes], size: int) -> bytes:
        """What ``read_available(size)`` returns.

        Raises:
            UnavailableError: the server sent less than the least rate for ``seconds``.

        """
        before = self._clock()
        piece = read_available(size)
        self._waited += self._clock() - before
        self._received += len(piece)
        if piece and self._waited >= self._seconds:
            rate = self._received / self._waited
            if rate < self._bytes_per_second:
                raise UnavailableError(f"{self._doing} sent only {rate:.0f} bytes a second for {self._waited:.0f} s")
            self._waited, self._received = 0.0, 0
        return piece

"""The body of an answer, read within limits of time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl_core.errors import DataError, UnavailableError
from etl_core.http.translate import readable, translate_http_errors
from etl_core.least_rate import LeastRate

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

    from etl_core.http.session import HttpSettings


class Body:
    """The body of one answer, decoded.

    It has no more than ``at_most`` bytes. The limits are checked after every packet, not only after every chunk: a
    server that sends 100 bytes a second would need 44 minutes for the 256 KiB of a chunk.
    """

    def __init__(
        self,
        response: requests.Response,
        settings: HttpSettings,
        *,
        clock: Callable[[], float],
        check_stop: Callable[[], None],
        at_most: int | None = None,
    ) -> None:
        self._response = response
        self._settings = settings
        self._clock = clock
        self._check_stop = check_stop
        self._deadline = clock() + settings.answer_seconds
        self._rate = LeastRate(
            f"GET {readable(response.url)}",
            seconds=settings.read_seconds,
            bytes_per_second=settings.least_bytes_per_second,
            clock=clock,
        )
        self._at_most = at_most
        self.received = 0

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer only at the end.

        Raises:
            UnavailableError: the body broke off, is too slow, or takes too long.
            DataError: it is longer than allowed, as sent or as decoded.

        """
        pieces = []
        while size:
            self._check_stop()
            self._check_time()
            piece = self._rate.read(self._read_available, size)
            if not piece:
                break
            pieces.append(piece)
            self.received += len(piece)
            self._check_size()
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_available(self, size: int) -> bytes:
        with translate_http_errors(self._response.url):
            available: bytes = self._response.raw.read1(size, decode_content=True)
        return available

    def _check_time(self) -> None:
        if self._clock() > self._deadline:
            raise UnavailableError(
                f"GET {readable(self._response.url)} was still answering after {self._settings.answer_seconds:.0f} s"
                f" and {self.received} bytes"
            )

    def _check_size(self) -> None:
        if self._at_most is not None and max(self.received, self._response.raw.tell()) > self._at_most:
            raise DataError(
                f"GET {readable(self._response.url)} answered more than {self._at_most / 1e6:,.0f} MB in place of a"
                " short text."
            )

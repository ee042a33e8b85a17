"""Interim answers (1xx), which precede the answer itself (RFC 9110, 15.2).

The standard library passes over 100 only. It takes a 103 for the whole answer, and the answer for that of the next
request on the connection.
"""

from __future__ import annotations

import http.client
from http import HTTPStatus


class FinalResponse(http.client.HTTPResponse):
    """The first answer that is no interim one."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc] # the stubs know public names only
            if status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.BadStatusLine(f"{status} {reason}")  # nobody asked for another protocol
            if not HTTPStatus.PROCESSING <= status < HTTPStatus.OK:
                return version, status, reason
            http.client.parse_headers(self.fp)

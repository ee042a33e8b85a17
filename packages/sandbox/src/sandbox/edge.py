"""What stands before the source: an Akamai-like firewall, a cache of answers, and the faults of both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from time import monotonic

from sandbox.errors import Headers
from sandbox.faults import Fault
from sandbox.reply import Reply, body_reply, json_reply
from sandbox.result import Data

_KEPT_BYTES = 256 << 20
_DENIED = (
    "<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n \nYou don't have permission "
    'to access "http&#58;&#47;&#47;openpaymentsdata&#46;cms&#46;gov&#47;" on this server.<P>\n'
    "Reference&#32;&#35;18&#46;2f3e1702&#46;1769100000&#46;1a2b3c4d\n</BODY>\n</HTML>\n"
)


def denied(status: int = 403) -> Reply:
    """The firewall's page."""
    return body_reply(_DENIED.encode(), "text/html", status)


def retry_after(seconds: float, form: str) -> Headers:
    """A Retry-After header in one of its two forms (RFC 9110), or none."""
    if form == "none":
        return ()
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    return (("Retry-After", when if form == "date" else f"{seconds:.0f}"),)


def _page(status: int, title: str) -> Callable[[Fault], Reply]:
    text = f"<html>\n<head><title>{status} {title}</title></head>\n<body>\n<h1>{title}</h1>\n</body>\n</html>\n"
    return lambda _: body_reply(text.encode(), "text/html", status)


def _too_many(fault: Fault) -> Reply:
    headers = retry_after(fault.param("retry_after", 1.0), fault.param("form", "seconds"))
    return body_reply(b"<html><body><h1>Too Many Requests</h1></body></html>\n", "text/html", 429, headers=headers)


def _busy(fault: Fault) -> Reply:
    """MySQL error 1203, too many connections, as DKAN 3 answers it (facts 1.6)."""
    seconds = fault.param("retry_after", 120.0)
    headers = retry_after(seconds, fault.param("form", "none"))
    return json_reply({"message": f"Try again later after {seconds:.0f} seconds.", "code": 503}, 503, headers=headers)


ANSWERS: dict[str, Callable[[Fault], Reply]] = {
    "http_500": _page(500, "Internal Server Error"),
    "http_502": _page(502, "Bad Gateway"),
    "http_503": _busy,
    "http_504": _page(504, "Gateway Timeout"),
    "http_429": _too_many,
    "waf_403": lambda _: denied(),
    "waf_200": lambda _: denied(200),
}


class Copies:
    """Stored answers by the exact text of the URL, for as long as their maker said; 256 MiB at most."""

    def __init__(self) -> None:
        self._copies: OrderedDict[str, tuple[Reply, bytes, float, float]] = OrderedDict()  # stored at, kept until
        self._lock = threading.Lock()

    def find(self, target: str) -> Reply | None:
        """The stored answer to a URL, while it lasts."""
        with self._lock:
            reply, _, stored, until = self._copies.get(target, (None, b"", 0.0, 0.0))
        if reply is None or until < monotonic():
            return None
        return replace(reply, headers=(*reply.headers, ("Age", f"{monotonic() - stored:.0f}")))

    def keep(self, target: str, reply: Reply, body: bytes, rows: int, seconds: float) -> None:
        """Store an answer that was sent whole."""
        now = monotonic()
        copy = Reply(reply.status, reply.headers, [Data(body, rows)], reply.length, cached=True)
        with self._lock:
            self._copies[target] = (copy, body, now, now + seconds)
            while sum(len(kept) for _, kept, _, _ in self._copies.values()) > _KEPT_BYTES:
                self._copies.popitem(last=False)

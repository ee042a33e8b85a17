"""A pooled session of requests, and the values it is made from."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from etl_core import least_rate
from etl_core.errors import ConfigError, DataError
from etl_core.http.header_timeout import HeaderTimeoutAdapter
from etl_core.http.translate import readable
from etl_core.printable import without_password


@dataclass(frozen=True)
class HttpSettings:
    """Values only. ``bearer_token`` goes to the scheme, host and port of ``base_url`` only."""

    base_url: str
    user_agent: str
    bearer_token: str = field(default="", repr=False)
    pool_size: int = 8
    connect_seconds: float = 10.0
    # Without a byte, and for all headers; and how long an answer may be slower than the least rate.
    read_seconds: float = 60.0
    least_bytes_per_second: float = least_rate.BYTES_PER_SECOND
    # One answer, whatever its rate. At 2 MB/s it is 3.6 GB.
    answer_seconds: float = 1800.0
    # An answer that is held in memory, as sent and as decoded. The largest known has 8 MB.
    held_bytes: int = 64_000_000


def require_address(url: str, *, named: str) -> None:
    """Raise ``ConfigError`` unless ``url``, the value of the setting ``named``, is the address of a server."""
    with contextlib.suppress(urllib3.exceptions.LocationParseError):
        parts = urllib3.util.parse_url(url)
        if parts.scheme in ("http", "https") and parts.host and " " not in parts.host:
            return
    raise ConfigError(
        f"{named}={without_password(url)!r} is no address.", advice="It is written https://host or https://host:port."
    )


class _Session(requests.Session):
    """A session that follows redirects on its host only, where its token may go, and reads no ``.netrc``."""

    def get_redirect_target(self, response: requests.Response) -> str | None:
        target = super().get_redirect_target(response)
        if target is not None:
            response.raw.close()  # requests would read its body to the end, however long that takes
            before, after = urlsplit(str(response.url)), urlsplit(urljoin(str(response.url), target))
            if after.hostname != before.hostname or (before.scheme, after.scheme) == ("https", "http"):
                raise DataError(
                    f"GET {readable(str(response.url))} was redirected to another place: {readable(target)}.",
                    advice="A proxy or a portal may have answered; if the source has moved, set its new address.",
                )
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        before, after = urlsplit(str(response.request.url)), urlsplit(str(prepared_request.url))
        if (before.scheme, before.netloc) != (after.scheme, after.netloc):
            prepared_request.headers.pop("Authorization", None)


def make_session(settings: HttpSettings) -> requests.Session:
    """A pooled session. urllib3 retries what never reached the source: refused and lost connections."""

    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        if settings.bearer_token:
            request.headers["Authorization"] = f"Bearer {settings.bearer_token}"
        return request

    session = _Session()
    session.trust_env = True  # corporate proxies and CA bundles
    session.auth = authorize  # also where there is no token: without any, requests looks into ~/.netrc
    session.headers["User-Agent"] = settings.user_agent
    never_sent = urllib3.Retry(total=None, connect=2, read=0, status=0, other=0, redirect=3, backoff_factor=0.2)
    adapter = HeaderTimeoutAdapter(
        pool_connections=2, pool_maxsize=settings.pool_size, max_retries=never_sent, pool_block=False
    )
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session

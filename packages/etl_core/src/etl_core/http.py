"""``HttpClient``: requests over a urllib3 pool, with a budget, retries and streams.

Everything alive comes through the constructor. Foreign exceptions are translated here and
nowhere else; the URL is in every message.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

import requests
import structlog
import urllib3
from requests.adapters import HTTPAdapter

from etl_core.errors import (
    BlockedError,
    DataError,
    NotFoundError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
)
from etl_core.retry import Retry, parse_retry_after
from etl_core.telemetry import Tally, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from etl_core.budget import Budget

    Params = Sequence[tuple[str, str]]

# 256 KiB: 8 KiB reads cost 1.5 to 3 times the processor time; past 256 KiB nothing is gained
# and each of the concurrent streams holds several times this much while it is parsed.
READ_BYTES = 256 * 1024
# Error bodies are untrusted and may be long; nobody reads more of one.
ERROR_BODY_BYTES = 4096
# A parameter that no server of ours knows and every cache in front of one takes for a new question.
CACHE_KEY_PARAMETER = "fresh"
TEMPORARY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504, 520, 522, 524})
THROTTLING_STATUSES = frozenset({429, 503})

_log = structlog.get_logger()


@dataclass(frozen=True)
class HttpSettings:
    """Values only; two clients with equal settings ask alike."""

    base_url: str
    user_agent: str
    pool_size: int = 8
    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    # One answer; a stream that trickles is cut here. The largest window takes 30 s at 2 MB/s.
    answer_seconds: float = 1800.0


def make_session(settings: HttpSettings) -> requests.Session:
    """A pooled session. urllib3 retries what never reached the source: refused and lost connections."""
    session = requests.Session()
    session.trust_env = True  # corporate proxies and CA bundles
    session.headers["User-Agent"] = settings.user_agent
    never_sent = urllib3.Retry(total=None, connect=2, read=0, status=0, other=0, redirect=3, backoff_factor=0.2)
    adapter = HTTPAdapter(pool_connections=2, pool_maxsize=settings.pool_size, max_retries=never_sent, pool_block=False)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


class HttpClient:
    """One source. JSON answers are retried here; a stream is tried once and the caller decides."""

    def __init__(
        self,
        settings: HttpSettings,
        *,
        session: requests.Session,
        budget: Budget,
        retry: Retry,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        check_stop: Callable[[], None] = lambda: None,
        is_temporary: Callable[[int, str], bool] = lambda _status, _body: False,
    ) -> None:
        self._settings = settings
        self._session = session
        self._budget = budget
        self._retry = retry
        self._telemetry = telemetry
        self._clock = clock
        self._check_stop = check_stop
        self._is_temporary = is_temporary

    def get_json(self, path: str, params: Params = (), *, past_caches: bool = False, tally: Tally | None = None) -> Any:  # noqa: ANN401 - JSON
        """The parsed JSON answer; asked past caches if told so, and on every retry.

        Raises:
            NotFoundError: 404. DataError: other 4xx. UnavailableError: 429, 5xx, no connection,
            or an answer that is no JSON, after the policy's retries. BlockedError: the edge refuses us.

        """
        tally = tally if tally is not None else Tally()

        def once(attempt: int) -> Any:  # noqa: ANN401 - JSON
            past = past_caches or attempt > 1
            with self.stream(path, params, past_caches=past, tally=tally, expect="json") as answer:
                body = b"".join(answer.chunks)
            try:
                return json.loads(body)
            except (ValueError, RecursionError) as error:  # the latter from a thousand open brackets
                raise UnavailableError(
                    f"GET {readable(answer.url)} answered {len(body)} bytes that are no JSON"
                ) from error

        return self._retry.call(once, on_retry=self._on_retry(tally))

    def get_text(self, path: str, *, tally: Tally | None = None) -> str:
        """A text answer, retried as ``get_json`` is."""
        tally = tally if tally is not None else Tally()

        def once(attempt: int) -> str:
            with self.stream(path, past_caches=attempt > 1, tally=tally) as answer:
                return b"".join(answer.chunks).decode("utf-8", "replace")

        return self._retry.call(once, on_retry=self._on_retry(tally))

    def count_retry(self, tally: Tally) -> None:
        """Note that something is about to be asked again."""
        tally.retries += 1
        self._telemetry.count("source_retries_total", help_text="Requests made again")

    def _on_retry(self, tally: Tally) -> Callable[[int, TemporaryError, float], None]:
        def note(attempt: int, error: TemporaryError, wait: float) -> None:
            self.count_retry(tally)
            _log.warning("asking again", after_attempt=attempt, wait=round(wait, 1), because=str(error))

        return note

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        params: Params = (),
        *,
        past_caches: bool = False,
        tally: Tally | None = None,
        expect: str = "",
    ) -> Iterator[Answer]:
        """An open answer whose status and content type are already checked; tried once.

        ``expect`` is a part of the content type ("csv", "json"); an HTML page in its place is
        a block by the edge even with status 200.
        """
        tally = tally if tally is not None else Tally()
        url = self._settings.base_url.rstrip("/") + path
        sent = [*params, (CACHE_KEY_PARAMETER, uuid.uuid4().hex[:12])] if past_caches else list(params)
        with self._budget.slot() as taken:
            tally.requests += 1
            with _translated(url):
                response = self._session.get(
                    url,
                    params=sent,
                    stream=True,
                    timeout=(self._settings.connect_seconds, self._settings.read_seconds),
                )
            whole = False
            try:
                self._note(response)
                self._check(response, taken, expect)
                yield Answer(response.url, response.headers, self._chunks(response, tally))
                whole = response.raw.isclosed() or response.raw.closed
            finally:
                # A body that was not read to its end leaves a connection nobody can use again.
                response.close()
            if whole:
                self._budget.succeeded()

    def _chunks(self, response: requests.Response, tally: Tally) -> Iterator[bytes]:
        deadline = self._clock() + self._settings.answer_seconds
        received = 0
        while True:
            self._check_stop()
            with _translated(response.url):
                chunk = response.raw.read(READ_BYTES, decode_content=True)
            if not chunk:
                return
            received += len(chunk)
            tally.bytes += len(chunk)
            self._telemetry.count("source_bytes_total", len(chunk), help_text="Bytes of answers received")
            yield chunk
            if self._clock() > deadline:
                raise UnavailableError(
                    f"GET {readable(response.url)} was still answering after {self._settings.answer_seconds:.0f} s"
                    f" and {received} bytes"
                )

    def _note(self, response: requests.Response) -> None:
        self._telemetry.count(
            "source_requests_total",
            help_text="Requests answered, by status",
            status=str(response.status_code),
        )

    def _check(self, response: requests.Response, taken: float, expect: str) -> None:
        status = response.status_code
        content_type = response.headers.get("Content-Type", "").lower()
        if status == 200 and not (expect and "html" in content_type and expect not in content_type):
            return
        with _translated(response.url):
            body = response.raw.read(ERROR_BODY_BYTES, decode_content=True).decode("utf-8", "replace")
        said = printable(_message_of(body))
        where = f"GET {readable(response.url)} answered {status}"
        if status in (200, 403):
            why = f"{where} with a page of the source's edge: {said}" if status == 200 else f"{where}: {said}"
            self._budget.block(why)
            raise BlockedError(why, advice="Nothing more was asked. Wait an hour, then run the same command again.")
        if status in TEMPORARY_STATUSES or self._is_temporary(status, body):
            retry_after = parse_retry_after(response.headers.get("Retry-After"))
            if status in THROTTLING_STATUSES:
                self._budget.throttled(taken, retry_after)
            raise UnavailableError(f"{where}: {said}", retry_after=retry_after)
        if status == 404:
            raise NotFoundError(f"{where}: {said}")
        raise DataError(f"{where}: {said}")


@dataclass(frozen=True)
class Answer:
    """An answer under way: the URL as sent, the headers, the body in chunks of at most 256 KiB."""

    url: str
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


def printable(text: str, length: int = 300) -> str:
    """Untrusted text, shortened and without control characters, for messages."""
    flat = "".join(character if character.isprintable() else " " for character in text[:length])
    return " ".join(flat.split())


def readable(url: str) -> str:
    """A URL for people: ``conditions[0][value]=42`` in place of ``conditions%5B0%5D%5Bvalue%5D=42``."""
    return printable(unquote_plus(url), 2000)


def _message_of(body: str) -> str:
    """The ``message`` of a JSON error, or the text of anything else, a page's without its tags."""
    with contextlib.suppress(ValueError, RecursionError):
        parsed = json.loads(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("message"), str):
            return str(parsed["message"])
    return re.sub(r"<[^>]*>", " ", body)


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """Turn the exceptions of requests, urllib3 and the socket into ours."""
    url = readable(url)
    try:
        yield
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
    ) as error:
        raise DataError(f"{url} is not a URL that can be asked: {printable(str(error))}") from error
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError) as error:
        raise UnreachableError(
            f"GET {url} failed: {_root(error)}.",
            advice="Check the address and the network; behind a proxy, set HTTPS_PROXY.",
        ) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise UnavailableError(f"GET {url} failed: {_root(error)}") from error
    except ValueError as error:  # requests lets some through that come from reading where a redirect leads
        raise DataError(f"GET {url} led to what is no URL: {printable(str(error))}") from error


def _root(error: BaseException) -> str:
    """The innermost cause in words; outer layers only repeat it with object addresses."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = getattr(error, "reason", None)
        inner = (
            inner
            if isinstance(inner, BaseException)
            else next((argument for argument in error.args if isinstance(argument, BaseException)), None)
        )
        if inner is None:
            break
        error = inner
    words = re.sub(r"^HTTPS?Connection(Pool)?\([^)]*\): ", "", str(error))
    return printable(f"{type(error).__name__}: {words}")

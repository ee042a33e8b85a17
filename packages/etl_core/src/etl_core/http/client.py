"""``HttpClient``: requests over a urllib3 pool, with a budget, retries and streams.

Everything alive comes through the constructor. Foreign exceptions are translated here and
nowhere else; the URL is in every message.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from etl_core.errors import (
    AccessError,
    BlockedError,
    DataError,
    NotFoundError,
    PermanentError,
    PipelineError,
    TemporaryError,
    UnavailableError,
)
from etl_core.http.body import Body
from etl_core.http.translate import message_of, readable, translate_http_errors
from etl_core.json_text import parse_json
from etl_core.logs import get_logger
from etl_core.retry import LONGEST_WAIT_SECONDS, Retry, parse_retry_after
from etl_core.telemetry import Tally, Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import requests

    from etl_core.budget import Budget
    from etl_core.http.policy import HttpPolicy, Meaning
    from etl_core.http.session import HttpSettings

    Params = Sequence[tuple[str, str]]

# 256 KiB: 8 KiB reads cost 1.5 to 3 times the processor time; past 256 KiB nothing is gained
# and each of the concurrent streams holds several times this much while it is parsed.
READ_BYTES = 256 * 1024
# Error bodies are untrusted and may be long; nobody reads more of one.
ERROR_BODY_BYTES = 4096
PERMANENT_ERRORS: Mapping[Meaning, type[PermanentError]] = {"denied": AccessError, "not_found": NotFoundError}

T = TypeVar("T")

_log = get_logger()


@dataclass(frozen=True)
class Answer:
    """An open response: the URL as sent, the headers, the body in chunks of at most 256 KiB."""

    url: str
    headers: Mapping[str, str]
    chunks: Iterator[bytes]


class HttpClient:
    """One source. JSON and text answers are retried here; a stream is tried once and the caller decides."""

    def __init__(
        self,
        settings: HttpSettings,
        policy: HttpPolicy,
        *,
        session: requests.Session,
        budget: Budget,
        retry: Retry,
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
        check_stop: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._policy = policy
        self._session = session
        self._budget = budget
        self._retry = retry
        self._telemetry = telemetry
        self._clock = clock
        self._check_stop = check_stop

    def get_json(
        self, path: str, params: Params = (), *, bypass_cache: bool = False, tally: Tally | None = None
    ) -> Any:  # noqa: ANN401 - JSON
        """The parsed JSON answer, retried; retries bypass caches.

        Raises:
            NotFoundError, AccessError, DataError: the policy calls the answer not found, denied, permanent.
            DataError: the answer is too long, or redirects to another host. ConfigError: a certificate is not trusted.
            UnavailableError: throttled, temporary, no connection, too slow, or invalid JSON, after all retries.
            BlockedError: the policy calls the answer blocked, or it asks for a longer wait than a run makes.

        """

        def parse(answer: Answer) -> Any:  # noqa: ANN401 - JSON
            body = b"".join(answer.chunks)
            try:
                return parse_json(body)
            except ValueError as error:
                raise UnavailableError(
                    f"GET {readable(answer.url)} answered {len(body)} bytes of invalid JSON"
                ) from error

        return self._get(path, params, parse, expect="json", bypass_cache=bypass_cache, tally=tally)

    def get_text(self, path: str, *, tally: Tally | None = None) -> str:
        """The text of an answer, retried as ``get_json`` is."""
        return self._get(path, (), lambda answer: b"".join(answer.chunks).decode("utf-8", "replace"), tally=tally)

    def count_retry(self, tally: Tally) -> None:
        """Count a retry that the caller makes."""
        tally.retries += 1
        self._count("retries_total", help_text="Requests made again")

    @contextlib.contextmanager
    def stream(
        self,
        path: str,
        params: Params = (),
        *,
        bypass_cache: bool = False,
        tally: Tally | None = None,
        expect: str = "",
        at_most: int | None = None,
    ) -> Iterator[Answer]:
        """An open answer whose status and content type are already checked; tried once.

        ``expect`` is a part of the content type ("csv", "json"). An HTML page in its place is an error, also with
        status 200; the policy says which. An answer of more than ``at_most`` bytes is one, too.
        """
        tally = tally if tally is not None else Tally()
        with self._without_token(), self._stream(path, list(params), bypass_cache, tally, expect, at_most) as answer:
            yield answer

    @contextlib.contextmanager
    def _without_token(self) -> Iterator[None]:
        """A server may repeat the token in the text of an error, or in the address of a redirect."""
        try:
            yield
        except PipelineError as error:
            error.args = tuple(map(self._settings.without_token, error.args))
            raise

    @contextlib.contextmanager
    def _stream(
        self,
        path: str,
        sent: list[tuple[str, str]],
        bypass_cache: bool,
        tally: Tally,
        expect: str,
        at_most: int | None,
    ) -> Iterator[Answer]:
        url = self._settings.base_url.rstrip("/") + path
        if bypass_cache and self._policy.cache_parameter:
            sent.append((self._policy.cache_parameter, uuid.uuid4().hex[:12]))
        with self._budget.slot() as taken:
            tally.requests += 1
            with translate_http_errors(url):
                response = self._session.get(
                    url,
                    params=sent,
                    stream=True,
                    timeout=(self._settings.connect_seconds, self._settings.read_seconds),
                )
            whole = False
            try:
                self._count(
                    "requests_total", help_text="Requests answered, by status", status=str(response.status_code)
                )
                body = Body(response, self._settings, clock=self._clock, check_stop=self._check_stop, at_most=at_most)
                self._check(response, body, taken, expect)
                yield Answer(response.url, response.headers, self._chunks(body, tally))
                whole = response.raw.isclosed() or response.raw.closed
            finally:
                # A body that was not read to its end leaves a connection nobody can use again.
                response.close()
            if whole:
                self._budget.succeeded()

    def _get(
        self,
        path: str,
        params: Params,
        parse: Callable[[Answer], T],
        *,
        expect: str = "",
        bypass_cache: bool = False,
        tally: Tally | None,
    ) -> T:
        counted = tally if tally is not None else Tally()

        def once(attempt: int) -> T:
            bypass, limit = bypass_cache or attempt > 1, self._settings.held_bytes
            with self.stream(path, params, bypass_cache=bypass, tally=counted, expect=expect, at_most=limit) as answer:
                return parse(answer)

        def note(attempt: int, error: TemporaryError, wait: float) -> None:
            self.count_retry(counted)
            _log.warning("Retrying a request", after_attempt=attempt, wait=round(wait, 1), because=str(error))

        return self._retry.call(once, on_retry=note)

    def _chunks(self, body: Body, tally: Tally) -> Iterator[bytes]:
        while chunk := body.read(READ_BYTES):
            tally.bytes += len(chunk)
            self._count("bytes_total", len(chunk), help_text="Bytes of answers received")
            yield chunk

    def _count(self, name: str, amount: float = 1, *, help_text: str, **labels: str) -> None:
        self._telemetry.count(f"{self._policy.metric_prefix}_{name}", amount, help_text=help_text, **labels)

    def _check(self, response: requests.Response, of_answer: Body, taken: float, expect: str) -> None:
        status = response.status_code
        content_type = response.headers.get("Content-Type", "").lower()
        is_page = bool(expect) and "html" in content_type and expect not in content_type
        if status == 200 and not is_page:
            return
        text = ""
        with contextlib.suppress(UnavailableError):  # the status says enough
            text = of_answer.read(ERROR_BODY_BYTES).decode("utf-8", "replace")
        policy = self._policy
        meaning = policy.html_page if status == 200 else policy.meaning_of(status, text)
        what = " with an HTML page" if status == 200 else ""
        said = f"GET {readable(response.url)} answered {status}{what}: {message_of(text)}"
        message = self._settings.without_token(said)  # also where all processes read it
        advice = policy.advice.get(meaning, "")
        if meaning == "blocked":
            self._budget.block(message)
            raise BlockedError(message, advice=advice)
        if meaning in ("throttled", "temporary"):
            retry_after = parse_retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
            is_long = retry_after is not None and retry_after > LONGEST_WAIT_SECONDS
            if meaning == "throttled" or is_long:
                self._budget.throttled(taken, retry_after)
            if is_long:
                self._budget.raise_if_held_long(because=message)
            factor = policy.throttled_wait_factor if meaning == "throttled" else 1.0
            raise UnavailableError(message, advice=advice, retry_after=retry_after, wait_factor=factor)
        raise PERMANENT_ERRORS.get(meaning, DataError)(message, advice=advice)

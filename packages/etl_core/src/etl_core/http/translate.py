"""Exceptions of requests, urllib3 and the socket, and untrusted text, turned into messages of ours."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

import requests
import urllib3

from etl_core.errors import ConfigError, DataError, UnavailableError, UnreachableError
from etl_core.json_text import parse_json
from etl_core.machine import what_is_missing
from etl_core.printable import printable, without_password

if TYPE_CHECKING:
    from collections.abc import Iterator


def readable(url: str) -> str:
    """A URL for people: ``conditions[0][value]=42`` in place of ``conditions%5B0%5D%5Bvalue%5D=42``."""
    return printable(unquote_plus(url), 2000)


def message_of(body: str) -> str:
    """The ``message`` of a JSON error, or the text of anything else, a page's without its tags; printable."""
    with contextlib.suppress(ValueError):
        parsed = parse_json(body)
        if isinstance(parsed, dict) and isinstance(parsed.get("message"), str):
            return printable(parsed["message"])
    return printable(re.sub(r"<[^>]*>", " ", body))


@contextlib.contextmanager
def translate_http_errors(url: str) -> Iterator[None]:
    """Raise ``DataError``, ``UnreachableError`` or ``UnavailableError`` in place of a foreign exception."""
    try:
        yield
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.MissingSchema,
        requests.exceptions.InvalidSchema,
    ) as error:
        raise DataError(f"{readable(url)} is not a valid URL: {printable(without_password(error))}") from error
    except (requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError) as error:
        _raise_if_a_person_must_act(error, url)
        raise UnreachableError(
            f"GET {readable(url)} failed: {_root_cause(error)}.",
            advice="Check the address and the network; behind a proxy, set HTTPS_PROXY.",
        ) from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        _raise_if_a_person_must_act(error, url)
        raise UnavailableError(f"GET {readable(url)} failed: {_root_cause(error)}") from error
    except ValueError as error:  # requests lets some through that come from reading where a redirect leads
        raise DataError(f"GET {readable(url)} redirected to an invalid URL: {printable(str(error))}") from error


def _raise_if_a_person_must_act(error: Exception, url: str) -> None:
    """The machine lacks something, a certificate is not trusted, or a file of trusted ones is not there."""
    if missing := what_is_missing(error, f"get {readable(url)}"):
        raise missing from error
    cause = _root_cause(error)
    if "certificate" in cause.lower():
        raise ConfigError(
            f"GET {readable(url)} failed: {cause}.",
            advice="Set REQUESTS_CA_BUNDLE to a file with the certificates that are trusted here, as of a proxy.",
        ) from error


def _root_cause(error: BaseException) -> str:
    """The innermost cause in words; outer layers only repeat it with object addresses."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        candidates = (getattr(error, "reason", None), *error.args)
        error = next((inner for inner in candidates if isinstance(inner, BaseException)), error)
    words = re.sub(r"^HTTPS?Connection(Pool)?\([^)]*\): ", "", str(error))
    return printable(f"{type(error).__name__}: {without_password(words)}")  # of a proxy, which requests names

"""``HttpPolicy``: what the answers of one source mean, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

# blocked: stop every request to this source. throttled: slow down, then retry. temporary: retry.
# denied: credentials or permissions. not_found, permanent: a retry changes nothing.
Meaning = Literal["blocked", "throttled", "temporary", "denied", "not_found", "permanent"]

# RFC 9110, 6585 and 4918. Any other 5xx is temporary, too: a CDN has its own for a broken origin. Any other status is
# permanent.
STANDARD_STATUSES: dict[int, Meaning] = {
    401: "denied",
    403: "denied",
    404: "not_found",
    429: "throttled",
    503: "throttled",
    **dict.fromkeys((408, 421, 423, 425), "temporary"),
    **dict.fromkeys((501, 505), "permanent"),
}


@dataclass(frozen=True)
class HttpPolicy:
    """How to read the answers of one source, and how to retry there.

    ``statuses`` gives statuses other than 200 their meaning; of those it lacks, 5xx are temporary, others permanent.
    ``bodies`` overrides it where an error's body contains a text: ``(status, text, meaning)``.
    ``html_page`` is the meaning of an HTML page in place of data.
    ``advice`` says what to try, by meaning. ``throttled_wait_factor`` multiplies the wait after a throttled
    answer that names no time. ``cache_parameter`` is the query parameter that carries a random value past
    caches; without a name, none is sent. Metrics are named ``<metric_prefix>_requests_total`` and so on.
    """

    statuses: Mapping[int, Meaning] = field(default_factory=lambda: STANDARD_STATUSES)
    bodies: tuple[tuple[int, str, Meaning], ...] = ()
    html_page: Meaning = "temporary"
    advice: Mapping[Meaning, str] = field(default_factory=dict)
    throttled_wait_factor: float = 1.0
    cache_parameter: str = ""
    metric_prefix: str = "http"

    def meaning_of(self, status: int, body: str) -> Meaning:
        """The meaning of an error with this status and the start of this body."""
        for expected, text, meaning in self.bodies:
            if status == expected and text in body:
                return meaning
        return self.statuses.get(status, "temporary" if status >= 500 else "permanent")

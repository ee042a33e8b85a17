"""The CRM's API: one page, asked for once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl_core.errors import AccessError
from etl_core.http import STANDARD_STATUSES, HttpPolicy

if TYPE_CHECKING:
    from etl_core.http import HttpClient

# Only 429 says that we ask too often: then waits are twice as long.
STATUSES = STANDARD_STATUSES | {503: "temporary"}
# A thousand customers have some 300 kB. What has no end is no page.
MOST_BYTES = 64_000_000
POLICY = HttpPolicy(statuses=STATUSES, throttled_wait_factor=2.0, metric_prefix="source")


@dataclass(frozen=True)
class Api:
    """The list of customers at ``path`` of the client's address."""

    client: HttpClient
    path: str
    url: str

    def page(self, number: int, per_page: int) -> bytes:
        """The body of one page, as it came.

        Raises:
            AccessError: the token is refused; one that expires during a run is refused then.
            UnavailableError, BlockedError: no page for now. DataError, NotFoundError: no page at all.

        """
        params = (("page", str(number)), ("per_page", str(per_page)))
        try:
            with self.client.stream(self.path, params, expect="json", at_most=MOST_BYTES) as answer:
                return b"".join(answer.chunks)
        except AccessError as error:
            raise AccessError(f"API_TOKEN is refused, or has expired: {error}") from error

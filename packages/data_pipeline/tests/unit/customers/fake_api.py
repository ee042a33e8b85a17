"""The API as an object: a few customers in pages of two, and what is to go wrong."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from data_pipeline.customers.api import Api
from data_pipeline.customers.fetch import Crm
from etl_core.lake import ObjectStore
from etl_core.paging.pages import Fields
from etl_core.progress import Progress
from etl_core.retry import Retry, RetryPolicy
from etl_core.telemetry import Tally
from etl_core.testing import ManualClock

URL = "https://crm.test/api/v1/customers"


class FakeApi:
    """``failing`` gives the error for a page, if it is to fail; ``change`` alters an answer."""

    url = URL

    def __init__(self, customers: int = 5) -> None:
        self.customers = customers
        self.asked: list[int] = []
        self.retries = 0
        self.failing: Callable[[int], Exception | None] = lambda _page: None
        self.change: Callable[[dict[str, Any]], object] = lambda _answer: None

    @property
    def client(self) -> "FakeApi":
        return self

    def count_retry(self, _tally: Tally) -> None:
        self.retries += 1

    def page(self, number: int, per_page: int) -> bytes:
        self.asked.append(number)
        if error := self.failing(number):
            raise error
        first = (number - 1) * per_page
        rows = [{"id": f"C{one}"} for one in range(first, min(first + per_page, self.customers))]
        pages = -(-self.customers // per_page)
        said = {"page": number, "per_page": per_page, "total_pages": pages, "total": self.customers}
        answer = {"data": rows, "metadata": said}
        self.change(answer)
        return json.dumps(answer).encode()


class Days(ManualClock):
    """A calendar that moves when told."""

    def today(self) -> datetime:
        return datetime(2026, 11, 29, 14, 15, tzinfo=UTC) + timedelta(seconds=self.now)


def a_crm(store: ObjectStore, api: FakeApi, clock: Days | None = None, **changes: Any) -> Crm:
    clock = clock or Days()
    retry = Retry(RetryPolicy(attempts=2, first_wait_seconds=1.0), sleep=clock.sleep, clock=clock, chance=lambda: 1.0)
    values: dict[str, Any] = {
        "api": cast("Api", api), "store": store, "retry": retry, "now": clock.today, "progress": Progress(),
        "fields": Fields(rows="data", metadata="metadata", id="id"), "per_page": 2, "most_sweeps": 2,
        "give_up_after": 2,
    }  # fmt: skip
    return Crm(**values | changes)

"""A client for the sandbox that knows nothing but HTTP, and sandboxes to ask."""

from __future__ import annotations

import csv
import http.client
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from sandbox.open_payments import Sandbox, Settings

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
DATASET = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def table(self) -> list[list[str]]:
        """Header and rows, as Python's csv module reads them."""
        return list(csv.reader(io.StringIO(self.body.decode(), newline="")))

    @property
    def rows(self) -> list[list[str]]:
        return self.table[1:]

    def column(self, title: str) -> list[str]:
        place = self.table[0].index(title)
        return [row[place] for row in self.rows]


def brackets(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Nested data as PHP's query parameters."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from brackets(inner, f"{name}[{key}]" if name else key)
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from brackets(inner, f"{name}[{at}]")
    else:
        yield name, str(value).lower() if isinstance(value, bool) else str(value)


def of_payer(company: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"property": PAYER, "operator": "=", "value": company}, *more]


@dataclass
class Site:
    """A sandbox and a way to talk to it."""

    sandbox: Sandbox

    def request(self, method: str, target: str, body: Any = None, agent: str = "tests/1.0") -> Answer:
        address = urlsplit(self.sandbox.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
        try:
            data = json.dumps(body) if body is not None and not isinstance(body, bytes) else body
            connection.request(method, target, data, {"User-Agent": agent})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, target: str, agent: str = "tests/1.0", **query: Any) -> Answer:
        return self.request("GET", f"{target}?{urlencode(list(brackets(query)))}" if query else target, agent=agent)

    def post(self, target: str, body: Any) -> Answer:
        return self.request("POST", target, body)

    @property
    def distribution(self) -> str:
        return str(self.sandbox.truth(2024, "nobody")["distribution_id"])

    def query(self, **query: Any) -> Answer:
        """A query by distribution id."""
        return self.get(f"{QUERY}/{self.distribution}", **query)

    def download(self, company: str | None = None, **query: Any) -> Answer:
        """CSV by distribution id, of one payer or of all."""
        if company is not None:
            query["conditions"] = of_payer(company, *query.get("conditions", []))
        return self.get(f"{QUERY}/{self.distribution}/download", **{"format": "csv", **query})

    def count(self, **query: Any) -> int:
        return int(self.query(results=False, schema=False, **query).json["count"])


@pytest.fixture
def start() -> Iterator[Callable[..., Site]]:
    """Start a sandbox with settings of the test's own; three payers with few rows unless it says otherwise."""
    running: list[Sandbox] = []

    def started(**settings: Any) -> Site:
        if not {"first_companies", "companies", "company_rows", "scale"} & settings.keys():
            settings["company_rows"] = {LARGE: 400, SMALL: 40, TINY: 1}
        running.append(Sandbox(Settings(**settings)))
        return Site(running[-1])

    yield started
    for sandbox in running:
        sandbox.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A sandbox that no test changes."""
    with Sandbox(Settings(company_rows={LARGE: 2_500, SMALL: 300, TINY: 1, "100000009000": 0})) as sandbox:
        yield Site(sandbox)

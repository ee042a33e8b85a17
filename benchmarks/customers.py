"""Customers of a CRM: the whole command against a bare loop over the same pages, healthy and as it fails every day.

The loop asks for one page after the other, parses it and writes a CSV: it retries, proves and keeps nothing. Faults are
those of the seed's example, 14 retries in 125 pages; the waits after them are the job's own. Memory is shown for ten
times as many customers, too. ``python -m benchmarks.customers CUSTOMERS`` measures that many.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.measure import Cost, crm, query, run

CUSTOMERS, MANY = 100_000, 1_000_000
ROUNDS = 3
TOKEN = "sandbox-token"  # noqa: S105 - of the stand-in
# Seconds of work are measured, not of politeness: the waits after faults are a hundredth of what they are by default.
FIRST_WAIT = "0.01"
FAULTS = {"http_500": 0.07, "http_503": 0.02, "http_429": 0.01, "short_page": 0.002}
LOOP = "from benchmarks.customers import loop; import sys; loop(*sys.argv[1:])"


def loop(url: str, target: str) -> None:
    """Every page once, as a script does it."""
    number = pages = 1
    with Path(target).open("w", newline="") as stream:
        writer: csv.DictWriter[str] | None = None
        while number <= pages:
            address = f"{url}/api/v1/customers?page={number}&per_page=1000"
            with urlopen(Request(address, headers={"Authorization": f"Bearer {TOKEN}"})) as answer:
                page = json.load(answer)
            for row in page["data"]:
                if writer is None:
                    writer = csv.DictWriter(stream, row.keys(), restval="N/A", extrasaction="ignore")
                    writer.writeheader()
                writer.writerow(row)
            number, pages = number + 1, page["metadata"]["total_pages"]


def ingest(url: str, lake: Path) -> Cost:
    """The job, in a lake of its own."""
    return run(
        ["data-pipeline", "run", "ingest_customers"],
        API_BASE_URL=url,
        API_TOKEN=TOKEN,
        LAKE_URL=str(lake),
        API_FIRST_WAIT_SECONDS=FIRST_WAIT,
        LOG_FORMAT="json",
    )


def row_of(what: str, costs: list[Cost], against: float) -> dict[str, object]:
    """One line: medians, and what the last run says of itself."""
    wall, fact = statistics.median(cost.wall for cost in costs), json.loads(costs[-1].stdout or "{}")
    return {
        "what": what,
        "customers": fact.get("rows", ""),
        "status": fact.get("status", ""),
        "requests": fact.get("requests", ""),
        "retries": fact.get("retries", ""),
        "seconds": round(wall, 1),
        "CPU s": round(statistics.median(cost.cpu for cost in costs), 1),
        "ratio": round(wall / against, 2),
        "peak MB": round(max(cost.peak for cost in costs) / 1e6),
    }


def measured(customers: int, rounds: int) -> list[dict[str, object]]:
    """A bare loop, the job on a healthy API, the job on one that fails."""
    with tempfile.TemporaryDirectory() as name, crm(customers=customers) as url:
        folder = Path(name)
        bare = [run([sys.executable, "-c", LOOP, url, str(folder / "loop.csv")]) for _ in range(rounds)]
        healthy = [ingest(url, folder / f"healthy-{number}") for number in range(rounds)]
        for fault, probability in FAULTS.items():
            query(url, "faults", method="POST", name=fault, probability=probability)
        failing = [ingest(url, folder / f"failing-{number}") for number in range(rounds)]
    against = statistics.median(cost.wall for cost in bare)
    return [
        row_of("a bare loop", bare, against),
        row_of("ingest_customers", healthy, against),
        row_of("the same, and the API fails", failing, against),
    ]


def main() -> list[dict[str, object]]:
    """Rows for a list of the usual size, and for one ten times as long."""
    return [*measured(CUSTOMERS, ROUNDS), *measured(MANY, 1)]


if __name__ == "__main__":
    for row in measured(int(sys.argv[1]), 1):
        print(row)

"""One large company over 8 streams of 3.75 MB/s: the whole command against the time its bytes take on the wire.

Beside it what the source has to do: rows scanned, skipped and returned by all requests of the command, against offset
pages of 5,000. The payer is indexed, the payment date is not: each window scans all rows of the payer.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, query, run_job, sandbox

YEAR, COMPANY = "2024", "100000000053"
SIZES = (300_000, 1_700_000)  # rows; the largest company of 2024 has 1.7 million
STREAMS, BYTES_PER_SECOND = 8, 3_750_000
ROUNDS = 3
PAGE_ROWS = 5_000


def download(url: str, lake: Path) -> Cost:
    return run_job(url, lake, "download_company", "--", "--year", YEAR, "--company-id", COMPANY)


def rows_touched(summary: dict[str, int]) -> int:
    return sum(int(summary[f"rows_{work}"]) for work in ("scanned", "skipped", "returned"))


def rows_touched_by_offset_pages(rows: int) -> int:
    """Each page skips what precedes it and returns its rows; that it sorts the whole slice is not counted."""
    return sum(range(0, rows, PAGE_ROWS)) + rows


def measured(rows: int) -> dict[str, object]:
    """Medians for a company of so many rows."""
    settings = {"years": [int(YEAR)], "company_rows": {COMPANY: rows}}
    with tempfile.TemporaryDirectory() as name, sandbox(**settings) as url:
        lakes = [Path(name) / str(number) for number in range(ROUNDS + 1)]
        download(url, lakes.pop())  # the sandbox generates rows when they are first requested
        query(url, "settings", method="POST", bytes_per_second_per_stream=BYTES_PER_SECOND)
        query(url, "ledger", method="DELETE")
        costs = [download(url, lake) for lake in lakes]
        touched = rows_touched(query(url, "ledger/summary")) // ROUNDS
        parts = [path.stat().st_size for path in lakes[0].glob("raw/**/*.csv")]
    wall = statistics.median(cost.wall for cost in costs)
    wire = sum(parts) / (STREAMS * BYTES_PER_SECOND)
    return {
        "rows": rows,
        "windows": len(parts),
        "MB": round(sum(parts) / 1e6),
        "seconds": round(wall, 1),
        "wire s": round(wire, 1),
        "ratio": round(wall / wire, 2),
        "peak MB": round(max(cost.peak for cost in costs) / 1e6),
        "rows touched": touched,
        "offset pages touch, times": round(rows_touched_by_offset_pages(rows) / touched, 1),
    }


def main() -> list[dict[str, object]]:
    """A row per size."""
    return [measured(rows) for rows in SIZES]

"""What the source has to do for a company of 300,000 rows: windows against offset pages of 5,000.

The sandbox's ledger counts rows skipped by an offset, scanned by a filter on a column without an
index, sorted, and returned. The payer is indexed, the payment date is not, so every window
scans the payer's rows once.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.download import LARGE, YEAR, fetch_with_us
from benchmarks.measure import sandbox

ROWS = 300_000


def main() -> list[dict[str, object]]:
    """The ledger's sums for both strategies, the same slice."""
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as name, sandbox(years=[2024], company_rows={LARGE: ROWS}) as url:
        for strategy in ("window", "pages"):
            urlopen(Request(f"{url}/_sandbox/ledger", method="DELETE")).close()
            words = ["download_company", "--", "--year", YEAR, "--company-id", LARGE, "--strategy", strategy]
            fetch_with_us(url, words, Path(name) / strategy)
            with urlopen(f"{url}/_sandbox/ledger/summary") as answer:
                summary = json.load(answer)
            work = {key: int(summary[f"rows_{key}"]) for key in ("returned", "skipped", "scanned", "sorted")}
            rows.append({"strategy": strategy, "requests": summary["requests"], **work})
        pages = range(0, ROWS, 5000)
        # The seeds' way: pages of the whole slice, sorted so that they are a cut at all.
        rows.append(
            {
                "strategy": "offset pages of the whole slice",
                "requests": len(pages),
                "returned": ROWS,
                "skipped": sum(pages),
                "scanned": 0,
                "sorted": ROWS * len(pages),
            }
        )
    for row in rows:
        row["skipped+scanned+returned"] = sum(int(str(row[key])) for key in ("skipped", "scanned", "returned"))
    return rows

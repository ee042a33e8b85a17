"""What the source has to do for one company, by its size: windows against offset pages of 5,000.

The sandbox's ledger counts rows skipped by an offset, scanned by a filter on a column without an
index, sorted, and returned. The payer is indexed, the payment date is not, so every window
scans the payer's rows once.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.download import LARGE, YEAR, fetch_with_us
from benchmarks.measure import asked, sandbox

ROWS = (60_000, 150_000, 300_000, 600_000, 1_200_000)
# The same windows as sorted pages, which a source that cuts long answers would force: one size tells enough.
ROWS_IN_PAGES = 300_000


def measured(url: str, lake: Path, company_id: str, strategy: str) -> dict[str, object]:
    """The ledger's sums for one company fetched, all requests of the command included."""
    asked(url, "ledger", method="DELETE")
    words = ["download_company", "--", "--year", YEAR, "--company-id", company_id, "--strategy", strategy]
    fetch_with_us(url, words, lake)
    summary = asked(url, "ledger/summary")
    return {"requests": summary["requests"]} | {
        key: int(summary[f"rows_{key}"]) for key in ("returned", "skipped", "scanned", "sorted")
    }


def offset_pages(rows: int) -> dict[str, object]:
    """The seeds' way: pages of the whole slice, sorted so that they are a cut at all."""
    pages = range(0, rows, 5000)
    work = {"returned": rows, "skipped": sum(pages), "scanned": 0, "sorted": rows * len(pages)}
    return {"requests": len(pages), **work}


def main() -> list[dict[str, object]]:
    """A row per size and way; ``times`` is how often as much the offset pages of that size touch."""
    found: list[dict[str, object]] = []
    companies = {str(int(LARGE) + number): rows for number, rows in enumerate(ROWS)}
    with tempfile.TemporaryDirectory() as name, sandbox(years=[2024], company_rows=companies) as url:
        for company_id, rows in companies.items():
            ways = [("windows", measured(url, Path(name) / company_id, company_id, "window"))]
            if rows == ROWS_IN_PAGES:
                ways.append(("windows in pages", measured(url, Path(name) / "pages", company_id, "pages")))
            ways.append(("offset pages", offset_pages(rows)))
            found += [{"rows": rows, "way": way, **work} for way, work in ways]
    for one in found:
        one["touched"] = sum(int(str(one[key])) for key in ("skipped", "scanned", "returned"))
    most = {str(one["rows"]): int(str(one["touched"])) for one in found if one["way"] == "offset pages"}
    return [one | {"times": round(most[str(one["rows"])] / int(str(one["touched"])), 1)} for one in found]

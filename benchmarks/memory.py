"""Peak memory of the process for a company of 300,000 rows and of 1.7 million."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.download import LARGE, YEAR, fetch_with_us
from benchmarks.measure import sandbox


def main() -> list[dict[str, object]]:
    """Each size in a sandbox and a lake of its own."""
    rows: list[dict[str, object]] = []
    for size in (1_000, 300_000, 1_700_000):
        with tempfile.TemporaryDirectory() as name, sandbox(years=[2024], company_rows={LARGE: size}) as url:
            words = ["download_company", "--", "--year", YEAR, "--company-id", LARGE]
            cost = fetch_with_us(url, words, Path(name))
            rows.append({"rows": size, "wall s": round(cost.wall, 1), "peak MB": round(cost.peak / 1e6)})
    return rows

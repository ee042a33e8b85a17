"""The same windows with this tool and with ``curl --parallel`` plus a hash, with the same number of streams."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import Cost, query, run, run_job, sandbox

YEAR, STREAMS = "2024", 8
LARGE, LARGE_ROWS = "100000000053", 1_260_000  # 21 windows
SMALL_COMPANIES, SMALL_SCALE = 300, 0.2
BYTES_PER_SECOND = 30e6  # over all streams: what users of the real source reach with 8


def audits_in(lake: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(lake.glob("metadata/audits/**/part-*.json"))]


def fetch_with_curl(urls: list[str], folder: Path) -> Cost:
    """The same requests, eight at a time, then a hash of every file."""
    folder.mkdir()
    config = folder / "urls"
    config.write_text("".join(f'url = "{url}"\noutput = "{folder}/{n}.csv"\n' for n, url in enumerate(urls)))
    script = (
        f"curl --silent --fail --globoff --parallel --parallel-max {STREAMS} --config {config}"
        f" && find {folder} -name '*.csv' -print0 | xargs -0 sha256sum > {folder}/hashes"
    )
    return run(["sh", "-c", script])


def compare(case: str, url: str, words: list[str], folder: Path, *, paced: bool) -> dict[str, object]:
    """Both in turn; curl fetches the URLs that our audits name."""
    query(url, "settings", method="POST", bytes_per_second=None)
    run_job(url, folder / "first", *words)  # the sandbox generates rows when they are first requested
    query(url, "settings", method="POST", bytes_per_second=BYTES_PER_SECOND if paced else None)
    query(url, "ledger", method="DELETE")
    ours = run_job(url, folder / "lake", *words)
    requests = int(query(url, "ledger/summary")["requests"])
    audits = audits_in(folder / "lake")
    theirs = fetch_with_curl([audit["url"] for audit in audits], folder / "curl")
    size = sum(path.stat().st_size for path in (folder / "curl").glob("*.csv"))
    if size != (fetched := sum(audit["bytes"] for audit in audits)):
        raise SystemExit(f"{case}: {fetched} bytes by us, {size} by curl")
    return {
        "case": case,
        "MB": round(size / 1e6),
        "windows": len(audits),
        "requests per slice": round(requests / len({audit["company_id"] for audit in audits}), 2),
        "ours s": round(ours.wall, 2),
        "curl s": round(theirs.wall, 2),
        "ratio": round(ours.wall / theirs.wall, 2),
        "ours CPU s/GB": round(ours.cpu / size * 1e9, 1),
        "curl CPU s/GB": round(theirs.cpu / size * 1e9, 1),
        "peak MB": round(ours.peak / 1e6),
    }


def main() -> list[dict[str, object]]:
    """Large paced, large unpaced, many small paced."""
    large = ["download_company", "--", "--year", YEAR, "--company-id", LARGE]
    small = ["run_pipeline", "--", "--year", YEAR, "--max-files", str(SMALL_COMPANIES)]
    few = f"{SMALL_COMPANIES} companies at {SMALL_SCALE} of their size, paced"
    rows: list[dict[str, object]] = []
    with sandbox(years=[int(YEAR)], company_rows={LARGE: LARGE_ROWS}) as url:
        for case, paced in (("one company, paced 30 MB/s", True), ("one company, unpaced", False)):
            with tempfile.TemporaryDirectory() as name:
                rows.append(compare(case, url, large, Path(name), paced=paced))
    with (
        sandbox(years=[int(YEAR)], scale=SMALL_SCALE, first_companies=SMALL_COMPANIES) as url,
        tempfile.TemporaryDirectory() as name,
    ):
        rows.append(compare(few, url, small, Path(name), paced=True))
    return rows

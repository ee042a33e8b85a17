"""The same windows with this tool and with ``curl --parallel`` plus a hash, same concurrency, in one run."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import Cost, asked, run, run_measuring_memory, sandbox

YEAR, STREAMS = "2024", 8
LARGE = "100000000053"
LARGE_ROWS = 1_260_000  # 21 windows
SMALL_COMPANIES = 300
PACE = 30e6  # bytes a second over all streams: what users of the real source reach with 8


def windows_in(lake: Path) -> list[dict[str, object]]:
    """The audits of every part in a lake."""
    return [json.loads(path.read_text()) for path in sorted(lake.glob("metadata/audits/**/part-*.json"))]


def fetch_with_curl(audits: list[dict[str, object]], folder: Path) -> Cost:
    """The requests of the audits, eight at a time, then one hash of all files."""
    config = folder / "urls"
    lines = []
    for number, audit in enumerate(audits):
        lines += [f'url = "{audit["url"]}"', f'output = "{folder}/{number}.csv"']
    config.write_text("\n".join(lines) + "\n")
    script = (
        f"curl --silent --fail --globoff --parallel --parallel-max {STREAMS} --config {config}"
        f" && find {folder} -name '*.csv' -print0 | xargs -0 sha256sum > {folder}/hashes"
    )
    cost = run(["sh", "-c", script])
    if len((folder / "hashes").read_text().splitlines()) != len(audits):
        raise SystemExit("curl fetched another number of files")
    return cost


def fetch_with_us(url: str, words: list[str], lake: Path) -> Cost:
    """One run into an empty lake."""
    shutil.rmtree(lake, ignore_errors=True)
    return run_measuring_memory(
        ["data-pipeline", "run", *words], OPEN_PAYMENTS_URL=url, LAKE_URL=str(lake), LOG_FORMAT="json"
    )


def switch(url: str, **settings: object) -> None:
    """Change the sandbox's settings while it runs."""
    asked(url, "settings", method="POST", **settings)


def requests_made(url: str) -> int:
    """Requests in the sandbox's ledger."""
    return int(asked(url, "ledger/summary")["requests"])


def compare(title: str, url: str, words: list[str], folder: Path, *, paced: bool) -> dict[str, object]:
    """Both, in turn; curl fetches the very URLs that our audits name."""
    switch(url, bytes_per_second=None)
    lake = folder / "lake"
    fetch_with_us(url, words, lake)  # generates the rows, and gives the URLs
    audits = windows_in(lake)
    switch(url, bytes_per_second=PACE if paced else None)
    before = requests_made(url)
    ours = fetch_with_us(url, words, lake)
    requests = requests_made(url) - before
    target = folder / "curl"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    theirs = fetch_with_curl(audits, target)
    size = sum(path.stat().st_size for path in target.glob("*.csv"))
    fetched = sum(int(str(audit["bytes"])) for audit in windows_in(lake))
    if fetched != size:
        raise SystemExit(f"{title}: {fetched} bytes by us, {size} by curl")
    row: dict[str, object] = {
        "case": title,
        "MB": round(size / 1e6),
        "windows": len(audits),
        "requests per slice": round(requests / len({str(audit["company_id"]) for audit in audits}), 2),
        "ours s": round(ours.wall, 2),
        "curl s": round(theirs.wall, 2),
        "ratio": round(ours.wall / theirs.wall, 2),
        "ours CPU s/GB": round(ours.cpu / size * 1e9, 1),
        "curl CPU s/GB": round(theirs.cpu / size * 1e9, 1),
        "peak MB": round(ours.peak / 1e6),
    }
    return row


def main() -> list[dict[str, object]]:
    """Large paced, large unpaced, many small paced."""
    rows: list[dict[str, object]] = []
    large = ["download_company", "--", "--year", YEAR, "--company-id", LARGE]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with sandbox(years=[2024], company_rows={LARGE: LARGE_ROWS}) as url:
            rows.append(compare("one company, paced 30 MB/s", url, large, folder, paced=True))
            rows.append(compare("one company, unpaced", url, large, folder, paced=False))
        with sandbox(years=[2024], scale=0.2, first_companies=SMALL_COMPANIES) as url:
            small = ["run_pipeline", "--", "--year", YEAR, "--max-files", str(SMALL_COMPANIES)]
            rows.append(compare(f"{SMALL_COMPANIES} companies of real sizes/5, paced", url, small, folder, paced=True))
    return rows

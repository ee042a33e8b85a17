"""One company as dlt's REST source pages it, and as this tool fetches and proves it."""

from __future__ import annotations

import csv
import gzip
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import installed, query, run_job, sandbox

YEAR, COMPANY, ROWS = 2024, "100000000053", 30_000
DLT = "dlt==1.31.0"
# One stream of the real source, and what an offset and a sort cost there.
PACE = {
    "bytes_per_second_per_stream": 2e6,
    "latency_seconds": 0.15,
    "seconds_per_million_skipped": 7.7,
    "seconds_per_million_sorted": 10.0,
}
# Shares of the requests; the real source has each of these faults.
FAULTS = {"http_500": 0.02, "reset": 0.02, "wrong_count": 0.01}
# As dlt's documentation pages an API: by offset, the API's largest page, the total from the answer.
PROGRAM = """
import json, sys
import dlt
from dlt.sources.rest_api import rest_api_source

url, distribution_id, company, folder, sort = sys.argv[1:]
params = {
    "conditions[0][property]": "applicable_manufacturer_or_applicable_gpo_making_payment_id",
    "conditions[0][value]": company,
    "conditions[0][operator]": "=",
}
if sort:
    params |= {"sorts[0][property]": sort, "sorts[0][order]": "asc"}
source = rest_api_source({
    "client": {"base_url": url, "paginator": {"type": "offset", "limit": 500, "total_path": "count"}},
    "resources": [{
        "name": "payments",
        "endpoint": {
            "path": f"api/1/datastore/query/{distribution_id}", "data_selector": "results", "params": params,
        },
    }],
})
destination = dlt.destinations.filesystem(f"file://{folder}/files")
pipeline = dlt.pipeline("payments", destination=destination, pipelines_dir=f"{folder}/state")
pipeline.run(source, loader_file_format="jsonl")
"""


@dataclass(frozen=True)
class Fetched:
    """What one tool wrote, and its exit status."""

    seconds: float
    status: int
    ids: list[str]


def with_dlt(python: Path, url: str, truth: dict[str, Any], folder: Path, sort: str) -> Fetched:
    words = [str(python), "-c", PROGRAM, url, truth["distribution_id"], COMPANY, str(folder), sort]
    quiet = os.environ | {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
    started = time.monotonic()
    done = subprocess.run(words, cwd=folder, env=quiet, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - started
    ids = []
    for path in folder.glob("files/*/payments/*.jsonl*"):
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
            ids += [json.loads(line)["record_id"] for line in lines]
    return Fetched(seconds, done.returncode, ids)


def with_us(url: str, folder: Path) -> Fetched:
    lake = folder / "lake"
    cost = run_job(url, lake, "download_company", "--", "--year", str(YEAR), "--company-id", COMPANY)
    ids = []
    for path in lake.glob("raw/**/*.csv"):
        with path.open(encoding="utf-8", newline="") as stream:
            ids += [row["Record_ID"] for row in csv.DictReader(stream)]
    return Fetched(cost.wall, 0, ids)


def compare(case: str, url: str, python: Path, folder: Path) -> list[dict[str, object]]:
    """All three in turn, each against the ids that the sandbox holds."""
    truth = query(url, f"truth?year={YEAR}&company_id={COMPANY}&ids=true")
    held = set(truth["companies"][COMPANY]["ids"])
    ways: dict[str, Callable[[Path], Fetched]] = {
        "dlt, as documented": lambda folder: with_dlt(python, url, truth, folder, ""),
        "dlt, with a sort": lambda folder: with_dlt(python, url, truth, folder, "record_id"),
        "ours": lambda folder: with_us(url, folder),
    }
    rows: list[dict[str, object]] = []
    for name, fetch in ways.items():
        place = Path(tempfile.mkdtemp(dir=folder))
        query(url, "ledger", method="DELETE")
        found = fetch(place)
        cost = query(url, "ledger/summary")
        rows.append(
            {
                "case": case,
                "way": name,
                "seconds": round(found.seconds, 1),
                "status": found.status,
                "rows": len(found.ids),
                "missing": len(held - set(found.ids)),
                "duplicated": len(found.ids) - len(set(found.ids)),
                "requests": cost["requests"],
                "rows skipped and sorted by the source": cost["rows_skipped"] + cost["rows_sorted"],
            }
        )
    for row in rows:
        row["of ours"] = round(float(str(row["seconds"])) / float(str(rows[-1]["seconds"])), 1)
    return rows


def main() -> list[dict[str, object]]:
    """Without faults and with some."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = installed(DLT, folder / "venv") / "python"
        with sandbox(years=[YEAR], company_rows={COMPANY: ROWS}, **PACE) as url:
            rows = compare("healthy", url, python, folder)
            for fault, probability in FAULTS.items():
                query(url, "faults", method="POST", name=fault, probability=probability)
            return rows + compare("5 % faults", url, python, folder)

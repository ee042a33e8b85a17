"""What each command costs in a lake of few runs and in one of many: nothing may grow with the number of runs.

In a folder: 50 and 500 runs of a whole year of 1,735 slices, and 50 and 50,000 runs of one company. On an S3 server
that answers after 30 ms: 50 and 5,000 runs of one company.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.request import Request, urlopen

from benchmarks.lakes import OPEN, PARTIAL, SEED, Shape, UnsyncedStore, fill
from benchmarks.measure import query, run, sandbox
from benchmarks.upload import LATENCY, SETTINGS, YEAR, requests_so_far, s3_server, set_latency
from etl_core.lake import open_store

SIZES: Mapping[Shape, tuple[int, int]] = {"whole years": (50, 500), "small runs": (50, 50_000)}
SIZES_ON_S3 = (50, 5_000)
COMPANIES_ON_S3 = 6
# An object that nothing names, of a release that no run is of.
ORPHAN = f"raw/dataset=general-payments/year={YEAR}/release=2019-06-30-00000000/company_id=1/part-1-of-1.csv"


def commands(companies: list[str], other: str) -> dict[str, list[str]]:
    """Every command that a user runs on such a lake; those that write, each write a run of their own."""
    seed, first, new = ["--max-files", str(len(companies) - 2)], companies[0], companies[-2]

    def job(name: str, *words: str) -> list[str]:
        return ["data-pipeline", "run", name, "--", *words]

    return {
        "status of the newest": job("status"),
        "status": job("status", "--run-id", SEED),
        "already done": job("run_pipeline", "--year", YEAR, *seed),
        "verify": job("verify", "--run-id", SEED),
        "diff_releases": job("diff_releases", "--year", YEAR),
        "gc": job("gc"),
        "gc with an orphan": job("gc", "--older-than-hours", "0"),
        "upload_raw": job("upload_raw", "--run-id", SEED, "--to", other),
        "download_company": job("download_company", "--year", YEAR, "--company-id", first),
        "new selection": job("run_pipeline", "--year", YEAR, "--company-id", new),
        "rerun --failed": job("rerun", "--run-id", PARTIAL, "--failed"),
        "write_manifest": job("write_manifest", "--run-id", OPEN),
    }


def measure(lake: str, other: str, companies: list[str], source: str, server: str = "") -> list[dict[str, object]]:
    """Each command in one lake."""
    rows: list[dict[str, object]] = []
    for case, words in commands(companies, other).items():
        before = requests_so_far(server) if server else 0
        cost = run(words, LAKE_URL=lake, OPEN_PAYMENTS_URL=source, LOG_FORMAT="json")
        rows.append(
            {
                "case": case,
                "status": json.loads(cost.stdout)["status"],
                "wall s": round(cost.wall, 2),
                "CPU s": round(cost.cpu, 2),
                "peak MB": round(cost.peak / 1e6),
                "requests": requests_so_far(server) - before - 1 if server else "",
            }
        )
    return rows


def seed(lake: str, companies: list[str], source: str) -> None:
    """The run that the others are copies of: all companies but two."""
    words = ["run_pipeline", "--", "--year", YEAR, "--max-files", str(len(companies) - 2), "--run-id", SEED]
    run(["data-pipeline", "run", *words], LAKE_URL=lake, OPEN_PAYMENTS_URL=source, LOG_FORMAT="json")


def in_folders(
    folder: Path, companies: list[str], sizes: Mapping[Shape, tuple[int, ...]], source: str
) -> list[dict[str, object]]:
    """Each command in each lake of a folder."""
    rows: list[dict[str, object]] = []
    seed(str(folder / "seed"), companies, source)
    for shape, numbers in sizes.items():
        for number in numbers:
            lake = folder / "lake"
            shutil.copytree(folder / "seed", lake)
            fill(UnsyncedStore(lake), shape, number, companies[-1])
            (lake / ORPHAN).parent.mkdir(parents=True)
            (lake / ORPHAN).touch()
            found = measure(str(lake), str(folder / "other"), companies, source)
            rows += [{"lake": f"folder, {shape}", "runs": number, **row} for row in found]
            for name in (lake, folder / "other"):
                shutil.rmtree(name)
    return rows


def on_s3(companies: list[str], runs: int, source: str) -> list[dict[str, object]]:
    """Each command in a lake of small runs on S3."""
    with s3_server(0) as server:
        urlopen(Request(f"{server}/bucket", method="PUT")).close()
        os.environ["AWS_ENDPOINT_URL"] = server
        seed("s3://bucket/lake", companies, source)
        store = open_store("s3://bucket/lake")
        fill(store, "small runs", runs, companies[-1])
        store.put(ORPHAN, b"")
        store.close()
        set_latency(server, LATENCY)
        found = measure("s3://bucket/lake", "s3://bucket/other", companies, source, server)
    return [{"lake": "S3, 30 ms, small runs", "runs": runs, **row} for row in found]


def main() -> list[dict[str, object]]:
    """Side by side: each case with few runs and with many."""
    os.environ.update(SETTINGS)
    rows: list[dict[str, object]] = []
    with (
        tempfile.TemporaryDirectory() as name,
        sandbox(years=[int(YEAR)], scale=0.0005) as source,
    ):
        companies = sorted(query(source, f"truth?year={YEAR}")["companies"])
        rows += in_folders(Path(name), companies, SIZES, source)
    with sandbox(years=[int(YEAR)], scale=0.02, first_companies=COMPANIES_ON_S3) as source:
        companies = sorted(query(source, f"truth?year={YEAR}")["companies"])
        for runs in SIZES_ON_S3:
            rows += on_s3(companies, runs, source)
    return sorted(rows, key=lambda row: (str(row["lake"]), str(row["case"]), int(str(row["runs"]))))

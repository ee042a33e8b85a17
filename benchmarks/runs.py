"""What a command costs in a lake of 50 runs and in one of 5,000: nothing may grow with the number of runs.

Measured are a command that finds its run completed, one with a selection that is new to the lake, and
``status`` of the newest run; in a folder, and on an S3 server that answers after 30 ms.
"""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from benchmarks.measure import query, run, sandbox
from benchmarks.upload import LATENCY, SETTINGS, YEAR, requests_so_far, s3_server, set_latency
from data_pipeline.open_payments.ledger import committed
from data_pipeline.open_payments.ledger.plans import require_plan
from data_pipeline.runs import commit, plans
from etl_core.lake import open_store

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore

SIZES = (50, 5_000)
WRITERS = 8


def fill(store: ObjectStore, runs: int) -> None:
    """Copies of the run ``seed`` as runs of other selections, each planned a minute before the last."""
    seed = committed.open_run(store, "seed")
    plan, lines = require_plan(store, "seed"), b"".join(part.to_bytes() for part in seed.parts())

    def copy(number: int) -> None:
        earlier = timedelta(minutes=number)
        selection = plan.selection.model_copy(update={"company_id": None, "max_files": number})
        changes = {"run_id": f"copy-{number}", "selection": selection, "created_at": plan.created_at - earlier}
        plans.write_plan(store, plan.model_copy(update=changes))
        manifest = seed.manifest.model_copy(update={**changes, "finished_at": seed.manifest.finished_at - earlier})
        commit.commit(store, manifest, lambda one: {f"metadata/runs/run_id={one.run_id}/file_audits.jsonl": lines})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(copy, range(1, runs)))


def measure(
    lake: str, size: int, companies: list[str], server: str = "", **environment: str
) -> list[dict[str, object]]:
    """The three commands in one lake, which holds ``size`` runs and no others."""
    here: dict[str, Any] = {"LAKE_URL": lake, "LOG_FORMAT": "json", **environment}
    pipeline = ["data-pipeline", "run", "run_pipeline", "--", "--year", YEAR]
    run([*pipeline, "--company-id", companies[0], "--run-id", "seed"], **here)
    store = open_store(lake)
    fill(store, size)
    store.close()
    if server:
        set_latency(server, LATENCY)
    rows: list[dict[str, object]] = []
    for case, words in (
        ("already done", [*pipeline, "--company-id", companies[0]]),
        ("new selection", [*pipeline, "--company-id", companies[1]]),
        ("status", ["data-pipeline", "run", "status"]),
    ):
        before = requests_so_far(server) if server else 0
        cost = run(words, **here)
        requests = requests_so_far(server) - before - 1 if server else ""
        rows.append(
            {
                "lake": "S3, 30 ms" if server else "folder",
                "case": case,
                "status": json.loads(cost.stdout)["status"],
                "runs": size,
                "wall s": round(cost.wall, 2),
                "CPU s": round(cost.cpu, 2),
                "peak MB": round(cost.peak / 1e6),
                "requests": requests,
            }
        )
    return rows


def main() -> list[dict[str, object]]:
    """Side by side: each case with few runs and with many."""
    os.environ.update(SETTINGS)
    rows: list[dict[str, object]] = []
    with sandbox(years=[int(YEAR)], scale=0.02, first_companies=6) as source:
        companies = sorted(query(source, f"truth?year={YEAR}")["companies"])
        for size in SIZES:
            with tempfile.TemporaryDirectory() as name:
                rows += measure(str(Path(name) / "lake"), size, companies, OPEN_PAYMENTS_URL=source)
            with s3_server(0) as server:
                urlopen(Request(f"{server}/bucket", method="PUT")).close()
                os.environ["AWS_ENDPOINT_URL"] = server
                rows += measure("s3://bucket/lake", size, companies, server, OPEN_PAYMENTS_URL=source)
    return sorted(rows, key=lambda row: (str(row["lake"]), str(row["case"]), int(str(row["runs"]))))

"""DuckDB and Spark on the same rows of one lake: stage and build_curated, each as a process of its own."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from benchmarks.lakehouse import fetched
from benchmarks.lakes import SEED
from benchmarks.measure import run
from tools import isolated

if TYPE_CHECKING:
    from pathlib import Path

ENGINES = ("duckdb", "spark")
COMPANIES, SCALE = 200, 0.05


def main() -> list[dict[str, object]]:
    """Each job with each engine, and Spark's cost as a multiple of DuckDB's."""
    libraries = next(isolated.program("spark").parents[1].glob("lib/*/site-packages"))
    rows: list[dict[str, object]] = []
    with fetched(COMPANIES, SCALE) as lake:
        for engine in ENGINES:
            copy = lake.folder / engine
            shutil.copytree(lake.store.root, copy)
            rows += [_measured(job, engine, copy, libraries) for job in ("stage", "build_curated")]
    ours = {one["job"]: one for one in rows if one["engine"] == ENGINES[0]}
    return [
        {
            **one,
            "ratio of CPU": f"{_number(one, 'CPU s') / _number(ours[one['job']], 'CPU s'):.1f}",
            "ratio of time": f"{_number(one, 'seconds') / _number(ours[one['job']], 'seconds'):.1f}",
        }
        for one in rows
    ]


def _measured(job: str, engine: str, lake: Path, libraries: Path) -> dict[str, object]:
    words = ["data-pipeline", "run", job, "--", "--run-id", SEED, "--engine", engine, "--lake", str(lake)]
    cost = run(words, PYTHONPATH=str(libraries) if engine == "spark" else "")
    return {
        "job": job,
        "engine": engine,
        "rows": json.loads(cost.stdout.splitlines()[-1])["rows"],
        "seconds": round(cost.wall, 1),
        "CPU s": round(cost.cpu, 1),
        "peak MB": round(cost.peak / 1e6),
    }


def _number(row: dict[str, object], column: str) -> float:
    return float(str(row[column]))

"""A year in one process and fanned out under the same ceiling; what a fan-out asks of the API server.

The cluster is the sandbox's stand-in: its pods are real processes on this machine, so what is
compared is planning, claiming, waiting and looking, not a cloud's nodes. What the ways take with
50 streams is predicted here for a whole year (``fan_out.shapes``); ``lifted`` measures a quarter of it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from benchmarks.download import YEAR, requests_made
from benchmarks.measure import BIN, asked, sandbox
from data_pipeline import lake_layout
from data_pipeline.fan_out.shapes import Rates, predict, units_of
from data_pipeline.open_payments.ledger.documents import PlannedCompany, Release, SliceAudit
from sandbox.cluster import Cluster, ClusterSettings, Instant
from sandbox.open_payments import Settings
from sandbox.open_payments.companies import directory

STREAMS = 8
SCALE = 0.05  # 0.8 million rows in all 1,735 companies
# 2 MB/s a stream and 0.15 s a request: the source as users meet it, at a tenth of its size.
PACED = {"bytes_per_second_per_stream": 2e6, "latency_seconds": 0.15}
UNITS = (2_000, 10_000)
IMAGE = "etl-data-pipeline"
ACCOUNTS = ("data-pipeline-worker",)
# The ceiling lifted: 50 streams of 1,000 rows a second (572 bytes each), pods that take 15 s to start.
LIFTED = Rates(bytes_per_second=572_000, seconds_per_request=0.5, pod_start_seconds=15.0)
MANY = 50


def run_beside(words: list[str], **environment: str) -> tuple[float, dict[str, Any], int]:
    """Wall seconds, the fact, and the peak resident memory in bytes of one command."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [str(BIN / "data-pipeline"), "run", *words],
            env=os.environ | environment | {"LOG_FORMAT": "json"}, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        stdout = process.stdout.read() if process.stdout else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{words[0]} ended with {process.returncode}:\n{errors.read()[-2000:].decode()}")
    return time.monotonic() - started, json.loads(stdout), usage.ru_maxrss * 1024


def use_of_ceiling(url: str, since: int) -> tuple[int, float]:
    """The most requests at once, and the share of the ceiling used from the first rows to the last twentieth."""
    entries = [entry for entry in asked(url, "ledger")[since:] if entry["ended"]]
    rows = [entry for entry in entries if "/download" in entry["target"]]
    begin, end = min(one["started"] for one in rows), max(one["ended"] for one in rows)
    end = begin + 0.95 * (end - begin)
    busy = sum(max(0.0, min(one["ended"], end) - max(one["started"], begin)) for one in entries)
    edges = sorted([(one["started"], 1) for one in entries] + [(one["ended"], -1) for one in entries])
    at_once = most = 0
    for _, step in edges:
        at_once += step
        most = max(most, at_once)
    return most, busy / (STREAMS * (end - begin))


class PodClock:
    """Adds up how long pods run, by looking at the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stop = threading.Event()
        self._seen: dict[str, list[float]] = {}
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def hours(self) -> float:
        return sum(times[1] - times[0] for times in self._seen.values()) / 3600

    @property
    def pods(self) -> int:
        return len(self._seen)

    @property
    def longest(self) -> float:
        """Seconds of the pod that was there longest, from its making."""
        return max(times[1] - times[0] for times in self._seen.values())

    def _look(self) -> None:
        while not self._stop.wait(0.2):
            for pod in self._cluster.pods():
                if pod["status"].get("phase") in ("Pending", "Running"):
                    now = time.monotonic()
                    self._seen.setdefault(pod["metadata"]["name"], [now, now])[1] = now


def under_a_ceiling(folder: Path) -> list[dict[str, object]]:
    """One process, packed as planned, packed over two pods: the same slices, the same source."""
    rows: list[dict[str, object]] = []
    images = {IMAGE: [str(BIN / "data-pipeline")]}
    with sandbox(years=[int(YEAR)], scale=SCALE, **PACED) as url:
        base: dict[str, str] = {"OPEN_PAYMENTS_URL": url}
        alone = 0.0
        packed = ["fan_out", "--", "--year", YEAR, "--shape", "packed", "--look-every", "2"]
        for way, words in (
            ("one process", ["run_pipeline", "--", "--year", YEAR]),
            ("packed, 1 pod", packed),
            ("packed, 2 pods", [*packed, "--pods", "2"]),
        ):
            with (
                Cluster(ClusterSettings(images=images, pod_start_seconds=1.0, service_accounts=ACCOUNTS)) as cluster,
                PodClock(cluster) as clock,
            ):
                environment = base | {
                    "LAKE_URL": str(folder / way.replace(" ", "-")),
                    "KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig")),
                }
                before = requests_made(url)
                wall, fact, _ = run_beside(words, **environment)
                most, used = use_of_ceiling(url, before)
            alone = alone or wall
            hours = clock.hours if clock.pods else wall / 3600
            calls = round(sum(cluster.calls.values()) / fact["proved"], 3) if clock.pods else ""
            row: dict[str, object] = {
                "case": f"{way}, {STREAMS} streams",
                "measured": "real processes",
                "slices": fact["proved"],
                "pods": clock.pods or 1,
                "seconds": round(wall, 1),
                "of one process": round(wall / alone, 2),
                "pod-hours, of one": round(hours * 3600 / alone, 2),
                "most at once": most,
                "ceiling used": f"{used:.0%}",
                "API calls a unit": calls,
                "submitter MB": "",
            }
            rows.append(row)
    return rows


def with_the_ceiling_lifted(sizes: dict[str, int]) -> list[dict[str, object]]:
    """What the ways take with 50 streams, by the planner's own prediction."""
    units = units_of([PlannedCompany(company_id=one, rows=count) for one, count in sizes.items()])
    ways = {one.way: one for one in predict(units, ceiling=MANY, max_in_flight=MANY, pods=None, rates=LIFTED)}
    by_id: dict[str, float] = {}
    for unit in sorted(units, key=lambda unit: (len(unit.company_id), unit.company_id)):
        by_id[unit.company_id] = by_id.get(unit.company_id, LIFTED.pod_start_seconds) + LIFTED.seconds_of(unit)
    free = [0.0] * MANY
    for cost in by_id.values():
        free.sort()
        free[0] += cost
    shown = {name: one.seconds for name, one in ways.items()} | {"per-company, by id": max(free)}
    slowest = shown["per-company, by id"]
    return [
        {
            "case": f"{name}, {MANY} streams",
            "measured": "predicted",
            "slices": len(by_id),
            "pods": ways[name].pods if name in ways else len(by_id),
            "seconds": round(seconds, 1),
            "of one process": round(seconds / shown["one process"], 2),
            "pod-hours, of one": round(ways[name].pod_hours / ways["one process"].pod_hours, 2) if name in ways else "",
            "most at once": "",
            "ceiling used": f"{seconds / slowest:.2f} of by id",
            "API calls a unit": "",
            "submitter MB": "",
        }
        for name, seconds in shown.items()
    ]


def at_many_units(folder: Path, count: int) -> dict[str, object]:
    """One Job per company for so many; pods end at once and leave an audit, so what is seen is the submitter."""
    companies = [str(100_000_000_000 + number) for number in range(count)]
    lake = folder / f"lake-{count}"
    plans: dict[str, list[str]] = {}

    def end(pod: Mapping[str, Any]) -> Instant:
        args = pod["spec"]["containers"][0]["args"]
        said = dict(zip(args[3::2], args[4::2], strict=False))
        run_id = said["--plan"]
        if run_id not in plans:
            plan = json.loads((lake / lake_layout.fan_out(run_id, "per-company")).read_bytes())
            plans["release"] = plan["release"]
            plans[run_id] = [bin_[0]["company_id"] for bin_ in plan["bins"]]
        leave_an_audit(lake, Release(**plans["release"]), plans[run_id][int(said["--index"])])  # type: ignore[arg-type]
        return Instant(seconds=0.01)

    with (
        sandbox(years=[int(YEAR)], company_rows=dict.fromkeys(companies, 1)) as url,
        Cluster(ClusterSettings(instant=end, pods_at_once=1000, service_accounts=ACCOUNTS)) as cluster,
    ):
        environment = {
            "OPEN_PAYMENTS_URL": url,
            "LAKE_URL": str(lake),
            "KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig")),
        }
        words = ["fan_out", "--", "--year", YEAR, "--shape", "per-company", "--streams", "64", "--look-every", "0.5"]
        wall, fact, peak = run_beside(words, **environment)
        calls = cluster.calls
    looking = sum(number for what, number in calls.items() if not what.startswith("create"))
    return {
        "case": f"per-company, {count:,} units",
        "measured": "pods that end at once",
        "slices": fact["proved"],
        "pods": calls["create jobs"],
        "seconds": round(wall, 1),
        "of one process": "",
        "pod-hours, of one": "",
        "most at once": cluster.peak_pods,
        "ceiling used": "",
        "API calls a unit": f"{calls['create jobs'] / count:.2f} create, {looking / count:.2f} other",
        "submitter MB": round(peak / 1e6),
    }


def leave_an_audit(lake: Path, release: Release, company_id: str) -> None:
    """What a worker leaves at the least."""
    audit = SliceAudit(
        release=release, company_id=company_id, verdict="proved", records=1, bytes=0, content_hash="0" * 64, parts=(),
        count_before=1, count_after=1, proved_at=datetime.now(UTC),
    )  # fmt: skip
    keys = lake_layout.SliceKeys(release.dataset, release.year, release.name, company_id)
    path = lake / keys.slice_audit
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(audit.to_bytes())
    beside.rename(path)


def real_sizes() -> dict[str, int]:
    """Rows of each company in the year."""
    rows = directory(Settings(years=(int(YEAR),), scale=1.0)).rows[int(YEAR)]
    return {company: count for company, count in rows.items() if count}


def main() -> list[dict[str, object]]:
    """Three tables in one: under a ceiling, with it lifted, and the submitter alone."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = under_a_ceiling(folder)
        rows += with_the_ceiling_lifted(real_sizes())
        rows += [at_many_units(folder, count) for count in UNITS]
    return rows

"""A year in one process and fanned out, with the same number of streams.

The cluster is the sandbox's stand-in: its pods are real processes on this machine. So this compares planning, claiming
and polling, not a cloud's nodes.
"""

from __future__ import annotations

import json
import resource
import tempfile
from pathlib import Path

from benchmarks.measure import BIN, query, run_job, sandbox
from sandbox.cluster import Cluster, ClusterSettings

YEAR, STREAMS = "2024", 8
SCALE = 0.05  # 0.8 million rows in all 1,735 companies
# 2 MB/s per stream and 0.15 s per request: the source as users meet it.
PACE = {"bytes_per_second_per_stream": 2e6, "latency_seconds": 0.15}
CLUSTER = ClusterSettings(
    images={"etl-data-pipeline": [str(BIN / "data-pipeline")]},
    pod_start_seconds=1.0,
    service_accounts=("data-pipeline-worker",),
)
PACKED = ("fan_out", "--", "--year", YEAR, "--shape", "packed", "--poll-interval", "2")
WAYS = {
    "one process": ("run_pipeline", "--", "--year", YEAR),
    "packed": PACKED,
    "packed, --pods 2": (*PACKED, "--pods", "2"),
}


def use_of_streams(url: str) -> tuple[int, float]:
    """The most requests at once, and the share of the streams in use from the first rows to the last twentieth."""
    entries = [entry for entry in query(url, "ledger") if entry["ended"]]
    downloads = [entry for entry in entries if "/download" in entry["target"]]
    begin, end = min(one["started"] for one in downloads), max(one["ended"] for one in downloads)
    end = begin + 0.95 * (end - begin)
    busy = sum(max(0.0, min(one["ended"], end) - max(one["started"], begin)) for one in entries)
    most = at_once = 0
    for _, step in sorted([(one["started"], 1) for one in entries] + [(one["ended"], -1) for one in entries]):
        at_once += step
        most = max(most, at_once)
    return most, busy / (STREAMS * (end - begin))


def main() -> list[dict[str, object]]:
    """A row per way."""
    # A thread and its sockets for every request of the pods.
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    rows: list[dict[str, object]] = []
    alone = 0.0
    with tempfile.TemporaryDirectory() as name, sandbox(years=[int(YEAR)], scale=SCALE, **PACE) as url:
        for way, words in WAYS.items():
            query(url, "ledger", method="DELETE")
            with Cluster(CLUSTER) as cluster:
                kubeconfig = str(cluster.kubeconfig(Path(name) / "kubeconfig"))
                cost = run_job(url, Path(name) / way, *words, kubeconfig=kubeconfig)
                calls, pods = sum(cluster.calls.values()), cluster.peak_pods
            slices = json.loads(cost.stdout)["proved"]
            most, used = use_of_streams(url)
            alone = alone or cost.wall
            rows.append(
                {
                    "way": way,
                    "slices": slices,
                    "pods": pods or 1,
                    "seconds": round(cost.wall, 1),
                    "of one process": round(cost.wall / alone, 2),
                    "most requests at once": most,
                    "streams in use": f"{used:.0%}",
                    "API calls per slice": round(calls / slices, 2),
                }
            )
    return rows

"""``data-pipeline list`` as a whole process, against an interpreter that only imports click."""

from __future__ import annotations

import statistics
import sys

from benchmarks.measure import run

ROUNDS = 15


def main() -> list[dict[str, object]]:
    """Medians over rounds in which both take turns."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        ours.append(run(["data-pipeline", "list"]).wall)
        bare.append(run([sys.executable, "-c", "import click"]).wall)
    one, two = statistics.median(ours), statistics.median(bare)
    return [{"list ms": round(one * 1000), "click ms": round(two * 1000), "ratio": round(one / two, 2)}]

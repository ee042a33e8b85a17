"""With the ceiling lifted: 50 streams of 1,000 rows a second each, pods that take 15 s to start, as real processes.

Streams, rates and starts are the real ones; only the year is smaller: its 300 largest companies, each at
a quarter of its rows. What rows decide takes a quarter of the time; starts weigh four times as much, on
both sides. The companies left out hold 4 % of the rows: they would cost per-company a pod start each and
packed next to nothing, so leaving them out is in per-company's favour.

What two cores may distort is shown beside: how busy they were, and the one Job that per-company cannot be
faster than however many cores there are, the largest company's.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.download import YEAR, switch
from benchmarks.fan_out import ACCOUNTS, IMAGE, LIFTED, MANY, PodClock, real_sizes, run_beside
from benchmarks.measure import BIN, sandbox
from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from sandbox.cluster import Cluster, ClusterSettings

COMPANIES = 300
SHARE = 0.25
LATENCY_SECONDS = 0.15
RUN = "lifted"


def quarter_of_a_year() -> dict[str, int]:
    """Rows of each company."""
    largest = sorted(real_sizes().items(), key=lambda item: -item[1])[:COMPANIES]
    return {company: round(count * SHARE) for company, count in sorted(largest)}


def by_company_id(lake: Path) -> None:
    """Put the bins of the plan, which lies in the lake and was not begun, into the order of the companies' ids."""
    path = lake / lake_layout.fan_out(RUN, "per-company")
    plan = FanOutPlan.model_validate_json(path.read_bytes())
    bins = tuple(sorted(plan.bins, key=lambda bin_: (len(bin_[0].company_id), bin_[0].company_id)))
    path.write_bytes(plan.model_copy(update={"bins": bins}).to_bytes())


def hashes(lake: Path) -> dict[str | None, str]:
    """What each closed slice holds, by company."""
    audits = lake.glob("metadata/audits/**/slice.json")
    return {lake_layout.company_of(str(path)): json.loads(path.read_bytes())["content_hash"] for path in audits}


def processor_time() -> tuple[int, int]:
    """Of all processors since the machine began: idle, and in all."""
    numbers = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)


def one_way(
    url: str, folder: Path, shape: str, start: float, before: Callable[[Path], None] | None = None
) -> dict[str, float]:
    """Fan all of it out over a cluster of its own; ``before`` may change the plan."""
    lake = folder / shape
    settings = ClusterSettings(
        images={IMAGE: [str(BIN / "data-pipeline")]}, pod_start_seconds=start, service_accounts=ACCOUNTS
    )
    with Cluster(settings) as cluster, PodClock(cluster) as clock:
        environment = {
            "OPEN_PAYMENTS_URL": url,
            "LAKE_URL": str(lake),
            "KUBECONFIG": str(cluster.kubeconfig(folder / "kubeconfig")),
        }
        words = ["fan_out", "--", "--year", YEAR, "--shape", shape, "--streams", str(MANY), "--run-id", RUN]
        words += ["--look-every", "2"]
        if before is not None:
            run_beside([*words, "--print"], **environment)
            before(lake)
        idle, total = processor_time()
        wall, fact, _ = run_beside(words, **environment)
        idle, total = (now - then for now, then in zip(processor_time(), (idle, total), strict=True))
    return {
        "slices": fact["proved"],
        "pods": clock.pods,
        "seconds": wall,
        "longest pod": clock.longest,
        "busy": 1 - idle / total,
    }


def measured(sizes: dict[str, int], start: float) -> list[dict[str, object]]:
    """Packed, and one Job per company in the order of ids: the same source, the same slices."""
    with (
        tempfile.TemporaryDirectory() as name,
        sandbox(years=[int(YEAR)], company_rows=sizes, rows_in_memory=sum(sizes.values())) as url,
    ):
        folder = Path(name)
        alone = {"OPEN_PAYMENTS_URL": url, "LAKE_URL": str(folder / "alone")}
        run_beside(["run_pipeline", "--", "--year", YEAR], **alone)  # the sandbox makes its rows when first asked
        switch(url, bytes_per_second_per_stream=LIFTED.bytes_per_second, latency_seconds=LATENCY_SECONDS)
        ways = {
            "packed": one_way(url, folder, "packed", start),
            "per-company, by id": one_way(url, folder, "per-company", start, by_company_id),
        }
        truth = hashes(folder / "alone")
        if any(hashes(folder / shape) != truth for shape in ("packed", "per-company")):
            raise SystemExit("the ways left other slices than one process")
    slowest = ways["per-company, by id"]
    return [
        {
            "case": f"{case}, {MANY} streams",
            "slices": way["slices"],
            "rows": f"{sum(sizes.values()):,}",
            "pods": way["pods"],
            "seconds": round(way["seconds"], 1),
            "of per-company": round(way["seconds"] / slowest["seconds"], 3),
            "longest pod": round(way["longest pod"], 1),
            "of its longest pod": round(way["seconds"] / slowest["longest pod"], 3),
            "processors busy": f"{way['busy']:.0%}",
        }
        for case, way in ways.items()
    ]


def main() -> list[dict[str, object]]:
    """Some eleven minutes."""
    return measured(quarter_of_a_year(), LIFTED.pod_start_seconds)

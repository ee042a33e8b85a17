"""Each dataset of the family from the source to another lake, compared with what the sandbox says it holds."""

import csv
import sys
from pathlib import Path

import pytest

from data_pipeline.open_payments.datasets import DATASETS
from sandbox.cluster import Cluster, ClusterSettings
from tests.end_to_end.programs import container

RUN = ("--run-id", "one")
PAYERS = ("100000000053", "100000000054", "100000000055")
# More ownership rows than a window has: General and Research would be cut.
ROWS = {PAYERS[0]: 40, PAYERS[1]: 25, PAYERS[2]: {"general": 12, "research": 7, "ownership": 61_000}}
SHAPES = [("--shape", "per-company"), ("--shape", "packed", "--pods", "2")]
pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.parametrize("world", [{"company_rows": ROWS, "first_companies": None}], indirect=True, ids=[""]),
    pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda one: one.name),
]


def in_sandbox(dataset):
    return dataset.name.removesuffix("-payments")


def assert_holds_the_truth(world, dataset):
    """The lake has this dataset alone: every company of it, each in one part of its own columns."""
    assert {path.name for path in world.lake.glob("raw/dataset=*")} == {f"dataset={dataset.name}"}
    assert sorted(world.slices(dataset.name)) == sorted(PAYERS)
    world.assert_equals_truth(dataset.name)
    parts = list(world.lake.glob("raw/dataset=*/**/*.csv"))
    assert len(parts) == len(PAYERS)
    for part in parts:
        with part.open(newline="", encoding="utf-8") as stream:
            assert tuple(next(csv.reader(stream))) == dataset.header


def test_a_dataset_is_fetched_verified_compared_with_its_next_release_and_uploaded(world, dataset, tmp_path):
    selected = ("--dataset", dataset.name, "--year", "2024")
    for other in DATASETS:  # the cache of ids then holds every dataset of the year
        assert world.run("resolve_ids", "--", "--dataset", other, "--year", "2024").status == 0
    totals = world.run("build_totals", "--", *selected)
    truth = world.source.truth(2024, dataset=in_sandbox(dataset))
    assert (totals.fact["rows"], totals.fact["counted_by"]) == (truth["rows"], "grouped"), totals.stderr

    fetched = world.run("run_pipeline", "--", *selected, *RUN)

    assert (fetched.status, fetched.fact["status"], fetched.fact["closed"]) == (0, "completed", True)
    assert_holds_the_truth(world, dataset)
    verified = world.run("verify", "--", *RUN, "--against-source")
    assert (verified.status, verified.fact["findings"], verified.fact["rows"]) == (0, [], truth["rows"])
    again = world.run("run_pipeline", "--", *selected)
    assert (again.status, again.fact["status"]) == (0, "already done")

    copied = world.run("upload_raw", "--", *RUN, "--to", str(tmp_path / "copy"))
    assert (copied.status, copied.fact["status"]) == (0, "uploaded"), copied.stderr
    assert world.run("verify", "--", *RUN, "--lake", str(tmp_path / "copy")).fact["findings"] == []

    world.source.republish(2024, dataset=in_sandbox(dataset), added=4, removed=2, changed=3)
    assert world.run("run_pipeline", "--", *selected).fact["status"] == "completed"
    compared = world.run("diff_releases", "--", *selected)
    numbers = {name: compared.fact[name] for name in ("added", "removed", "changed", "change_type_disagreements")}
    assert numbers == {"added": 4, "removed": 2, "changed": 3, "change_type_disagreements": 0}, compared.stderr
    assert compared.fact["unchanged"] == truth["rows"] - 5


@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_a_dataset_is_fanned_out_to_pods_that_fetch_it_and_no_other(world, dataset, shape, tmp_path):
    settings = ClusterSettings(
        images={"etl-data-pipeline": [sys.executable, "-m", "data_pipeline"]},
        base_environment={"PATH": str(Path(sys.executable).parent)},
        start=container,
        pod_start_seconds=0.05,
        service_accounts=("data-pipeline-worker",),
    )
    with Cluster(settings) as cluster:
        ended = world.run(
            "fan_out", "--", "--dataset", dataset.name, "--year", "2024", "--poll-interval", "0.2", *shape,
            KUBECONFIG=str(cluster.kubeconfig(tmp_path / "kubeconfig")),
        )  # fmt: skip

    assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (0, "completed", True), ended.stderr
    assert_holds_the_truth(world, dataset)


def test_the_doctor_checks_the_source_of_a_dataset(world, dataset):
    ended = world.doctor("source", "--dataset", dataset.name)

    checks = ended.fact["source_checks"]
    assert (ended.status, ended.fact["dataset"], ended.fact["year"]) == (0, dataset.name, 2024), ended.stderr
    assert (checks["failed"], checks["no_answer"]) == ([], [])
    assert "dataset_resolves" not in checks["skipped"]

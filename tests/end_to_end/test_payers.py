"""Payers whose id is no number: their rows are fetched, proved and built like those of any other payer."""

import sys
from dataclasses import replace

import duckdb
import pytest

from sandbox.cluster import Cluster, ClusterSettings
from tests.end_to_end.programs import container
from tests.end_to_end.test_fan_out import IMAGE, PATH

# A trailing space, nothing at all, a placeholder, and a name that is too long for a label of Kubernetes.
NAME = "Maker of Devices & Söhne, Inc."
FOLDERS = {
    "100000000123 ": "x31303030303030303031323320",
    "": "x",
    "-1": "x2d31",
    NAME: f"x{NAME.encode().hex()}",
    "100000000053": "100000000053",
}
ROWS = {company_id: 3 + 2 * number for number, company_id in enumerate(FOLDERS)}
PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
pytestmark = [
    pytest.mark.parametrize("world", [{"company_rows": ROWS, "first_companies": None}], indirect=True, ids=[""]),
    pytest.mark.timeout(300),
]


def folders(world, pattern):
    return {path.name.removeprefix("company_id=") for path in world.lake.glob(pattern)}


def assert_closed(world, ended):
    assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (0, "completed", True), ended.stderr
    world.assert_equals_truth()
    assert {one: audit["records"] for one, audit in world.slices().items()} == ROWS
    assert folders(world, "raw/*/*/*/company_id=*") == set(FOLDERS.values())


@pytest.mark.parametrize(
    ("words", "dialect"), [((), "B"), (("--totals-from", "entities"), "A")], ids=["grouped", "company by company"]
)
def test_a_year_closes_whichever_way_its_rows_are_counted(world, words, dialect):
    world.source.switch(dialect=dialect)
    assert_closed(world, world.pipeline(*words))
    again = world.pipeline(*words)
    assert (again.status, again.fact["status"]) == (0, "already done"), again.stderr


@pytest.mark.parametrize("shape", [("--shape", "per-company"), ("--shape", "packed", "--pods", "2")], ids=str)
def test_a_year_closes_on_a_cluster(world, shape, tmp_path):
    settings = ClusterSettings(
        base_environment=PATH, pod_start_seconds=0.05, service_accounts=("default", "data-pipeline-worker"),
        images={IMAGE: [sys.executable, "-m", "data_pipeline"]}, start=container,
    )  # fmt: skip
    with Cluster(settings) as cluster:
        kubeconfig = str(cluster.kubeconfig(tmp_path / "kubeconfig"))
        words = ("fan_out", "--", "--year", "2024", "--poll-interval", "0.2", *shape)
        assert_closed(world, world.run(*words, KUBECONFIG=kubeconfig))
        assert not cluster.bugs
        assert not cluster.jobs(), "a Job whose audit was seen is removed"


def test_every_later_step_works_over_such_a_year(world):
    world.source.fault("short_body", match="value%5D=-1")
    first = world.pipeline(SOURCE_ATTEMPTS="1")
    assert first.fact["status"] == "partial", first.stderr
    assert "'-1' (x2d31 in keys)" in first.stderr
    world.source.clear_faults()
    ended = world.run("rerun", "--", "--run-id", first.fact["run_id"], "--failed")
    assert (ended.status, ended.fact["proved"]) == (0, 1), ended.stderr
    ended = world.pipeline()
    assert_closed(world, ended)
    run_id = ended.fact["run_id"]
    verified = world.run("verify", "--", "--run-id", run_id, "--against-source")
    assert (verified.status, verified.fact["findings"]) == (0, []), verified.stderr
    other = world.lake.parent / "other"
    assert world.run("upload_raw", "--", "--run-id", run_id, "--to", str(other)).status == 0
    assert folders(replace(world, lake=other), "raw/*/*/*/company_id=*") == set(FOLDERS.values())
    assert world.run("gc", "--").fact["objects"] == 0

    staged = world.run("stage", "--", "--year", "2024")
    assert (staged.fact["rows"], staged.fact["quarantined"]) == (sum(ROWS.values()), 0), staged.stderr
    odd = {PAYER + ".required": ROWS[""], PAYER + ".pattern": ROWS["-1"] + ROWS["100000000123 "] + ROWS[NAME]}
    assert {name: count for name, count in staged.fact["flags"].items() if name.startswith(PAYER)} == odd
    built = world.run("build_curated", "--", "--year", "2024")
    assert (built.status, built.fact["closed"], built.fact["tables"]["companies"]) == (0, True, 5), built.stderr
    files = [str(path) for path in world.lake.glob("curated/**/general_payments-*.parquet")]
    found = duckdb.execute(f"SELECT {PAYER}, count(*) FROM read_parquet({files}) GROUP BY 1").fetchall()
    assert {one or "": count for one, count in found} == ROWS


def test_one_such_payer_is_named_as_the_source_or_as_the_lake_writes_it(world):
    for given, company_id in [("x2d31", "-1"), ("-1", "-1"), ("100000000123 ", "100000000123 "), ("", "")]:
        ended = world.run("download_company", "--", "--year", "2024", f"--company-id={given}")
        assert (ended.status, ended.fact["proved"], ended.fact["rows"]) == (0, 1, ROWS[company_id]), ended.stderr
    unknown = world.run("download_company", "--", "--year", "2024", "--company-id", "-2")
    assert unknown.status == 3
    assert "there is no company '-2' (x2d32 in keys)" in unknown.stderr
    assert "-1 (" in unknown.stderr


def test_two_releases_of_such_a_year_are_compared_payer_by_payer(world):
    world.pipeline()
    world.source.republish(2024, changed=0.5)
    world.pipeline()
    ended = world.run("diff_releases", "--", "--year", "2024", "--company-id=x2d31")
    assert ended.status == 0, ended.stderr
    assert ended.fact["report"].endswith("_company_id=x2d31.csv")

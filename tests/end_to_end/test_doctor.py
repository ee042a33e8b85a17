"""``data-pipeline doctor`` as a user runs it: what it finds in a source and a lake, and at what cost."""

import json
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from data_pipeline.doctor.lake import LAKE_CHECKS
from data_pipeline.open_payments.assumptions import SOURCE_CHECKS
from tests.end_to_end.conftest import Ended
from tests.end_to_end.s3 import SETTINGS

SMALL, LONG, LARGE = "100000000053", "100000000066", "100000000144"
ROWS = {SMALL: 60, LONG: 5_400, LARGE: 60_500}
CHOSEN = pytest.mark.parametrize("world", [{"company_rows": ROWS, "first_companies": None}], indirect=True)


def lines_of(ended: Ended) -> list[str]:
    return [line for line in ended.stderr.splitlines() if not line.startswith("{")]


@CHOSEN
@pytest.mark.parametrize("dialect", ["A", "B"])
def test_a_healthy_source_passes_in_at_most_25_sequential_requests_and_10_mb(world, dialect):
    world.source.switch(dialect=dialect)
    ended = world.doctor("source", "--year", "2024")
    found = ended.fact["source_checks"]
    assert (ended.status, ended.fact["status"]) == (0, "passed"), ended.stderr
    assert (found["passed"], found["failed"], found["skipped"]) == (len(SOURCE_CHECKS), [], [])
    ledger, cost = world.source.ledger(), world.source.summary()
    assert 0 < cost["requests"] == ended.fact["requests"] <= 25
    assert cost["bytes"] <= 10_000_000
    assert cost["max_concurrent"] == 1
    assert {one["method"] for one in ledger} == {"GET"}
    assert not [one for one in ledger if "/download" in one["target"] and LARGE in one["target"]]
    assert len(lines_of(ended)) == len(SOURCE_CHECKS)
    report = json.loads((world.lake / ended.fact["report"]).read_text())
    assert [one["id"] for one in report["findings"]] == [one.id for one in SOURCE_CHECKS]


def everybody() -> dict[str, int]:
    """As many payers as a real year has, most of them small."""
    return ROWS | {str(100_000_001_000 + number): 2 for number in range(1_726)}


@pytest.mark.parametrize("world", [{"company_rows": everybody(), "first_companies": None}], indirect=True)
def test_a_year_with_all_its_payers_costs_no_more(world):
    ended = world.doctor("source")
    assert (ended.status, ended.fact["source_checks"]["failed"]) == (0, []), ended.stderr
    cost = world.source.summary()
    assert cost["requests"] <= 25
    assert cost["bytes"] <= 10_000_000


SWITCHED: list[tuple[dict[str, Any], set[str], int]] = [
    ({"grouped_counts": False}, {"grouped_counts"}, 0),
    ({"long_answers": False}, {"long_answers"}, 0),
    # 500 are the pages of grouped counts.
    ({"rows_limit": 250}, {"rows_500_answered", "grouped_counts"}, 3),
]


@CHOSEN
def test_a_source_that_behaves_differently_fails_its_check(world):
    kept = {name: getattr(world.source.settings, name) for changes, _, _ in SWITCHED for name in changes}
    for changes, failed, status in SWITCHED:
        world.source.switch(**kept | changes)
        ended = world.doctor("source")
        assert (set(ended.fact["source_checks"]["failed"]), ended.status) == (failed, status), changes
        assert not ended.fact["source_checks"]["no_answer"]


@CHOSEN
def test_a_source_with_a_fault_fails_its_check(world):
    drifts = [{"change": "rename"}, {"change": "add"}, {"change": "remove"}]
    faults: list[tuple[str, dict[str, Any], set[str]]] = [
        *(("header_drift", {"match": "/download", "params": params}, {"header_is_schema"}) for params in drifts),
        # The whole table comes, and is not read to its end.
        ("conditions_ignored", {}, {"conditions_honoured"}),
        ("conditions_ignored", {"params": {"scope": "count"}}, {"date_ranges_as_text", "window_counts_tile"}),
        ("short_rows", {"match": LONG}, {"unsorted_answer_complete"}),
        ("repeated_row", {"match": LONG}, {"unsorted_answer_complete"}),
        ("error_row", {"match": LONG, "params": {"position": "last"}}, {"long_answers"}),
    ]
    for name, options, failed in faults:
        world.source.clear_ledger()
        world.source.fault(name, **options)
        ended = world.doctor("source")
        assert set(ended.fact["source_checks"]["failed"]) == failed, name
        assert len([one for one in world.source.ledger() if one["bytes"] > 5_000_000]) <= 1
        world.source.clear_faults()


@CHOSEN
def test_a_source_that_is_still_importing_fails_the_check_of_its_count(world):
    world.source.republish(2024, imported_share=0.5)
    ended = world.doctor("source")
    assert (ended.status, ended.fact["source_checks"]["failed"]) == (3, ["summary_agrees"])


@CHOSEN
def test_a_source_that_does_not_answer_gets_no_further_request(world):
    world.source.switch(degraded=True)
    ended = world.doctor("source")
    assert (ended.status, ended.fact["status"]) == (4, "no answer")
    assert world.source.summary()["by_status"].get("503") == 1
    nobody = world.doctor("source", OPEN_PAYMENTS_URL="http://127.0.0.1:9")
    assert (nobody.status, nobody.fact["source_checks"]["passed"]) == (4, 0)
    assert len(nobody.fact["source_checks"]["no_answer"]) == len(SOURCE_CHECKS)


def test_a_dry_run_prints_the_questions_and_sends_no_request(world):
    ended = world.doctor("--dry-run")
    assert (ended.status, ended.fact["status"]) == (0, "planned")
    assert [line.split(":")[0] for line in lines_of(ended)] == [one.id for one in (*LAKE_CHECKS, *SOURCE_CHECKS)]
    assert world.source.summary()["requests"] == 0
    assert not world.lake.exists()


def test_without_flags_lake_and_source_are_examined(world):
    ended = world.doctor()
    assert ended.status == 0, ended.stderr
    assert len(lines_of(ended)) == len(LAKE_CHECKS) + len(SOURCE_CHECKS)
    assert list(world.files()) == [ended.fact["report"]]


def test_a_lake_in_a_folder_passes_and_the_source_gets_no_request(world):
    ended = world.doctor("lake", "--lake", str(world.lake.parent / "another"))
    assert (ended.status, ended.fact["lake_checks"]["failed"]) == (0, []), ended.stderr
    assert world.source.summary()["requests"] == 0
    assert not [path for path in world.lake.parent.rglob("*") if path.is_file()]


def test_a_lake_on_s3_passes(world):
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        settings = SETTINGS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "LAKE_URL": "s3://lake/below"}
        missing = world.doctor("lake", **settings)
        assert missing.status == 3
        assert missing.fact["lake_checks"]["failed"] == ["writable"]

        client = boto3.client(
            "s3", endpoint_url=settings["AWS_ENDPOINT_URL"], region_name="us-east-1",
            aws_access_key_id="test", aws_secret_access_key="test",
        )  # fmt: skip
        client.create_bucket(Bucket="lake")
        ended = world.doctor("lake", **settings)
        found = ended.fact["lake_checks"]
        assert (ended.status, found["passed"], found["skipped"]) == (0, len(LAKE_CHECKS) - 1, ["free_space"]), (
            ended.stderr
        )
        assert "Contents" not in client.list_objects_v2(Bucket="lake")
        client.close()
    finally:
        server.stop()


def test_a_lake_that_cannot_be_written_fails(world):
    world.lake.mkdir()
    (world.lake / "metadata").write_text("a file where a folder belongs")
    ended = world.doctor("lake")
    assert (ended.status, ended.fact["lake_checks"]["failed"]) == (3, ["writable"])
    assert f"cannot write {world.lake}/metadata/doctor/probe-" in ended.stderr


def test_a_year_that_the_source_lacks_is_a_usage_error(world):
    ended = world.doctor("source", "--year", "1999")
    assert ended.status == 2
    assert "no program year 1999" in ended.stderr

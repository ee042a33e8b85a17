"""Two publications of a year, each staged and built: what newer ones replaced is removed, and the answers stay."""

import contextlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from data_pipeline.jobs.gc import found
from data_pipeline.lakehouse.builds import current_builds, missing_files
from data_pipeline.open_payments.ledger.committed import open_run
from etl_core.lake.directory import DirectoryStore
from etl_core.testing import MemoryStore
from tests.end_to_end.s3 import SETTINGS, Bucket, s3_server

pytestmark = pytest.mark.timeout(300)
WORLD = {"company_rows": {"100000000053": 300, "100000000062": 40}, "first_companies": None}
NOW = ("--older-than-hours", "0")


@contextlib.contextmanager
def lake_on_s3(world):
    with s3_server() as url, contextlib.closing(Bucket(url, "lake")) as bucket:
        place = {"LAKE_URL": f"s3://{bucket.name}", "AWS_ENDPOINT_URL": url, "SOURCE_TIMEOUT_SECONDS": "60"}
        yield replace(world, environment={**world.environment, **SETTINGS, **place})


def build_a_year(world):
    ended = world.pipeline()
    assert ended.status == 0, ended.stderr
    for job in ("stage", "build_curated"):
        ended = world.run(job, "--", "--year", "2024")
        assert ended.status == 0, ended.stderr
    return ended.fact


def answer(world, question):
    process = world.start("query", "--", question, "--format", "json")
    stdout, stderr = process.communicate(timeout=250)
    assert process.returncode == 0, stderr
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_what_newer_builds_and_releases_replaced_is_removed_and_the_answers_stay(world):
    question = "SELECT release, count(*) AS rows, sum(total_amount_of_payment_usdollars)::VARCHAR AS amount, "
    question += "min(record_id) AS first FROM general_payments GROUP BY release"
    with lake_on_s3(world) as there:
        facts = [build_a_year(there)]
        world.source.republish(2024, changed=5)
        facts.append(build_a_year(there))
        before = answer(there, question)

        assert there.run("gc", "--", "--keep", "1").fact["status"] == "nothing to remove", "all of it is young"
        listed = there.run("gc", "--", "--keep", "1", *NOW)
        assert (listed.status, listed.fact["status"]) == (0, "listed"), listed.stderr
        assert facts[0]["release"] in listed.stderr
        assert facts[1]["release"] not in listed.stderr
        removed = there.run("gc", "--", "--keep", "1", *NOW, "--delete")

        assert (removed.fact["status"], removed.fact["by_kind"]) == ("removed", listed.fact["by_kind"])
        assert set(removed.fact["by_kind"]) == {
            "replaced build", "file of no build", "staged in vain", "replaced release",
        }  # fmt: skip
        assert answer(there, question) == before
        assert there.run("trace", "--", before[0]["first"]).fact["status"] == "traced"
        assert there.run("verify", "--", "--run-id", facts[1]["run_id"]).status == 0
        again = there.run("build_curated", "--", "--year", "2024")
        assert (again.fact["status"], again.fact["build"]) == ("already built", facts[1]["build"])
        assert there.pipeline().fact["status"] == "already done"


@pytest.mark.parametrize("world", [{"first_companies": 1}], indirect=True, ids=[""])
def test_a_removal_that_was_killed_anywhere_leaves_readers_whole_and_is_finished_by_the_next_one(world):
    build_a_year(world)
    world.source.republish(2024, changed=1)
    fact = build_a_year(world)
    with contextlib.closing(DirectoryStore(world.lake)) as folder:
        bodies = {entry.key: folder.get(entry.key) or b"" for entry in folder.list("")}
    later = datetime.now(UTC) + timedelta(hours=1)

    def a_copy():
        store = MemoryStore()
        for key, body in bodies.items():
            store.put_new(key, body)
        return store

    whole = a_copy()
    order = list(found(whole, 1, later))
    assert all(remove(whole, entry) for _, entry, remove in order)
    expected = [entry.key for entry in whole.list("")]
    for cut in range(len(order)):
        store = a_copy()
        for _, entry, remove in order[:cut]:
            remove(store, entry)

        (build,) = current_builds(store)
        assert (build.build, missing_files(store, build)) == (fact["build"], [])
        run = open_run(store, build.run_id)
        assert sum(1 for part in run.parts() for _ in run.records(part)) == build.rows
        for _, entry, remove in found(store, 1, later):
            assert remove(store, entry)
        assert [entry.key for entry in store.list("")] == expected

    assert world.run("gc", "--", "--keep", "1", *NOW, "--delete").fact["objects"] == len(order)
    assert [key for key in sorted(world.files()) if not key.startswith("metadata/logs/")] == [
        key for key in expected if not key.startswith("metadata/logs/")
    ]
    assert world.run("gc", "--", "--keep", "1", *NOW).fact["status"] == "nothing to remove"

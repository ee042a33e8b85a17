"""The main job as a user runs it: once, twice, stopped, in pieces, by every strategy."""

import csv
import json
import signal

import pytest

LARGE = "100000000053"


def test_a_whole_year_is_proved_closed_and_equal_to_the_truth(world):
    ended = world.pipeline()
    assert ended.status == 0, ended.stderr
    fact = ended.fact
    for key in [
        "job",
        "run_id",
        "status",
        "planned",
        "proved",
        "empty",
        "failed",
        "rows",
        "bytes",
        "seconds",
        "requests",
        "retries",
        "lake",
    ]:
        assert key in fact
    assert (fact["status"], fact["planned"], fact["proved"], fact["failed"]) == ("completed", 12, 12, 0)
    assert fact["closed"] is True
    world.assert_equals_truth()
    (manifest,) = world.manifests()
    assert (manifest["files_planned"], manifest["files_downloaded"], manifest["files_failed"]) == (12, 12, 0)
    run = world.lake / "metadata" / "runs" / f"run_id={fact['run_id']}"
    lines = (run / "file_audits.jsonl").read_text().splitlines()
    assert len(lines) == manifest["file_audits"] == 12
    rows = list(csv.DictReader((run / "download_report_2024.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["proved"] * 12
    assert sum(int(row["rows"]) for row in rows) == world.source.truth(2024)["rows"]
    logs = list((world.lake / "metadata" / "logs").iterdir())
    assert {path.suffix for path in logs} == {".log", ".prom"}


def test_the_same_command_after_a_completed_run_fetches_and_writes_nothing(world):
    world.pipeline()
    before = world.files()
    world.source.clear_ledger()
    again = world.pipeline()
    assert (again.status, again.fact["status"]) == (0, "already done")
    assert world.source.summary()["requests"] <= 2
    assert world.files() == before


def test_several_companies_are_one_run_in_whatever_order_they_are_named(world):
    ids = list(world.source.truth(2024)["companies"])[:2]
    forwards, backwards = ([word for one in order for word in ("--company-id", one)] for order in (ids, ids[::-1]))
    ended = world.pipeline(*forwards)
    assert (ended.status, ended.fact["status"], ended.fact["proved"]) == (0, "completed", 2), ended.stderr
    again = world.pipeline(*backwards)
    assert (again.fact["status"], again.fact["run_id"]) == ("already done", ended.fact["run_id"])
    assert sorted(world.slices()) == sorted(ids)


def test_a_dry_run_prints_the_plan_and_fetches_no_rows(world):
    ended = world.pipeline("--dry-run")
    assert (ended.status, ended.fact["status"]) == (0, "planned")
    truth = world.source.truth(2024)
    assert (ended.fact["planned"], ended.fact["expected"]["rows"]) == (12, truth["rows"])
    assert ended.fact["expected"]["requests"] >= 24
    assert not world.downloads()
    assert not list(world.lake.glob("metadata/runs/*"))


@pytest.mark.parametrize(
    "world", [{"company_rows": {LARGE: 150_000}, "bytes_per_second": 20e6, "first_companies": None}], indirect=True
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_keeps_what_is_proved_and_the_next_command_finishes_the_work(world, number):
    process = world.start("run_pipeline", "--", "--year", "2024", SOURCE_MAX_STREAMS="1")
    part = "raw/**/part-1-of-3.csv"
    while not list(world.lake.glob(part)) and process.poll() is None:
        world.source.ledger()  # asks the sandbox, which takes its time
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=60)
    assert (process.returncode, json.loads(stdout)["status"]) == (128 + number, "stopped")
    proved = list(world.lake.glob("metadata/audits/**/part-*.json"))
    assert 0 < len(proved) < 3
    assert not world.manifests()
    world.source.clear_ledger()
    world.source.switch(bytes_per_second=None)
    ended = world.pipeline()
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    assert len(world.downloads()) == 3 - len(proved)
    world.assert_equals_truth()


@pytest.mark.parametrize(
    "world",
    [
        {"dialect": "A"},
        {"machine_names": True},
        {"modified_format": "datetime", "title_dash": True},
        {"long_answers": False, "scale": 0.1},
        {"cache_seconds": 600},
        {"retry_after_form": "date"},
    ],
    indirect=True,
    ids=" ".join,
)
def test_every_variant_of_the_source_is_understood(world):
    ended = world.pipeline()
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    world.assert_equals_truth()


@pytest.mark.parametrize("world", [{"company_rows": {LARGE: 130_000}, "first_companies": None}], indirect=True)
def test_both_strategies_leave_the_same_parts_and_content(world):
    contents = {}
    for strategy in ("window", "pages"):
        lake = world.lake.parent / strategy
        ended = world.run(
            "download_company",
            "--",
            "--year",
            "2024",
            "--company-id",
            LARGE,
            "--strategy",
            strategy,
            LAKE_URL=str(lake),
        )
        assert ended.status == 0, ended.stderr
        _, *lines = next(lake.glob("metadata/audits/**/slice.jsonl")).read_text().splitlines()
        parts = [*map(json.loads, lines)]
        contents[strategy] = [(part["key"], part["records"], part["content_hash"]) for part in parts]
    assert contents["window"] == contents["pages"]
    assert len(contents["window"]) == 3
    downloads = [one["target"] for one in world.downloads()]
    assert len([target for target in downloads if "limit" in target]) >= 130_000 / 5000


def test_without_grouped_counts_companies_are_requested_one_by_one(world):
    world.source.switch(grouped_counts=False)
    ended = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["proved"]) == (0, 12), ended.stderr
    assert [one for one in world.source.ledger() if "/entities/companies/" in one["target"]]
    world.assert_equals_truth()


def test_the_first_companies_cost_no_more_than_their_own_requests(world):
    ended = world.pipeline("--max-files", "3")
    assert (ended.status, ended.fact["planned"]) == (0, 3)
    assert world.source.summary()["requests"] <= 3 * 2 + 7
    assert not list(world.lake.glob("metadata/totals/**/*.json")), "totals of a part of the companies are not kept"


@pytest.mark.parametrize("world", [{"scale": 0.001, "first_companies": 20, "extra_payers": True}], indirect=True)
def test_foreign_and_unlisted_companies_are_fetched_too(world):
    ended = world.pipeline()
    assert (ended.status, ended.fact["closed"]) == (0, True), ended.stderr
    assert ended.fact["rows"] == world.source.truth(2024)["rows"]


def test_the_jobs_run_one_by_one_from_ids_to_another_lake(world):
    ids = world.run("resolve_ids")
    assert ids.status == 0
    assert ids.fact["years"]["2024"]["distribution_id"] == world.source.truth(2024)["distribution_id"]
    assert "2025" in ids.fact["unresolved"] or "2025" not in ids.fact["years"]
    totals = world.run("build_totals", "--", "--year", "2024")
    assert (totals.status, totals.fact["companies"]) == (0, 12)
    assert world.run("build_totals", "--", "--year", "2024").fact["status"] == "cached"
    fetched = world.run("download_company", "--", "--year", "2024", "--company-id", LARGE, "--run-id", "mine")
    assert (fetched.status, fetched.fact["status"]) == (0, "proved")
    committed = world.run("write_manifest", "--", "--run-id", "mine")
    assert (committed.status, committed.fact["status"], committed.fact["planned"]) == (0, "completed", 1)
    other = world.lake.parent / "other"
    uploaded = world.run("upload_raw", "--", "--run-id", "mine", "--to", str(other))
    assert uploaded.status == 0
    assert uploaded.fact["copied"] == uploaded.fact["planned"]
    assert world.run("upload_raw", "--", "--run-id", "mine", "--to", str(other)).fact["status"] == "already uploaded"
    key = next(world.lake.glob("raw/dataset=*/**/*.csv")).relative_to(world.lake)
    assert (other / key).read_bytes() == (world.lake / key).read_bytes()


def test_two_runs_of_one_selection_at_once_share_the_work_without_harm(world):
    one = world.start("run_pipeline", "--", "--year", "2024")
    two = world.start("run_pipeline", "--", "--year", "2024")
    for process in (one, two):
        _, stderr = process.communicate(timeout=120)
        assert process.returncode == 0, stderr
    assert len(world.slices()) == 12
    world.assert_equals_truth()
    for manifest in world.manifests():
        verified = world.run("verify", "--", "--run-id", manifest["run_id"])
        assert (verified.status, verified.fact["findings"]) == (0, []), verified.stderr

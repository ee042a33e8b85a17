"""Every fault of the source ends in a proved slice equal to the truth, or in an attempt that names its reason."""

import json
import re

import pytest

# Fault, parameters, and the reason its attempts must name ("" where the client cures it within one attempt).
CURED = [
    ("http_500", {}, "unavailable"),
    ("http_502", {}, "unavailable"),
    ("http_503", {"retry_after": 1}, "unavailable"),
    ("http_504", {}, "unavailable"),
    ("http_429", {"retry_after": 1, "form": "seconds"}, "unavailable"),
    ("http_429", {"retry_after": 1, "form": "date"}, "unavailable"),
    ("http_429", {"form": "none"}, "unavailable"),
    ("cut_body", {}, "unavailable"),
    ("reset", {}, "unavailable"),
    ("stall", {"seconds": 20}, "unavailable"),
    ("drip", {"bytes_per_second": 20}, "unavailable"),
    ("short_body", {}, "truncated"),
    ("short_rows", {}, "rows_missing"),
    ("error_row", {}, "error_row"),
    ("repeated_row", {}, "repeated_key"),
    ("foreign_row", {}, "foreign"),
    ("conditions_ignored", {}, "foreign"),
    ("cached_bad", {"seconds": 600}, "rows_missing"),
    ("header_drift", {}, "header"),
    ("slow_start", {}, ""),
]


@pytest.mark.parametrize(("fault", "params", "reason"), CURED, ids=str)
def test_a_faulty_download_is_retried_and_its_reason_recorded(world, fault, params, reason):
    world.source.fault(fault, count=3, after=1, match="/download", params=params)
    ended = world.pipeline(SOURCE_TIMEOUT_SECONDS="3" if fault in ("stall", "drip") else "10")
    assert ended.status == 0, ended.stderr
    assert ended.fact["proved"] == 12
    assert [one["fired"] for one in world.source.faults()] == [3]
    reasons = {attempt["reason"] for attempt in world.attempts()}
    assert reasons == ({reason} if reason else set())
    assert not any(attempt["final"] for attempt in world.attempts())
    world.assert_equals_truth()


@pytest.mark.parametrize(
    "fault", ["http_500", "http_504", "json_garbage", "wrong_count", "reset", "conditions_ignored"]
)
def test_a_faulty_count_is_retried(world, fault):
    world.source.fault(fault, count=4, after=2, match="results=false")
    ended = world.pipeline()
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    world.assert_equals_truth()


@pytest.mark.parametrize("text", ["Could not generate header for CSV.", "Sorry, we are down", '{"status": "busy"}'])
@pytest.mark.parametrize("strategy", ["auto", "pages"])
def test_a_line_of_text_in_place_of_csv_is_no_drift_and_is_retried(world, text, strategy):
    """Twice in a row and of one company, which a header that differs would end for good."""
    world.source.fault("text_line", count=2, match="100000000062", params={"text": text})
    ended = world.pipeline("--strategy", strategy)
    assert (ended.status, ended.fact["closed"]) == (0, True), ended.stderr
    assert [attempt["reason"] for attempt in world.attempts()] == ["error_row"] * 2
    assert all("in place of a header: " in attempt["detail"] for attempt in world.attempts())
    world.assert_equals_truth()


@pytest.mark.parametrize("fault", ["waf_403", "waf_200"])
def test_a_block_by_the_firewall_stops_all_requests_and_is_temporary(world, fault):
    world.source.fault(fault, after=6)
    ended = world.pipeline()
    assert ended.status == 4, ended.stderr
    # Eight streams may be under way when the first of them learns of it; nobody asks after that.
    assert world.source.summary()["by_fault"][fault] <= 8
    assert {attempt["reason"] for attempt in world.attempts()} == {"blocked"}
    world.assert_equals_truth()
    world.source.clear_faults()
    assert world.pipeline().status == 0
    assert len(world.slices()) == 12
    world.assert_equals_truth()


@pytest.mark.parametrize("fault", ["http_503", "http_429"])
def test_a_wait_above_ten_minutes_ends_the_run_and_the_next_one_until_it_is_over(world, fault):
    """With exit code 4 and the time of the next request, which no process sends earlier."""
    world.source.fault(fault, after=8, params={"retry_after": 7200, "form": "seconds"})
    ended = world.pipeline()
    assert ended.status == 4, ended.stderr
    assert 7100 < ended.fact["retry_after_seconds"] <= 7200
    assert "the source asked for no request before" in ended.stderr + json.dumps(ended.fact)
    # Eight streams may be under way when the first of them learns of it; nobody asks after that.
    assert world.source.summary()["by_fault"][fault] <= 8
    asked = len(world.source.ledger())

    again = world.pipeline()

    assert again.status == 4, again.stderr
    assert 7000 < again.fact["retry_after_seconds"] <= 7200
    assert re.search(r"no request before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in \d+ min", again.stderr)
    assert len(world.source.ledger()) == asked, "the source was asked before the time it named"


@pytest.mark.parametrize("fault", ["short_rows", "error_row", "repeated_row", "header_drift"])
def test_a_persistent_fault_ends_in_a_failed_slice_and_never_in_a_wrong_file(world, fault):
    world.source.fault(fault, match="100000000062")
    ended = world.pipeline(SOURCE_ATTEMPTS="3")
    assert ended.status == (3 if fault == "header_drift" else 4), ended.stderr
    assert (ended.fact["proved"], ended.fact["failed"]) == (11, 1)
    assert "100000000062" not in world.slices()
    assert not list(world.lake.glob("raw/**/company_id=100000000062/*"))
    last = [attempt for attempt in world.attempts() if attempt["final"]]
    assert [attempt["company_id"] for attempt in last] == ["100000000062"]
    report = next(world.lake.glob("metadata/runs/*/download_report_2024.csv")).read_text()
    assert f"100000000062,failed,{last[0]['reason']}," in report
    (manifest,) = world.manifests()
    assert manifest["status"] == "partial"
    world.source.clear_faults()
    again = world.pipeline()
    assert (again.status, again.fact["proved"]) == (0, 12)
    downloads = [
        one for one in world.source.ledger() if "/download" in one["target"] and "100000000053" in one["target"]
    ]
    assert len(downloads) == 1, "a slice proved before was fetched again"
    world.assert_equals_truth()


def test_a_republication_during_a_run_makes_it_torn_and_the_next_run_takes_the_new_release(world):
    world.source.fault("republish", count=1, after=3, match="/download")
    first = world.pipeline()
    assert first.status == 4
    assert first.fact["status"] == "torn"
    second = world.pipeline()
    assert (second.status, second.fact["status"]) == (0, "completed")
    assert second.fact["release"] != first.fact["release"]
    new = world.manifests()[-1]["release"]["distribution_id"]
    assert new == world.source.truth(2024)["distribution_id"]


MIXED = (
    "http_500", "http_502", "http_504", "http_429", "cut_body", "short_body", "short_rows", "error_row",
    "repeated_row", "foreign_row", "conditions_ignored", "cached_bad", "header_drift", "wrong_count", "reset",
    "json_garbage",
)  # fmt: skip


# Even sizes, so that what one fault costs does not hang on whom it meets.
EVEN = {"company_rows": {str(100000000001 + number): 600 for number in range(300)}, "first_companies": None}


@pytest.mark.parametrize("world", [EVEN], indirect=True, ids=["300 companies"])
def test_with_five_percent_mixed_faults_one_run_proves_everything_at_little_extra_cost(world):
    clean = world.pipeline(LAKE_URL=str(world.lake.parent / "clean"))
    assert clean.status == 0
    bytes_clean = world.source.summary()["bytes"]
    world.source.clear_ledger()
    for fault in MIXED:
        params = {"retry_after": 0} if fault == "http_429" else {"seconds": 60} if fault == "cached_bad" else {}
        world.source.fault(fault, probability=0.05 / len(MIXED), match="/datastore/query", params=params)
    ended = world.pipeline()
    assert (ended.status, ended.fact["proved"]) == (0, 300), ended.stderr
    summary = world.source.summary()
    assert sum(summary["by_fault"].values()) >= 15
    # An answer that ignores its conditions fills the buffers of the system, some 6 MB, before it is given up.
    assert summary["bytes"] <= 1.2 * bytes_clean
    world.assert_equals_truth()


def test_a_half_imported_table_is_never_fetched_and_the_same_command_closes_the_year_later(world):
    world.source.republish(2024, added=0.01, imported_share=0.6)
    ended = world.pipeline()
    assert ended.status == 4
    truth = world.source.truth(2024)["rows"]
    assert f"says {truth:,}" in ended.stderr, ended.stderr
    assert "still being imported" in ended.stderr
    assert not world.manifests()
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    world.source.finish_import(2024)
    again = world.pipeline()
    assert (again.status, again.fact["closed"], again.fact["rows"]) == (0, True, truth), again.stderr
    world.assert_equals_truth()


def test_a_run_that_trusts_half_an_import_is_partial_and_the_same_command_closes_the_year_later(world):
    world.source.republish(2024, added=0.01, imported_share=0.6)
    ended = world.pipeline("--trust-count")
    assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (4, "partial", False), ended.stderr
    truth = world.source.truth(2024)["rows"]
    (manifest,) = world.manifests()
    assert f"{truth:,} rows: it is still being imported" in manifest["closure"]["note"]
    part = world.pipeline("--trust-count", "--max-files", "3")
    assert (part.status, part.fact["status"]) == (4, "partial"), part.stderr
    world.source.finish_import(2024)
    again = world.pipeline("--trust-count")
    assert (again.status, again.fact["closed"], again.fact["rows"]) == (0, True, truth), again.stderr
    world.assert_equals_truth()


# How the summary by reporting entity fails: for now, or for good.
FOR_NOW = [("http_500", "trans_general"), ("http_503", "trans_general"), ("json_garbage", "trans_general")]
FOR_GOOD = [{"summary": "missing"}, {"summary": "without the year"}, {"summary": "zero"}, {"summary": "not listed"}]
FAILING = [*FOR_NOW, *FOR_GOOD]


def let_the_summary_fail(world, how):
    if isinstance(how, dict):
        world.source.switch(**how)
    else:
        world.source.fault(how[0], match=how[1])


@pytest.mark.parametrize("how", FAILING, ids=str)
def test_half_an_import_is_never_closed_while_the_reference_count_is_unavailable(world, how):
    """Whether a run has trusted it before or not, and whatever the endpoint answers next."""
    let_the_summary_fail(world, how)
    world.source.republish(2024, added=0.01, imported_share=0.6)
    trusted = world.pipeline("--trust-count", SOURCE_ATTEMPTS="2")
    assert (trusted.status, trusted.fact["status"], trusted.fact["closed"]) == (4, "partial", False), trusted.stderr
    for words in ((), ("--trust-count",), ("--max-files", "3", "--trust-count")):
        ended = world.pipeline(*words, SOURCE_ATTEMPTS="2")
        assert ended.status == 4, ended.stderr
        assert ended.fact["status"] in ("failed", "partial")
    assert {(one["status"], one["closure"]["closed"]) for one in world.manifests()} == {("partial", False)}
    assert all("nothing outside the table confirms" in one["closure"]["note"] for one in world.manifests())
    world.source.clear_faults()
    world.source.switch(summary="whole")
    world.source.finish_import(2024)
    again = world.pipeline()
    assert (again.status, again.fact["closed"]) == (0, True), again.stderr
    world.assert_equals_truth()


@pytest.mark.parametrize("how", FOR_NOW, ids=str)
def test_a_reference_count_that_fails_for_now_is_temporary_and_nothing_is_fetched(world, how):
    let_the_summary_fail(world, how)
    ended = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["error"]) == (4, "UnavailableError"), ended.stderr
    assert "nothing can confirm that the table of general-payments 2024 is whole" in ended.stderr
    assert not world.manifests()
    assert not list(world.lake.glob("raw/dataset=*/**/*.csv"))
    world.source.clear_faults()
    again = world.pipeline()
    assert (again.status, again.fact["closed"]) == (0, True), again.stderr


@pytest.mark.parametrize("how", FOR_GOOD, ids=str)
def test_a_year_without_any_reference_count_is_proved_and_never_closed_until_there_is_one(world, how):
    let_the_summary_fail(world, how)
    for _ in range(2):
        ended = world.pipeline()
        assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (4, "partial", False), ended.stderr
        assert "nothing outside the table confirms that it is whole" in ended.fact["note"]
    world.assert_equals_truth()
    world.source.switch(summary="whole")
    again = world.pipeline()
    assert (again.status, again.fact["closed"]) == (0, True), again.stderr


@pytest.mark.parametrize("how", FAILING, ids=str)
def test_a_reference_count_once_had_is_remembered_for_its_release(world, how):
    world.source.republish(2024, added=0.01, imported_share=0.6)
    assert world.pipeline("--trust-count").status == 4  # its plan keeps the summary's count
    let_the_summary_fail(world, how)
    for words in ((), ("--trust-count",)):
        ended = world.pipeline(*words, SOURCE_ATTEMPTS="2")
        assert (ended.status, ended.fact.get("status")) == (4, "partial" if words else "failed"), ended.stderr
    assert "an earlier run of the release" in world.pipeline(SOURCE_ATTEMPTS="2").stderr
    world.source.finish_import(2024)
    again = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (again.status, again.fact["closed"]) == (0, True), again.stderr
    world.assert_equals_truth()


@pytest.mark.parametrize("how", [FOR_NOW[0], FOR_GOOD[0]], ids=str)
def test_the_last_release_is_the_reference_count_unless_it_was_trusted_half_imported(world, how):
    assert world.pipeline().status == 0
    world.source.republish(2024, added=0.01, imported_share=0.6)
    let_the_summary_fail(world, how)
    ended = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (ended.status, "of the release" in ended.stderr) == (4, True), ended.stderr
    assert world.pipeline("--trust-count", SOURCE_ATTEMPTS="2").fact["status"] == "partial"
    # The release after the next must not be compared with the 60 % that were trusted.
    world.source.republish(2024, imported_share=0.7)
    ended = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (ended.status, ended.fact["error"]) == (4, "HalfImportedError"), ended.stderr
    world.source.finish_import(2024)
    again = world.pipeline(SOURCE_ATTEMPTS="2")
    assert (again.status, again.fact["closed"]) == (0, True), again.stderr

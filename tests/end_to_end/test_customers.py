"""ingest_customers as a user runs it against a CRM that fails: once, twice, stopped, killed, refused."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter

import pytest

from sandbox.crm import Crm, CrmSettings
from tests.end_to_end import killed_run
from tests.end_to_end.customers import PER_PAGE, Customers

ROWS = 500


@pytest.fixture
def customers(tmp_path, request):
    with Crm(CrmSettings(**{"customers": ROWS, **getattr(request, "param", {})})) as crm:
        yield Customers(crm, tmp_path)


def pages_of(crm):
    return -(-crm.world.places // PER_PAGE)


def test_all_customers_are_proved_and_equal_to_the_truth(customers):
    customers.crm.fault("http_500", probability=0.1)
    customers.crm.fault("http_429", count=2, params={"retry_after": 0})
    ended = customers.ingest()
    assert ended.status == 0, ended.stderr
    customers.assert_equals_truth()
    (manifest,) = customers.manifests()
    pages = pages_of(customers.crm)
    asked = customers.crm.ledger()
    retries = Counter(one["status"] for one in asked)
    assert (manifest["status"], manifest["rows"], manifest["total"]) == ("completed", ROWS, ROWS)
    assert (manifest["files_planned"], manifest["files_downloaded"], manifest["files_failed"]) == (pages, pages, 0)
    assert manifest["retries"] == ended.fact["retries"] == retries[500] + retries[429] > 0
    assert ended.fact["requests"] == len(asked) == pages + manifest["retries"]
    assert set(customers.asked()) == set(range(1, pages + 1))
    run = customers.lake / "metadata" / "runs" / f"run_id={ended.fact['run_id']}"
    report = (run / "execution_report.txt").read_text()
    assert report in ended.stderr
    for line in (
        "--- Execution Report ---", f"Pages Requested: {pages}", f"Successful Pages: {pages}", "Failed Pages: 0",
        f"Total Retries: {manifest['retries']}", "Records Ingested: 500", "Execution Time: 0m",
        "Format Chosen: CSV (Reason",
    ):  # fmt: skip
        assert line in report
    assert json.loads((run / "file_audits.jsonl").read_text()) == manifest["extract"]
    day = ended.fact["run_id"][:10]
    stamp = ended.fact["run_id"].replace("-", "").replace("T", "_")
    assert ended.fact["extract"] == f"raw/customers/date={day}/customers_extract_{stamp}.csv"


def test_the_same_command_on_the_same_day_does_nothing_unless_told_to(customers):
    first = customers.ingest()
    before = customers.files()
    customers.crm.clear_ledger()
    again = customers.ingest()
    assert (again.status, again.fact["status"], again.fact["run_id"]) == (0, "already done", first.fact["run_id"])
    assert (customers.files(), customers.asked()) == (before, [])
    new = customers.ingest("--new")
    assert (new.status, new.fact["status"]) == (0, "completed")
    assert new.fact["run_id"] != first.fact["run_id"]
    customers.assert_equals_truth()


def test_what_follows_from_a_manifest_is_written_again_if_it_is_lost(customers):
    ended = customers.ingest()
    run = customers.lake / "metadata" / "runs" / f"run_id={ended.fact['run_id']}"
    report = (run / "execution_report.txt").read_bytes()
    for name in ("execution_report.txt", "file_audits.jsonl"):
        (run / name).unlink()
    assert customers.ingest().fact["status"] == "already done"
    assert (run / "execution_report.txt").read_bytes() == report
    assert (run / "file_audits.jsonl").exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("customers", [{"latency_seconds": 0.02}], indirect=True)
def test_a_run_killed_on_a_page_continues_with_the_next_one_from_the_lake_alone(customers, number):
    with customers.start("ingest_customers") as process:
        while len(customers.pages()) < 5 and process.poll() is None:
            customers.crm.truth()  # takes its time
        process.send_signal(number)
        process.communicate(timeout=60)
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number)
    kept = len(customers.pages())
    assert 5 <= kept < pages_of(customers.crm)
    assert customers.manifests() == []
    customers.crm.clear_ledger()
    (customers.folder / "cache").rename(customers.folder / "of-another-machine")

    ended = customers.ingest()

    assert ended.status == 0, ended.stderr
    missing = list(range(kept + 1, pages_of(customers.crm) + 1))
    # What the killed process was waiting for may be noted after it died.
    assert customers.asked()[-len(missing) :] == missing
    assert len(customers.asked()) <= len(missing) + 1
    customers.assert_equals_truth()


@pytest.mark.long
@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_a_run_killed_at_any_write_is_finished_by_the_same_command(customers, moment):
    """Each process gets a write further than the one before it; one page fails at first, which is a write, too."""
    small = {"RECORDS_PER_PAGE": "250"}
    customers.crm.fault("http_500", count=1, match="page=2&")
    killed, at, before = 0, 1, -1
    while not customers.manifests() and killed < 60:
        options = json.dumps({"job": "ingest_customers", "at": at, "moment": moment})
        with customers.start(options, program=(killed_run.__file__,), **small) as process:
            process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        killed += 1
        # What is there is written again before anything new is; without a plan all begins again. A pointer to a commit
        # has another name each time, and leads no further.
        names = [name for name in customers.files() if ".scratch" not in name]
        written = len([name for name in names if "/commits/" not in name])
        is_planned = bool(list(customers.lake.glob("metadata/runs/*/plan.json")))
        at = 1 + (moment != "after") if written > before and is_planned else at + 1
        before = written
    assert killed >= 10
    ended = customers.ingest(**small)
    assert (ended.status, ended.fact["status"]) == (0, "already done"), ended.stderr
    customers.assert_equals_truth()
    assert not list(customers.lake.rglob(".scratch"))


def test_two_runs_at_once_leave_one_truth(customers):
    customers.crm.fault("http_503", probability=0.1)
    with customers.start("ingest_customers") as one, customers.start("ingest_customers") as other:
        ends = [json.loads(process.communicate(timeout=60)[0]) for process in (one, other)]
    assert {one["exit_code"] for one in ends} == {0}
    for manifest in customers.manifests():
        assert manifest["status"] == "completed"
    customers.assert_equals_truth()


@pytest.mark.parametrize("fault", ["http_401", "http_403"])
def test_a_refused_token_is_one_sentence_that_names_it_and_keeps_the_work(customers, fault):
    customers.crm.fault(fault, after=4, params={"repeats_token": True})
    ended = customers.ingest()
    assert ended.status == 3
    assert "API_TOKEN is refused, or has expired" in ended.fact["message"]
    assert ended.fact["message"].count(". ") == 0
    assert "Bearer …" in ended.fact["message"], "the server repeated the token"
    assert len(customers.pages()) == 4
    customers.crm.clear_faults()
    customers.crm.clear_ledger()
    assert customers.ingest().status == 0
    assert customers.asked()[0] == 5
    customers.assert_equals_truth()


@pytest.mark.parametrize(
    ("without", "said"), [("API_TOKEN", "API_TOKEN is not set"), ("API_BASE_URL", "API_BASE_URL='' is no address")]
)
def test_a_missing_setting_is_named(customers, without, said):
    ended = customers.ingest(**{without: ""})
    assert (ended.status, said in ended.fact["message"]) == (3, True)
    assert customers.asked() == []


def test_a_dead_page_is_a_dead_letter_and_fetched_alone_later(customers):
    customers.crm.fault("http_500", match="page=3&")
    customers.crm.fault("http_404", match="page=7&")
    ended = customers.ingest(MAX_RETRIES="3")
    assert (ended.status, ended.fact["status"], ended.fact["failed"]) == (4, "partial", 2)
    (manifest,) = customers.manifests()
    assert manifest["dead_pages"] == {"3": "unavailable", "7": "refused"}
    assert "2 pages could not be fetched" in manifest["note"]
    assert f"of the {ROWS} that the API states: -" in manifest["note"]
    assert Counter(customers.asked())[3] == 3
    assert Counter(customers.asked())[7] == 1
    assert len(customers.extract()) == manifest["rows"] < ROWS

    customers.crm.clear_faults()
    customers.crm.fault("http_404", match="page=7&")
    customers.crm.clear_ledger()
    ended = customers.run("rerun", "--", "--run-id", manifest["run_id"], "--failed")
    assert (ended.status, ended.fact["failed"], customers.asked()) == (3, 1, [3, 7])

    customers.crm.clear_faults()
    customers.crm.clear_ledger()
    ended = customers.ingest("--retry-failed")
    assert (ended.status, ended.fact["status"], customers.asked()) == (0, "completed", [7])
    customers.assert_equals_truth()
    assert customers.ingest().fact["status"] == "already done"
    assert customers.ingest("--retry-failed").fact["status"] == "already done"
    assert customers.asked() == [7]


def test_the_same_command_fetches_the_dead_letters_of_today(customers):
    customers.crm.fault("http_502", count=2, match="page=3&")
    assert customers.ingest(MAX_RETRIES="2").status == 4
    customers.crm.clear_ledger()
    ended = customers.ingest()
    assert (ended.status, customers.asked()) == (0, [3])
    customers.assert_equals_truth()


def test_a_source_that_is_down_is_left_alone_after_some_pages(customers):
    customers.crm.fault("http_500", after=4)
    ended = customers.ingest(MAX_RETRIES="2", API_MAX_FAILURES="3")
    assert (ended.status, len(customers.asked())) == (4, 4 + 3 * 2)
    assert "stopped after 3 pages in a row failed" in ended.fact["message"]
    assert customers.manifests() == []
    customers.crm.clear_faults()
    customers.crm.clear_ledger()
    assert customers.ingest().status == 0
    assert customers.asked()[0] == 5
    customers.assert_equals_truth()


def test_a_long_pause_that_the_source_asks_for_ends_the_run_and_is_passed_on(customers):
    customers.crm.fault("http_429", after=2, params={"retry_after": 3600})
    ended = customers.ingest()
    assert (ended.status, len(customers.asked())) == (4, 3)
    assert 3500 < ended.fact["retry_after_seconds"] <= 3600


def test_a_short_pause_is_waited_for(customers):
    customers.crm.fault("http_429", count=1, params={"retry_after": 1})
    ended = customers.ingest()
    assert (ended.status, ended.fact["retries"]) == (0, 1)
    assert ended.fact["seconds"] > 1


def test_what_does_not_add_up_is_fetched_again_and_then_refused_in_numbers(customers):
    customers.crm.fault("short_page", match="page=2&")
    ended = customers.ingest(API_MAX_SWEEPS="2")
    assert (ended.status, ended.fact["status"], ended.fact["sweeps"]) == (4, "partial", 2)
    short = ended.fact["rows"] - ROWS
    assert short < 0
    assert f"{ended.fact['rows']} rows of the {ROWS} that the API states: {short}" in ended.fact["note"]
    assert Counter(customers.asked()) == dict.fromkeys(range(1, pages_of(customers.crm) + 1), 2)
    customers.crm.clear_faults()
    assert customers.ingest().fact["status"] == "completed"
    customers.assert_equals_truth()


@pytest.mark.parametrize("customers", [{"largest_page": 20}], indirect=True)
def test_a_lowered_page_size_is_noticed_and_followed(customers):
    assert customers.ingest().status == 0
    assert {one["per_page"] for one in customers.crm.ledger()[1:]} == {20}
    customers.assert_equals_truth()


@pytest.mark.parametrize(
    "customers", [{"states_total": False}, {"states_total": False, "states_pages": False}], indirect=True
)
def test_without_a_total_two_equal_sweeps_are_the_proof(customers):
    ended = customers.ingest()
    assert (ended.status, ended.fact["total"], ended.fact["sweeps"]) == (0, None, 2)
    customers.assert_equals_truth()
    customers.crm.fault("short_page", probability=0.3)
    ended = customers.ingest("--new")
    assert (ended.status, ended.fact["status"]) == (4, "partial")
    assert "no two sweeps are equal" in ended.fact["note"]


@pytest.mark.parametrize(
    "customers", [{"missing_ids": 0.1, "missing_fields": 0.5, "null_fields": 0.5, "wrong_types": 0.5}], indirect=True
)
def test_odd_records_are_kept_as_they_came_and_counted(customers):
    assert customers.ingest().status == 0
    customers.assert_equals_truth()
    (manifest,) = customers.manifests()
    records = customers.crm.truth(records=True)["records"]
    assert manifest["without_id"] == customers.crm.truth()["without_id"] > 10
    for name in ("email", "city", "id"):
        assert manifest["fields"]["missing"].get(name, 0) == sum(name not in one for one in records) > 0
        assert manifest["fields"]["nulls"].get(name, 0) == sum(one.get(name, "") is None for one in records) > 0
    assert manifest["fields"]["unknown"] == {"loyalty": sum("loyalty" in one for one in records)}


def test_a_copy_is_kept_where_it_is_asked_for(customers):
    (customers.folder / "copies").mkdir()
    ended = customers.ingest("--local", "copies")
    extract = customers.lake / ended.fact["extract"]
    assert (customers.folder / ended.fact["local"]).read_bytes() == extract.read_bytes()
    assert (customers.folder / "copies" / extract.name).exists()
    (customers.folder / "customers.csv").write_text("of yesterday")
    ended = customers.ingest("--local", "customers.csv")
    assert (ended.fact["status"], ended.fact["local"]) == ("already done", "customers.csv")
    assert (customers.folder / "customers.csv").read_bytes() == extract.read_bytes()


def test_the_token_is_in_nothing_that_a_run_leaves_behind_and_goes_to_no_other_host(customers):
    token = "s3cr3t-of-the-CRM-4711"
    customers.crm.token = token
    with Crm(CrmSettings(token=token)) as other:
        customers.crm.fault("http_500", probability=0.2, params={"repeats_token": True})
        customers.crm.fault("http_404", match="page=4&", params={"repeats_token": True})
        customers.crm.fault("redirect", match="page=6&", params={"to": other.url})
        given = {"API_TOKEN": token, "LOG_LEVEL": "debug", "TMPDIR": str(customers.folder)}
        command = [sys.executable, "-m", "data_pipeline", "run", "ingest_customers"]
        with subprocess.Popen(
            command, env=os.environ | customers.settings | given, cwd=customers.folder,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            seen = customers.processes(process.pid)
            stdout, stderr = process.communicate(timeout=60)
        assert [one["has_token"] for one in other.ledger()][:1] == [False]
    assert (process.returncode, "401" in stderr) == (3, True)
    assert token not in stdout + stderr
    assert token.encode() not in customers.everything() + seen


def test_a_wrong_token_in_a_setting_is_not_shown(customers):
    ended = customers.ingest(API_TOKEN="two words-4711")
    assert (ended.status, "API_TOKEN='…'" in ended.stderr, "4711" in ended.stderr) == (3, True, False)


def test_a_bucket_alone_names_the_lake_and_may_not_contradict_it(customers):
    ended = customers.ingest(S3_BUCKET="a-bucket")
    assert ended.status == 2
    assert "name different lakes" in ended.stderr
    assert customers.asked() == []
    assert customers.ingest("--lake", str(customers.lake), S3_BUCKET="a-bucket", LAKE_URL="").status == 0

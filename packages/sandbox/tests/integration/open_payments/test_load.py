"""What requests cost and how the ledger shows it; the CDN's cache; pacing. Numbers of the ledger, not of a clock."""

from __future__ import annotations

import http.client
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"
ITEMS = "/api/1/metastore/schemas/dataset/items"
JANUARY = {"property": "date_of_payment", "operator": "<", "value": "02"}


def last(site):
    return site.sandbox.ledger()[-1]


def costs(site):
    entry = last(site)
    return {name: entry[f"rows_{name}"] for name in ("returned", "skipped", "scanned", "sorted")}


def test_the_ledger_keeps_what_was_asked_and_answered(start):
    site = start()
    answer = site.get(f"{QUERY}/{site.distribution}?limit=7&count=false", agent="tests/2.0")
    entry = last(site)
    assert entry["n"] == 1
    assert entry["started"] <= entry["ended"]
    assert (entry["method"], entry["target"]) == ("GET", f"{QUERY}/{site.distribution}?limit=7&count=false")
    assert (entry["status"], entry["fault"], entry["cached"]) == (200, None, False)
    assert (entry["bytes"], entry["rows_returned"]) == (len(answer.body), 7)
    assert (entry["concurrent"], entry["user_agent"]) == (1, "tests/2.0")
    assert set(entry) == {
        *("n", "started", "ended", "method", "target", "status", "fault", "bytes", "rows_returned", "rows_skipped"),
        *("rows_scanned", "rows_sorted", "concurrent", "cached", "user_agent"),
    }


def test_the_bytes_of_a_stream_are_those_of_its_body(start):
    site = start()
    answer = site.download(LARGE)
    assert (last(site)["bytes"], last(site)["rows_returned"]) == (len(answer.body), 400)


def test_an_offset_skips_rows(start):
    """Facts 2.6: a deep offset costs; one beyond the end skips all."""
    site = start()
    site.download(LARGE, offset=150, limit=10)
    assert costs(site) == {"returned": 10, "skipped": 150, "scanned": 0, "sorted": 0}
    site.download(LARGE, offset=9_999)
    assert costs(site)["skipped"] == 400


def test_a_filter_on_a_column_without_an_index_scans_rows_twice_if_they_are_counted_too(start):
    """Facts 1.7, 2.6: payer id, record id and NPI are indexed, the date is not; count=false saves the COUNT."""
    site = start()
    found = len(site.download(LARGE, conditions=[JANUARY]).rows)
    assert costs(site) == {"returned": found, "skipped": 0, "scanned": 2 * (400 - found), "sorted": 0}
    site.download(LARGE, conditions=[JANUARY], count=False)
    assert costs(site)["scanned"] == 400 - found
    everywhere = len(site.download(conditions=[JANUARY], count=False).rows)
    assert costs(site)["scanned"] == 441 - everywhere


@pytest.mark.parametrize("column", ["record_id", "covered_recipient_npi"])
def test_an_indexed_column_finds_its_rows_without_a_scan(start, column):
    """Facts 2.6."""
    site = start()
    value = site.query(limit=1).json["results"][0][column]
    rows = site.download(conditions=[{"property": column, "value": value}]).rows
    assert costs(site) == {"returned": len(rows), "skipped": 0, "scanned": 0, "sorted": 0}


def test_a_sort_sorts_all_matching_rows(start):
    site = start()
    site.download(LARGE, sorts=[{"property": "record_id", "order": "asc"}], limit=5)
    assert costs(site) == {"returned": 5, "skipped": 0, "scanned": 0, "sorted": 400}


def test_costs_delay_the_first_byte(start):
    """Facts 2.6: seconds per million rows, and a latency for every request."""
    site = start()
    site.sandbox.switch(seconds_per_million_skipped=500.0, latency_seconds=0.05)
    site.download(LARGE, offset=400)
    assert last(site)["ended"] - last(site)["started"] >= 0.25
    site.sandbox.switch(seconds_per_million_skipped=0.0, seconds_per_million_sorted=500.0, latency_seconds=0.0)
    site.download(LARGE, sorts=[{"property": "record_id", "order": "asc"}])
    assert last(site)["ended"] - last(site)["started"] >= 0.2


@pytest.mark.parametrize(
    ("setting", "rate", "least"),
    [
        ("bytes_per_second_per_stream", 1e6, 0.12),
        ("bytes_per_second", 1e6, 0.12),
    ],
)
def test_a_paced_stream_takes_its_time_and_loses_nothing(start, setting, rate, least):
    """400 rows are some 230 kB; a twentieth of a second goes at once."""
    site = start()
    whole = sorted(site.download(LARGE).body.split(b"\n"))
    site.sandbox.switch(**{setting: rate})
    paced = site.download(LARGE)
    entry = last(site)
    assert sorted(paced.body.split(b"\n")) == whole
    assert entry["rows_returned"] == 400
    assert entry["ended"] - entry["started"] >= least


def test_the_common_rate_is_shared_by_all_streams(start):
    site = start()
    site.sandbox.switch(bytes_per_second=2e6)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(site.download, [LARGE] * 4))
    entries = site.sandbox.ledger()
    sent = sum(entry["bytes"] for entry in entries)
    took = max(entry["ended"] for entry in entries) - min(entry["started"] for entry in entries)
    assert sent / took <= 2e6 * 1.2 + 4 * 0.05 * 2e6


def test_the_ledger_counts_requests_at_the_same_time(start):
    """Three answers begun and not read: none fits into the buffers between server and client."""
    site = start(company_rows={LARGE: 40_000})
    address = urlsplit(site.sandbox.url)
    connections = [http.client.HTTPConnection(address.hostname or "", address.port, timeout=30) for _ in range(3)]
    for connection in connections:
        path = f"{QUERY}/{site.distribution}/download?format=csv"
        connection.request("GET", path, headers={"User-Agent": "tests"})
        assert connection.getresponse().status == 200
    assert [entry["concurrent"] for entry in site.sandbox.ledger()] == [1, 2, 3]
    assert site.sandbox.summary()["max_concurrent"] == 3
    for connection in connections:
        connection.close()


def test_a_request_after_a_finished_one_is_alone(start):
    site = start()
    for _ in range(20):
        site.download(TINY)
        assert last(site)["concurrent"] == 1


def test_the_summary_adds_the_ledger_up(start):
    site = start()
    site.sandbox.fault("http_503", count=1)
    for limit in (1, 2, 501):
        site.query(limit=limit)
    summary = site.get("/_sandbox/ledger/summary").json
    assert summary["requests"] == 3
    assert summary["by_status"] == {"503": 1, "200": 1, "400": 1}
    assert summary["by_fault"] == {"http_503": 1}
    assert summary["rows_returned"] == 2
    assert summary["bytes"] == sum(entry["bytes"] for entry in site.sandbox.ledger())
    site.sandbox.clear_ledger()
    assert site.sandbox.ledger() == []


def test_the_cache_repeats_an_answer_byte_for_byte_to_the_same_url_only(start):
    """Facts 1.7: a CDN may serve the same URL for an hour, also when the source has moved on."""
    site = start(cache_seconds=60)
    first = site.download(LARGE)
    site.sandbox.switch(degraded=True)
    assert site.download(LARGE).body == first.body
    assert last(site)["cached"]
    assert (last(site)["rows_skipped"], last(site)["rows_returned"]) == (0, 400)
    assert site.download(LARGE, limit=400).status == 503
    page = site.query(limit=1)
    assert site.query(limit=1).body == page.body
    assert last(site)["cached"]


def test_errors_and_broken_answers_are_not_cached(start):
    site = start(cache_seconds=60)
    site.sandbox.fault("http_500", count=1)
    assert [site.query(limit=1).status for _ in range(2)] == [500, 200]


def test_the_control_interface_leaves_no_trace_in_the_ledger(start):
    site = start()
    assert site.get("/_sandbox/ledger").json == []
    assert site.sandbox.ledger() == []


def test_what_the_methods_do_http_does_too(start):
    """Truth, ledger, faults, settings and publications under /_sandbox/."""
    site = start()
    truth = site.get(f"/_sandbox/truth?year=2024&company_id={LARGE}&ids=true").json
    assert truth == site.sandbox.truth(2024, LARGE, ids=True)
    assert "ids" not in site.get("/_sandbox/truth?year=2024").json["companies"][LARGE]
    assert site.post("/_sandbox/faults", {"name": "http_500", "count": 1, "match": "items"}).status == 200
    (fault,) = site.get("/_sandbox/faults").json
    assert [fault] == site.sandbox.faults()
    assert site.get(ITEMS).status == 500
    assert site.request("DELETE", "/_sandbox/faults").status == 200
    assert site.get("/_sandbox/faults").json == []
    assert site.request("DELETE", "/_sandbox/ledger").status == 200
    assert site.post("/_sandbox/settings", {"dialect": "A", "degraded": True}).status == 200
    assert site.get("/_sandbox/settings").json["dialect"] == site.sandbox.settings.dialect == "A"
    told = site.post("/_sandbox/republish", {"year": 2024, "changed": 0.1, "imported_share": 0.5}).json
    assert told["rows_in_table"] < told["rows"]
    assert site.post("/_sandbox/finish-import", {"year": 2024}).json["rows_in_table"] == told["rows"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "settings", {"scale": 1.0}, 400),
        ("POST", "settings", {"colour": "red"}, 400),
        ("POST", "faults", {"name": "rain"}, 400),
        ("POST", "faults", {"name": "stall", "seconds": 1}, 400),
        ("POST", "republish", {"year": 1999}, 400),
        ("GET", "truth", None, 400),
        ("GET", "secrets", None, 404),
    ],
)
def test_a_control_that_cannot_be_done_says_why(start, method, path, body, status):
    answer = start().request(method, f"/_sandbox/{path}", body)
    assert answer.status == status
    assert answer.json["error"]


def test_memory_is_bounded_and_rows_come_back_the_same(start):
    """The least recently read rows are forgotten and made anew."""
    site = start(rows_in_memory=410)
    first = sorted(site.download(LARGE).body.split(b"\n"))
    assert len(site.download().rows) == 441
    assert sorted(site.download(LARGE).body.split(b"\n")) == first

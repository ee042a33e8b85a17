"""Each fault does what its name says, to a body of many rows and to one of a single row."""

from __future__ import annotations

import http.client
import json

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
ITEMS = "/api/1/metastore/schemas/dataset/items"
COUNT = {"expression": {"operator": "count", "operands": ["record_id"]}, "alias": "n"}
ROWS = {LARGE: 400, TINY: 1}


def fired(site) -> list[str]:
    return [entry["fault"] for entry in site.sandbox.ledger() if entry["fault"]]


@pytest.mark.parametrize(
    ("name", "status", "text"),
    [
        ("http_500", 500, b"Internal Server Error"),
        ("http_502", 502, b"Bad Gateway"),
        ("http_503", 503, b'{"message":"Try again later after 120 seconds.","code":503}'),
        ("http_504", 504, b"Gateway Timeout"),
        ("http_429", 429, b"Too Many Requests"),
        ("waf_403", 403, b"Access Denied"),
        ("waf_200", 200, b"Access Denied"),
    ],
)
def test_a_status_fault_answers_in_the_source_s_place(start, name, status, text):
    """Facts 1.6, 2.6."""
    site = start()
    site.sandbox.fault(name, count=1)
    struck = site.get(ITEMS)
    assert (struck.status, text in struck.body) == (status, True)
    assert struck.headers["Content-Type"] == ("application/json" if name == "http_503" else "text/html")
    assert site.get(ITEMS).json
    assert fired(site) == [name]


@pytest.mark.parametrize(("form", "shown"), [("seconds", "7"), ("date", "GMT"), ("none", None)])
def test_too_many_requests_says_when_to_come_back(start, form, shown):
    site = start()
    site.sandbox.fault("http_429", params={"retry_after": 7, "form": form})
    header = site.get(ITEMS).headers["Retry-After"]
    assert header == shown if form != "date" else header.endswith("GMT")


def test_a_short_body_ends_in_order_inside_a_record(start):
    site = start(company_rows=ROWS)
    whole = {company: site.download(company) for company in ROWS}
    site.sandbox.fault("short_body")
    for company, answer in whole.items():
        torn = site.download(company)
        assert len(torn.rows) <= len(answer.rows)
        assert len(torn.rows[-1]) < 91
        assert not torn.body.endswith(b"\n")
    assert fired(site) == ["short_body"] * 2


@pytest.mark.parametrize(("name", "problem"), [("cut_body", http.client.IncompleteRead), ("reset", OSError)])
@pytest.mark.parametrize("company", [LARGE, TINY])
def test_a_dropped_connection_shows_as_one(start, name, problem, company):
    site = start(company_rows=ROWS)
    site.sandbox.fault(name, count=1)
    with pytest.raises((problem, ConnectionResetError)):
        site.download(company)
    assert fired(site) == [name]
    assert len(site.download(company).rows) == ROWS[company]


@pytest.mark.parametrize("company", [LARGE, TINY])
def test_short_rows_miss_whole_rows_at_the_end(start, company):
    site = start(company_rows=ROWS)
    site.sandbox.fault("short_rows")
    answer = site.download(company)
    assert len(answer.rows) < ROWS[company]
    assert {len(row) for row in answer.table} == {91}
    assert site.count(conditions=[{"property": PAYER, "value": company}]) == ROWS[company]


@pytest.mark.parametrize("company", [LARGE, TINY])
@pytest.mark.parametrize("position", ["middle", "last"])
def test_an_error_row_is_one_field_with_status_200(start, company, position):
    """Facts 1.7: the exception's text as the last CSV row."""
    site = start(company_rows=ROWS)
    site.sandbox.fault("error_row", params={"position": position})
    answer = site.download(company)
    assert answer.status == 200
    assert answer.rows[-1] == ["SQLSTATE[HY000]: General error: 2006 MySQL server has gone away"]
    before = len(answer.rows) - 1
    assert before == ROWS[company] if position == "last" else before < ROWS[company]
    assert {len(row) for row in answer.table[:-1]} == {91}


@pytest.mark.parametrize("company", [LARGE, TINY])
def test_a_repeated_row_stands_in_another_s_place(start, company):
    site = start(company_rows=ROWS)
    site.sandbox.fault("repeated_row")
    ids = site.download(company).column("Record_ID")
    if company == LARGE:
        assert (len(ids), len(set(ids))) == (400, 399)
    else:
        assert (len(ids), len(set(ids))) == (2, 1)


@pytest.mark.parametrize("rows", [{LARGE: 400, TINY: 1}, {TINY: 1}])
def test_a_foreign_row_belongs_to_another_company(start, rows):
    """Also in a world of a single payer."""
    site = start(company_rows=rows)
    site.sandbox.fault("foreign_row")
    for company, count in rows.items():
        title = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
        payers = site.download(company).column(title)
        assert len(payers) == count
        assert sum(payer != company for payer in payers) == 1


@pytest.mark.parametrize(("scope", "rows", "counted"), [("download", 401, 1), ("count", 1, 401), ("both", 401, 401)])
def test_conditions_can_be_ignored_by_one_endpoint_or_both(start, scope, rows, counted):
    """Facts 1.2: HTTP 200 with everything."""
    site = start(company_rows=ROWS)
    site.sandbox.fault("conditions_ignored", params={"scope": scope})
    assert len(site.download(TINY).rows) == rows
    assert site.count(conditions=[{"property": PAYER, "value": TINY}]) == counted


def test_a_bad_answer_is_cached_under_its_url_alone(start):
    """Facts 1.7: max-age 3600; another spelling of the same question reaches the source."""
    site = start(company_rows=ROWS)
    site.sandbox.fault("cached_bad", count=1)
    bad = site.download(LARGE)
    again = site.download(LARGE)
    assert len(bad.rows) < 400
    assert again.body == bad.body
    assert again.headers["Age"] == "0"
    assert len(site.download(LARGE, limit=1000).rows) == 400
    assert [entry["cached"] for entry in site.sandbox.ledger()] == [False, True, False]


@pytest.mark.parametrize(
    ("change", "strange", "width"),
    [
        ("rename", 1, 91),
        ("add", 1, 92),
        ("remove", 0, 90),
    ],
)
def test_a_drifted_header_has_rows_that_fit_it(start, change, strange, width):
    """Facts 3.2: the header depends on the publication."""
    site = start(company_rows=ROWS)
    header = site.download(LARGE).table[0]
    site.sandbox.fault("header_drift", params={"change": change})
    table = site.download(LARGE).table
    assert {len(row) for row in table} == {width}
    assert len({*table[0]} - {*header}) == strange
    assert len({*header} - {*table[0]}) == (0 if change == "add" else 1)
    assert len(site.query(results=False).json["schema"][site.distribution]["fields"]) == 91


def test_a_wrong_count_is_off_by_one(start):
    site = start(company_rows=ROWS)
    site.sandbox.fault("wrong_count")
    assert abs(site.count(conditions=[{"property": PAYER, "value": LARGE}]) - 400) == 1
    rows = site.query(properties=[PAYER, COUNT], groupings=[PAYER], schema=False).json["results"]
    assert sorted(abs(int(row["n"]) - ROWS[row[PAYER]]) for row in rows) == [0, 1]
    assert len(site.download(LARGE).rows) == 400


@pytest.mark.parametrize("company", [LARGE, TINY])
def test_a_stall_delays_and_loses_nothing(start, company):
    site = start(company_rows=ROWS)
    site.sandbox.fault("stall", params={"seconds": 0.3})
    assert len(site.download(company).rows) == ROWS[company]
    (entry,) = site.sandbox.ledger()
    assert entry["ended"] - entry["started"] >= 0.3
    assert entry["fault"] == "stall"


def test_a_drip_sends_the_end_of_a_body_a_byte_at_a_time(start):
    site = start(company_rows=ROWS)
    site.sandbox.fault("drip", params={"bytes_per_second": 5000})
    assert len(site.download(TINY).rows) == ROWS[TINY]
    (entry,) = site.sandbox.ledger()
    assert entry["ended"] - entry["started"] >= 250 / 5000  # of a row of over 500 bytes the second half at least
    assert entry["fault"] == "drip"


def test_a_slow_start_delays_the_first_byte(start):
    site = start()
    site.sandbox.fault("slow_start", params={"seconds": 0.2})
    assert site.get(ITEMS).status == 200
    (entry,) = site.sandbox.ledger()
    assert entry["ended"] - entry["started"] >= 0.2


def test_json_garbage_is_cut_json_with_status_200(start):
    site = start()
    site.sandbox.fault("json_garbage", count=1)
    answer = site.query(limit=1)
    assert answer.status == 200
    with pytest.raises(json.JSONDecodeError):
        answer.json  # noqa: B018
    assert len(site.query(limit=1).json["results"]) == 1


@pytest.mark.parametrize("name", ["cut_body", "reset"])
def test_a_page_can_be_dropped_too(start, name):
    site = start()
    site.sandbox.fault(name)
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        site.query()


def test_a_republication_can_come_between_two_requests(start):
    site = start()
    old = site.distribution
    site.sandbox.fault("republish", count=1, match="/download", params={"changed": 0.5})
    assert site.download(LARGE).status == 404
    assert site.distribution != old
    assert len(site.download(LARGE).rows) == 400


def test_a_fault_that_cannot_apply_does_not_fire(start):
    """No rows, nothing to spoil; no conditions, nothing to ignore."""
    site = start(company_rows={LARGE: 400, TINY: 0})
    for name in ("short_rows", "short_body", "cut_body", "error_row", "repeated_row", "foreign_row", "reset", "stall"):
        site.sandbox.fault(name, count=1, match="download")
    site.sandbox.fault("conditions_ignored", count=1)
    assert site.download(TINY, conditions=[{"property": "record_id", "value": "none"}]).status == 200
    unfired = [fault for fault in site.sandbox.faults() if fault["name"] != "conditions_ignored"]
    assert [fault["fired"] + fault["seen"] for fault in unfired] == [0] * 8


def test_faults_wait_count_and_match(start):
    """`after` skips matching requests, `count` ends the fault, others never meet it."""
    site = start()
    site.sandbox.fault("http_500", match="limit=3", after=1, count=2)
    statuses = [site.query(limit=limit).status for limit in (3, 4, 3, 3, 3, 4)]
    assert statuses == [200, 200, 500, 500, 200, 200]
    (fault,) = site.sandbox.faults()
    assert (fault["seen"], fault["fired"]) == (4, 2)


def test_a_match_need_not_know_how_the_client_encodes(start):
    site = start()
    site.sandbox.fault("http_500", match="conditions[0][property]")
    assert site.download(LARGE).status == 500
    assert site.download().status == 200


def test_probabilities_repeat_themselves_with_the_seed(start):
    """The same requests in the same order meet the same faults."""

    def statuses(site):
        site.sandbox.fault("http_503", probability=0.4)
        return [site.get("/api/1/entities/companies/1").status for _ in range(30)]

    first, second = statuses(start(seed=3)), statuses(start(seed=3))
    assert first == second
    assert set(first) == {404, 503}


def test_at_most_one_fault_strikes_a_request(start):
    """The first in the order of setting."""
    site = start()
    site.sandbox.fault("slow_start", params={"seconds": 0})
    site.sandbox.fault("short_rows")
    assert len(site.download(LARGE).rows) == 400
    assert fired(site) == ["slow_start"]

"""The CRM over HTTP, as a client that trusts nothing sees it."""

import json
import urllib.error
import urllib.request

import pytest

from sandbox.crm import Crm, CrmSettings
from sandbox.crm.server import STAGES


@pytest.fixture
def crm():
    with Crm(CrmSettings(customers=60, empty_pages=(1,))) as running:
        yield running


def get(crm, path, *, token="sandbox-token", method="GET", data=None):
    """Status, headers and body of an answer; status 0 without one."""
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(crm.url + path, headers=headers, method=method, data=data)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()
    except OSError:
        return 0, {}, b""
    except Exception as error:  # noqa: BLE001 - http.client's, of a body that was cut
        return 0, {}, str(error).encode()


def page(crm, number=1, per_page=50):
    return json.loads(get(crm, f"/api/v1/customers?page={number}&per_page={per_page}")[2])


def test_pages_hold_every_customer_once_and_say_how_many_there_are(crm):
    first = page(crm)
    pages = [page(crm, number) for number in range(1, first["metadata"]["total_pages"] + 1)]
    rows = [row for one in pages for row in one["data"]]
    assert rows == crm.truth(records=True)["records"]
    assert len(rows) == 60 == crm.truth()["total"]
    assert {one["metadata"]["total"] for one in pages} == {60}
    assert [len(one["data"]) for one in pages][:2] == [0, 0], "the first hundred places are free"
    assert page(crm, 99)["data"] == []


def test_a_page_can_be_no_larger_than_the_api_likes(crm):
    said = page(crm, per_page=5000)["metadata"]
    assert (said["per_page"], said["page"]) == (1000, 1)


def test_only_who_has_the_token_is_answered(crm):
    assert get(crm, "/api/v1/customers", token="other")[0] == 401
    assert get(crm, "/api/v1/orders")[0] == 404
    assert get(crm, "/api/v1/customers?page=0")[0] == 422
    assert [one["status"] for one in crm.ledger()] == [401, 404, 422]


@pytest.mark.parametrize("name", sorted(STAGES))
def test_a_fault_changes_an_answer_and_only_that_one(crm, name):
    usual = page(crm, 3)
    crm.fault(name, count=1, match="page=3", params={"seconds": 0.01})
    status, _, body = get(crm, "/api/v1/customers?page=3&per_page=50")
    assert body != json.dumps(usual).encode() or status != 200
    assert crm.faults.listed()[0]["fired"] == 1
    assert [one["fault"] for one in crm.ledger()][1] == name
    if name not in ("inserted", "deleted"):
        assert page(crm, 3) == usual


def test_a_fault_may_name_a_pause_and_repeat_the_token(crm):
    crm.fault("http_429", params={"retry_after": 7, "repeats_token": True})
    status, headers, body = get(crm, "/api/v1/customers")
    assert (status, headers["Retry-After"]) == (429, "7")
    assert b"Bearer sandbox-token" in body


def test_who_comes_and_goes_changes_the_total_and_moves_the_others(crm):
    before = page(crm, 3)
    crm.world.insert()
    assert page(crm, 3)["metadata"]["total"] == 61
    assert page(crm, 3)["data"] != before["data"]
    crm.world.delete()
    assert page(crm, 3) == before


def test_what_is_asked_is_controlled_and_seen_over_http(crm):
    assert json.loads(get(crm, "/_sandbox/truth")[2])["total"] == 60
    assert get(crm, "/_sandbox/faults", method="POST", data=b'{"name": "http_500", "count": 1}')[0] == 200
    assert get(crm, "/_sandbox/faults", method="POST", data=b'{"name": "nonsense"}')[0] == 400
    assert get(crm, "/_sandbox/nothing")[0] == 404
    assert get(crm, "/api/v1/customers")[0] == 500
    assert [one["status"] for one in json.loads(get(crm, "/_sandbox/ledger")[2])] == [500]


def test_the_same_seed_gives_the_same_customers():
    settings = CrmSettings(customers=40, seed=3, missing_ids=0.5, wrong_types=1.0)
    with Crm(settings) as one, Crm(settings) as other:
        assert one.truth(records=True) == other.truth(records=True)
        assert 0 < one.truth()["without_id"] < 40

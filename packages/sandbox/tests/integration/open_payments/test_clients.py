"""What public clients of the source send, byte by byte, and what they get (facts 1.1, 1.2, 5)."""

from __future__ import annotations

import csv
import http.client
import io
import json
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
DATASET = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY, ITEMS = "/api/1/datastore/query", "/api/1/metastore/schemas/dataset/items"
JSON = {"Content-Type": "application/json"}
OF_SMALL = [{"property": PAYER, "value": SMALL, "operator": "="}]
RESOURCES = [{"id": "{id}", "alias": "t"}]


class Client(NamedTuple):
    """A request; `{id}` stands for the distribution's id."""

    agent: str
    method: str
    target: str
    headers: Mapping[str, str] = MappingProxyType({})
    body: object = None


def as_brackets(*pairs):
    """Conditions as most clients encode them."""
    return "&".join(f"conditions%5B{at}%5D%5B{name}%5D={text}" for at, name, text in pairs)


CLIENTS = {
    "curl -g": Client(
        "curl/8.5.0", "GET",
        f"{QUERY}/{{id}}?conditions[0][property]={PAYER}&conditions[0][value]={SMALL}&conditions[0][operator]==&limit=500",
        {"Accept": "*/*"},
    ),
    "Python requests": Client(
        "python-requests/2.32.3", "GET",
        f"{QUERY}/{DATASET}/0?{as_brackets((0, 'property', PAYER), (0, 'value', SMALL), (0, 'operator', '%3D'))}",
        {"Accept-Encoding": "gzip, deflate", "Accept": "*/*"},
    ),
    "Python requests with json=": Client(
        "python-requests/2.32.3", "POST", f"{QUERY}/{{id}}", JSON,
        {"conditions": [{"property": PAYER, "value": [SMALL], "operator": "in"}], "limit": 500, "offset": 0},
    ),
    "R httr": Client(
        "libcurl/8.5.0 r-curl/5.2.0 httr/1.4.7", "POST", QUERY, JSON | {"Accept": "application/json, text/xml, */*"},
        {"resources": RESOURCES, "conditions": [{"resource": "t", **OF_SMALL[0]}], "limit": 500},
    ),
    "fetch in a browser or Node": Client(
        "node", "POST", f"{QUERY}/{DATASET}/0", {"content-type": "application/json", "sec-fetch-mode": "cors"},
        {"conditions": [{"groupOperator": "or", "conditions": OF_SMALL}], "keys": True, "results": True},
    ),
    "Go net/http": Client(
        "Go-http-client/1.1", "GET",
        f"{QUERY}/{{id}}?{as_brackets((0, 'operator', 'between'), (0, 'property', PAYER))}&limit=499&"
        f"{as_brackets((0, 'value%5D%5B0', SMALL), (0, 'value%5D%5B1', SMALL))}"
        "&sorts%5B0%5D%5Border%5D=asc&sorts%5B0%5D%5Bproperty%5D=record_id",
    ),
    "urllib with JSON": Client(
        "Python-urllib/3.12", "POST", f"{QUERY}/{{id}}", JSON,
        {"conditions": [{"property": PAYER, "value": f"{SMALL[:-1]}%{SMALL[-1]}", "operator": "like"}]},
    ),
    ".NET HttpClient": Client(
        "", "GET",
        f"{QUERY}/{{id}}?{as_brackets((0, 'property', PAYER), (0, 'operator', 'starts+with'), (0, 'value', SMALL))}",
    ),
}  # fmt: skip


def send(site, client: Client):
    """The client's bytes, and no header that it does not send itself."""
    address = urlsplit(site.sandbox.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=30)
    body = json.dumps(client.body).replace("{id}", site.distribution).encode() if client.body is not None else b""
    connection.putrequest(client.method, client.target.replace("{id}", site.distribution), skip_accept_encoding=True)
    for name, text in client.headers.items():
        connection.putheader(name, text)
    if client.agent:
        connection.putheader("User-Agent", client.agent)
    if body:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, json.loads(answer.read())
    connection.close()
    return found


@pytest.mark.parametrize("name", CLIENTS)
def test_each_client_gets_the_rows_it_asks_for(site, name):
    status, answer = send(site, CLIENTS[name])
    assert status == 200, answer
    assert answer["count"] == 300
    assert {row["record_id"] for row in answer["results"]} == set(site.download(SMALL).column("Record_ID"))
    assert {row[PAYER] for row in answer["results"]} == {SMALL}


def test_a_reader_of_files_finds_the_whole_publication_behind_the_catalogue(start):
    """As pandas does: urllib, with its own agent, on `downloadURL`; also while the table is being imported."""
    site = start()
    site.sandbox.republish(2024, removed=3, added=5, imported_share=0.5)
    address = site.get(f"{ITEMS}/{DATASET}").json["distribution"][0]["downloadURL"]
    assert address.startswith(f"{site.sandbox.url}/openpayments/PGYR2024_P01232026_")
    with urllib.request.urlopen(address, timeout=30) as answer:
        assert answer.headers["Content-Type"] == "text/csv"
        header, *rows = csv.reader(io.StringIO(answer.read().decode(), newline=""))
    truth = site.sandbox.truth(2024, ids=True)
    place = header.index("Record_ID")
    assert sorted(row[place] for row in rows) == sorted(
        number for known in truth["companies"].values() for number in known["ids"]
    )
    assert truth["rows_in_table"] < len(rows) == truth["rows"]


def test_a_file_without_rows_here_is_not_simulated(site):
    items = site.get(ITEMS).json
    statuses = {item["title"]: site.get(urlsplit(item["distribution"][0]["downloadURL"]).path).status for item in items}
    assert statuses["Reporting entity profile information"] == 200
    assert {status for title, status in statuses.items() if "distinct" in title} == {501}


PATHS = ["/{id}", f"/{DATASET}/0", "/{id}/download", f"/{DATASET}/0/download", "", "/download"]


@pytest.mark.parametrize("path", PATHS)
def test_a_json_body_means_what_the_parameters_of_a_get_mean(site, path):
    """Facts 1.2: on every route of queries."""
    target = QUERY + path.replace("{id}", site.distribution)
    query = {"conditions": OF_SMALL, "sorts": [{"property": "record_id", "order": "asc"}], "limit": 7, "offset": 3}
    query |= {"format": "csv"} if path.endswith("download") else {}
    query |= {} if path.startswith("/") and path != "/download" else {
        "resources": [{"id": site.distribution, "alias": "x"}]
    }  # fmt: skip
    got, posted = site.get(target, **query), site.post(target, query)
    assert (got.status, posted.status) == (200, 200)
    if path.endswith("download"):
        assert got.body == posted.body
        assert len(got.rows) == 7
    else:
        assert got.json == posted.json
        assert len(got.json["results"]) == 7


def test_the_parameters_of_a_post_s_address_mean_nothing(site):
    answer = site.post(f"{QUERY}/{site.distribution}?limit=3&results=false", {"limit": 2})
    assert len(answer.json["results"]) == 2


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"limit=5", 400, "Invalid JSON"),
        (b"", 400, "Invalid JSON"),
        (b"[1]", 501, "The sandbox does not simulate a POST whose body is no JSON object."),
        (b'{"limit":501}', 400, "JSON Schema validation failed."),
        (b'{"resources":[{"id":"x","alias":"t"}]}', 400, "Joins are not available and resources"),
        (b'{"rowIds":true,"properties":["record_id"]}', 400, "The rowIds property cannot be set to true if"),
        (b'{"properties":["record_number"]}', 400, "The record_number property is for internal use"),
    ],
)  # fmt: skip
def test_a_body_that_the_source_refuses_is_refused(site, body, status, message):
    answer = site.request("POST", f"{QUERY}/{site.distribution}", body)
    assert (answer.status, answer.json["message"][: len(message)]) == (status, message)


def test_a_query_of_no_resource_finds_nothing(site):
    """DKAN answers 200 where the resource or its alias is missing."""
    for resources in ([], [{"id": site.distribution}]):
        answer = site.post(QUERY, {"resources": resources})
        assert answer.status == 200
        assert (answer.json["results"], answer.json["count"], answer.json["schema"]) == ([], 0, [])
    unknown = site.post(QUERY, {"resources": [{"id": DATASET, "alias": "t"}]})
    assert unknown.status == 404


def test_a_post_is_not_answered_from_the_cdn_s_copy(start):
    site = start(cache_seconds=60.0)
    target = f"{QUERY}/{site.distribution}"
    assert site.get(target).json["count"] == 441
    for _ in range(2):
        assert site.post(target, {"conditions": OF_SMALL}).json["count"] == 40
    assert [entry["cached"] for entry in site.sandbox.ledger()] == [False] * 3


def test_the_schema_of_queries_is_shown(site):
    schema = site.get(f"{QUERY}/schema").json
    assert schema["properties"]["limit"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 500}
    assert set(schema["definitions"]) >= {"condition", "conditionGroup", "expression", "resourceProperty", "sort"}
    assert site.post(f"{QUERY}/schema", {}).json["message"] == "Could not find identifier and version for schema"


@pytest.mark.parametrize("flag", ["show-reference-ids", "show-reference-ids=false", "show_reference_ids=1"])
def test_any_value_of_the_flag_shows_ids_of_references(site, flag):
    """Facts 1.8."""
    plain, item = site.get(f"{ITEMS}/{DATASET}").json, site.get(f"{ITEMS}/{DATASET}?{flag}").json
    (distribution,) = item["distribution"]
    assert distribution == {"identifier": site.distribution, "data": plain["distribution"][0]}
    for name in ("theme", "keyword"):
        assert [one["data"] for one in item[name]] == plain[name]
    assert item["publisher"]["data"] == plain["publisher"]
    assert item["%modified"].startswith(plain["modified"])
    assert distribution["identifier"] in site.get(f"{ITEMS}?{flag}").body.decode()


@pytest.mark.parametrize(
    ("method", "target", "what"),
    [
        ("GET", "/api/1/datastore/sql?query=[SELECT * FROM x];".replace(" ", "%20"), "GET /api/1/datastore/sql"),
        ("GET", "/api/1/search?fulltext=payments", "GET /api/1/search"),
        ("GET", "/api/1", "GET /api/1"),
        ("GET", "/data.json", "GET /data.json"),
        ("GET", "/api/1/metastore/schemas/data-dictionary/items/x", "GET /api/1/metastore/schemas/data-dictionary"),
        ("POST", ITEMS, f"POST {ITEMS}"),
        ("GET", f"{QUERY}/a/b/c", f"GET {QUERY}/a/b/c"),
        ("DELETE", f"{QUERY}/a", f"DELETE {QUERY}/a"),
        ("GET", "/openpayments/PGYR2024/nothing.csv", "the file /openpayments/PGYR2024/nothing.csv"),
    ],
)
def test_what_is_not_simulated_is_a_501_that_names_it(site, method, target, what):
    answer = site.request(method, target)
    assert answer.status == 501
    assert answer.json["message"].startswith(f"The sandbox does not simulate {what}")

"""The query endpoints: parameters, the row cap, conditions, sorts, groups and errors (facts 1.1 to 1.6)."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
DATASET = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"
COUNT = {"expression": {"operator": "count", "operands": ["record_id"]}, "alias": "n"}


def test_an_answer_has_the_members_of_a_real_one_in_their_order(site):
    """Facts 1.5."""
    answer = site.query(limit=2).json
    assert list(answer) == ["results", "count", "schema", "query"]
    assert answer["count"] == 2_801
    assert len(answer["results"]) == 2
    row = answer["results"][0]
    assert len(row) == 91
    assert all(isinstance(value, str) for value in row.values())
    assert row["teaching_hospital_ccn"] == ""
    schema = answer["schema"][site.distribution]
    assert schema["fields"]["change_type"] == {"type": "text", "mysql_type": "text", "description": "Change_Type"}
    assert list(schema["fields"]) == list(row) == answer["query"]["properties"]
    assert answer["query"]["resources"] == [{"id": site.distribution, "alias": "t"}]
    defaults = {"limit": 2, "offset": 0, "count": True, "results": True, "schema": True, "keys": True}
    assert answer["query"].items() >= {**defaults, "format": "json"}.items()


def test_dataset_and_index_resolve_to_the_distribution(site):
    """Facts 1.1, 1.5, 2.1: the cheap probe."""
    answer = site.get(f"{QUERY}/{DATASET}/0?results=false&count=true&schema=true").json
    assert list(answer) == ["count", "schema", "query"]
    assert answer["query"]["resources"][0]["id"] == site.distribution


def test_members_are_left_out_when_their_flag_is_false(site):
    """Facts 1.5."""
    assert list(site.query(results=False, count=False, schema=False).json) == ["query"]


@pytest.mark.parametrize("path", ["", "/download"])
def test_a_dataset_id_in_place_of_a_distribution_id_is_a_404(site, path):
    """Facts 1.1, 1.6."""
    answer = site.get(f"{QUERY}/{DATASET}{path}?format=csv")
    assert answer.status == 404
    assert answer.json["message"] == f"Error retrieving metadata: distribution {DATASET} not found."


@pytest.mark.parametrize(("dataset", "index"), [(DATASET, "1"), ("fb0b1734-1410-429d-92f6-3f4b35218e5e", "0")])
@pytest.mark.parametrize("path", ["", "/download"])
def test_an_unknown_dataset_or_index_is_a_404_with_nothing_but_a_message(site, dataset, index, path):
    """Facts 1.1, 1.6."""
    answer = site.get(f"{QUERY}/{dataset}/{index}{path}?format=csv")
    assert answer.status == 404
    assert answer.json == {"message": f"No resource found for dataset {dataset} at index {index}"}


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        ("nonsense", "Could not find identifier and version for nonsense"),
        ("0123__456", "No datastore storage found for 0123:456."),
    ],
)
def test_an_id_of_no_known_kind_is_a_400(site, identifier, message):
    """Facts 1.6."""
    answer = site.get(f"{QUERY}/{identifier}")
    assert (answer.status, answer.json["message"]) == (400, message)


def test_more_than_five_hundred_rows_are_refused_with_the_real_body(site):
    """Facts 1.4: rejected, not clamped; a download has no such cap."""
    answer = site.query(limit=501)
    assert answer.status == 400
    body = answer.json
    datetime.fromisoformat(body.pop("timestamp"))
    assert body == {
        "message": "JSON Schema validation failed.",
        "status": 400,
        "data": {
            "keyword": "maximum",
            "pointer": "limit",
            "message": "The attribute value must be less than or equal 500.",
        },
    }
    assert site.query(limit=501, format="csv").status == 400
    assert len(site.query().json["results"]) == 500
    assert len(site.download(limit=501).rows) == 501


def test_limit_zero_is_refused_by_the_newer_line_and_no_limit_in_the_older(start):
    """Facts 1.3."""
    site = start(dialect="B")
    assert site.query(limit=0).json["data"]["message"] == "The attribute value must be greater than or equal 1."
    site.sandbox.switch(dialect="A")
    assert len(site.query(limit=0).json["results"]) == 441
    assert site.query(limit=-1).json["message"] == "Database internal error."


@pytest.mark.parametrize(
    ("query", "keyword", "pointer"),
    [
        ("limit=ten", "type", "limit"),
        ("count=1", "type", "count"),
        ("format=xml", "enum", "format"),
        ("conditions[0][property]=record_id&conditions[0][value]=1&conditions[0][operator]=is", "enum",
         "conditions/0/operator"),
        ("conditions[0][property]=record_id", "required", "conditions/0"),
        ("conditions=1", "type", "conditions"),
        ("properties[0][expression][operator]=count", "required", "properties/0"),
    ],
)  # fmt: skip
def test_a_query_that_breaks_the_schema_is_told_where(site, query, keyword, pointer):
    """Facts 1.6."""
    answer = site.get(f"{QUERY}/{site.distribution}?{query}")
    assert answer.status == 400
    assert answer.json["message"] == "JSON Schema validation failed."
    assert (answer.json["data"]["keyword"], answer.json["data"]["pointer"]) == (keyword, pointer)


@pytest.mark.parametrize("names", ["properties[0]=record_id&properties[2]=change_type",
                                   "properties[1]=record_id&properties[0]=change_type"])  # fmt: skip
def test_array_indexes_must_be_consecutive_and_in_order(site, names):
    """Facts 1.2: PHP makes an object of them."""
    answer = site.get(f"{QUERY}/{site.distribution}?{names}")
    assert answer.status == 400
    assert answer.json["data"]["pointer"] == "properties"
    assert answer.json["data"]["message"] == "The attribute expected to be of type 'array' but 'object' given."
    pushed = site.get(f"{QUERY}/{site.distribution}?properties[]=record_id&properties[]=change_type&limit=1")
    assert list(pushed.json["results"][0]) == ["record_id", "change_type"]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ({"rowIds": True}, "rowIds=true"),
        ({"format": "csv"}, "format=csv outside /download"),
        ({"sorts": [{"order": "asc"}]}, "sorts without a property"),
    ],
)
def test_what_the_source_has_and_the_sandbox_lacks_is_no_answer_of_the_source(site, query, what):
    """A status that the source never gives."""
    answer = site.query(**query)
    assert (answer.status, answer.json["message"]) == (501, f"The sandbox does not simulate {what}.")


def test_unknown_parameters_are_ignored_and_give_everything(site):
    """Facts 1.2: HTTP 200 with the unfiltered table."""
    answer = site.get(f'{QUERY}/{site.distribution}?filter[{PAYER}]={TINY}&query={{"limit":1}}&results=false')
    assert (answer.status, answer.json["count"]) == (200, 2_801)


CONDITIONS = [
    ("=", "ca", lambda text: text == "CA"),
    ("<>", "CA", lambda text: text != "CA"),
    ("<", "CA", lambda text: text < "CA"),
    ("<=", "CA", lambda text: text <= "CA"),
    (">", "NY", lambda text: text > "NY"),
    (">=", "ny", lambda text: text >= "NY"),
]


@pytest.mark.parametrize(("operator", "value", "holds"), CONDITIONS)
def test_operators_compare_texts_and_ignore_case(site, operator, value, holds):
    """Facts 1.3."""
    states = site.download(SMALL).column("Recipient_State")
    condition = {"property": "recipient_state", "operator": operator, "value": value}
    found = site.download(SMALL, conditions=[condition]).column("Recipient_State")
    assert sorted(found) == sorted(filter(holds, states))
    assert 0 < len(found) < len(states)


def test_numbers_compare_as_texts(site):
    """Facts 1.3: "100" < "20"."""
    condition = {"property": "total_amount_of_payment_usdollars", "operator": "<", "value": "2"}
    amounts = site.download(SMALL, conditions=[condition]).column("Total_Amount_of_Payment_USDollars")
    assert amounts
    assert all(amount[0] in "01" for amount in amounts)
    assert max(map(float, amounts)) > 10


def test_a_month_is_cut_by_days_that_do_not_exist(site):
    """Facts 1.3: from 01/00 to 01/99 on a text column."""
    dates = site.download(LARGE).column("Date_of_Payment")
    month = [
        {"property": "date_of_payment", "operator": ">=", "value": "01/00/2024"},
        {"property": "date_of_payment", "operator": "<=", "value": "01/99/2024"},
    ]
    found = site.download(LARGE, conditions=month).column("Date_of_Payment")
    assert sorted(found) == sorted(date for date in dates if date.startswith("01/"))
    assert site.count(conditions=[{"property": PAYER, "value": LARGE}, *month]) == len(found)


def test_months_leave_the_impossible_date_to_a_remainder(site):
    """Facts 3.1: 11/30/0002 is in the file and in no month of the year."""
    odd = {"property": "date_of_payment", "operator": "=", "value": "11/30/0002"}
    assert set(site.download(LARGE, conditions=[odd]).column("Date_of_Payment")) == {"11/30/0002"}
    other = {**odd, "operator": "<>"}
    assert {date[-4:] for date in site.download(LARGE, conditions=[other]).column("Date_of_Payment")} == {"2024"}


@pytest.mark.parametrize(
    "query",
    [
        {"conditions": [{"property": "nothing", "value": "1"}]},
        {"properties": ["record_id", "nothing"]},
        {"sorts": [{"property": "nothing", "order": "asc"}]},
        {"properties": ["nothing"], "groupings": ["nothing"]},
    ],
)
def test_an_unknown_column_is_a_400(site, query):
    """Facts 1.6."""
    answer = site.query(**query)
    assert (answer.status, answer.json["message"]) == (400, "Column not found.")


@pytest.mark.parametrize("order", ["ASC", "up"])
def test_an_order_is_asc_or_desc_in_lower_case(site, order):
    """Facts 1.3: the schema of queries lists the two."""
    answer = site.query(sorts=[{"property": "record_id", "order": order}])
    assert (answer.status, answer.json["data"]["pointer"]) == (400, "sorts/0/order")
    answer = site.query(sorts=[{"property": "record_id"}])
    assert (answer.status, answer.json["message"]) == (400, "Invalid sort.")


def test_sorts_go_by_text_one_property_after_the_other(site):
    """Facts 1.3."""
    sorts = [{"property": "recipient_state", "order": "asc"}, {"property": "record_id", "order": "desc"}]
    found = site.download(SMALL, sorts=sorts)
    pairs = list(zip(found.column("Recipient_State"), found.column("Record_ID"), strict=True))
    assert pairs == sorted(sorted(pairs, key=lambda pair: pair[1], reverse=True), key=lambda pair: pair[0])


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_a_few_sorted_rows_are_the_first_of_all_sorted_rows(site, order):
    sorts = [{"property": "record_id", "order": order}]
    ids = site.download(LARGE, sorts=sorts).column("Record_ID")
    assert len(ids) > 300
    for offset in (0, 1):
        few = site.download(LARGE, sorts=sorts, limit=2, offset=offset).column("Record_ID")
        assert few == ids[offset : offset + 2]


def test_ids_of_2023_sort_as_texts_not_as_numbers(start):
    """Facts 1.3: nine and ten digits stand in one column."""
    site = start(years=(2023,), company_rows={LARGE: 300, SMALL: 300})
    distribution = site.sandbox.truth(2023, "nobody")["distribution_id"]
    sorts = [{"property": "record_id", "order": "asc"}]
    ids = site.get(f"{QUERY}/{distribution}/download", format="csv", sorts=sorts).column("Record_ID")
    assert {len(number) for number in ids} == {9, 10}
    assert ids == sorted(ids)
    assert ids != sorted(ids, key=int)


def test_sorted_pages_are_disjoint_and_complete(site):
    """Facts 1.3: a unique sort is what keeps offset pages from skipping or repeating rows."""
    sorts = [{"property": "record_id", "order": "asc"}]
    pages = [site.download(LARGE, sorts=sorts, limit=500, offset=at).column("Record_ID") for at in range(0, 3_000, 500)]
    ids = [number for page in pages for number in page]
    assert ids == sorted(ids)
    assert ids == site.sandbox.truth(2024, LARGE, ids=True)["companies"][LARGE]["ids"]
    assert pages[-1] == []


def test_unsorted_pages_overlap_and_skip(site):
    """Facts 1.3: database order, not stable between requests."""
    pages = [site.download(LARGE, limit=500, offset=at).column("Record_ID") for at in range(0, 2_500, 500)]
    ids = [number for page in pages for number in page]
    assert [len(page) for page in pages] == [500] * 5
    assert len(set(ids)) < 2_500


def test_a_sort_that_leaves_ties_does_not_fix_their_order(site):
    """Facts 1.3: nothing adds a tiebreaker."""
    sorts = [{"property": "covered_recipient_type", "order": "asc"}]
    first, second = (site.download(LARGE, sorts=sorts) for _ in range(2))
    assert first.column("Covered_Recipient_Type") == second.column("Covered_Recipient_Type")
    assert first.column("Record_ID") != second.column("Record_ID")
    assert sorted(first.column("Record_ID")) == sorted(second.column("Record_ID"))


def test_a_count_ignores_limit_and_offset(site):
    """Facts 1.3."""
    assert site.query(limit=1, offset=200, conditions=[{"property": PAYER, "value": SMALL}]).json["count"] == 300


def test_a_grouped_count_gives_every_payer_s_rows_and_the_number_of_groups(site):
    """Facts 1.3, 2.4; the values are texts."""
    answer = site.query(properties=[PAYER, COUNT], groupings=[PAYER], schema=False).json
    told = {row[PAYER]: row["n"] for row in answer["results"]}
    assert told == {LARGE: "2500", SMALL: "300", TINY: "1"}
    assert answer["count"] == 3


def test_a_grouped_download_has_aliases_in_its_header(site):
    """Facts 1.7: the title of a column, the alias of an expression."""
    answer = site.download(
        properties=[PAYER, COUNT], groupings=[PAYER], sorts=[{"property": "n", "order": "desc"}], limit=2
    )
    title = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
    assert answer.table == [[title, "n"], [LARGE, "2500"], [SMALL, "300"]]


def test_a_sum_equals_a_computation_from_the_rows(site):
    """Facts 1.3, 1.5: it comes back as a text."""
    amount = "total_amount_of_payment_usdollars"
    total = {"expression": {"operator": "sum", "operands": [amount]}, "alias": "sum"}
    told = site.query(conditions=[{"property": PAYER, "value": SMALL}], properties=[total]).json
    (row,) = told["results"]
    values = list(map(float, site.download(SMALL).column("Total_Amount_of_Payment_USDollars")))
    assert isinstance(row["sum"], str)
    assert float(row["sum"]) == pytest.approx(sum(values))
    assert told["count"] == 300


def test_groups_of_a_varying_column_are_counted_from_the_rows(site):
    """Facts 1.3."""
    name = "nature_of_payment_or_transfer_of_value"
    rows = site.query(properties=[name, COUNT], groupings=[name]).json["results"]
    natures = site.download().column("Nature_of_Payment_or_Transfer_of_Value")
    assert {row[name]: int(row["n"]) for row in rows} == {nature: natures.count(nature) for nature in set(natures)}


def test_a_column_beside_an_aggregate_needs_a_grouping(site):
    """Facts 1.6."""
    answer = site.query(properties=[PAYER, COUNT])
    assert answer.status == 400
    assert answer.json["message"].startswith(
        "You may not mix simple properties and aggregation expressions in a single query."
    )
    ungrouped = site.query(properties=[PAYER, "record_id", COUNT], groupings=[PAYER])
    assert ungrouped.json["message"] == "Un-grouped properties found in aggregate query: record_id"


def test_a_source_without_groups_says_so_as_an_overloaded_one(start):
    """Facts 1.6."""
    site = start(grouped_counts=False)
    answer = site.query(properties=[PAYER, COUNT], groupings=[PAYER])
    assert (answer.status, answer.json["message"]) == (400, "Database internal error.")


def test_degraded_the_source_answers_only_what_is_cheap(start):
    """Facts 1.6: 503 with Retry-After for whatever costs, the plain first page goes through."""
    site = start(degraded=True, retry_after_seconds=2)
    text = "Datastore queries are temporarily limited due to high server load. Remove conditions, joins, groupings, "
    costly: list[dict[str, Any]] = [
        {"offset": 1},
        {"sorts": [{"property": "record_id", "order": "asc"}]},
        {"groupings": ["record_id"]},
        {"conditions": [{"property": PAYER, "value": TINY}]},
    ]
    for query in costly:
        answer = site.query(**query)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "2")
        assert answer.json["message"] == text + "sorts, and offsets to retry."
    assert site.query(limit=1).status == 200
    download = site.download(TINY)
    assert download.status == 503
    assert download.json["message"] == (
        "Datastore downloads are temporarily limited due to high server load. All streaming responses are currently "
        "unavailable."
    )
    site.sandbox.switch(retry_after_form="date")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", site.download(TINY).headers["Retry-After"])
    site.sandbox.switch(degraded=False)
    assert site.download(TINY).status == 200

"""Aggregates, arithmetic, groups and names of what is selected, as DKAN makes SQL of them (facts 1.3)."""

from __future__ import annotations

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
AMOUNT, TITLE = "total_amount_of_payment_usdollars", "Total_Amount_of_Payment_USDollars"
NUMBER = "number_of_payments_included_in_total_amount"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"
OF_SMALL = [{"property": PAYER, "value": SMALL}]
NOBODY = [{"property": PAYER, "value": "nobody"}]


def made(operator, *operands, alias="n"):
    return {"expression": {"operator": operator, "operands": list(operands)}, "alias": alias}


def test_each_of_several_aggregates_has_its_own_value(site):
    amounts = site.download(SMALL).column(TITLE)
    dollars = [float(amount) for amount in amounts]
    asked = [
        made("count", "record_id", alias="rows"),
        made("sum", AMOUNT, alias="dollars"),
        made("avg", AMOUNT, alias="mean"),
        made("min", AMOUNT, alias="first"),
        made("max", AMOUNT, alias="last"),
        made("sum", NUMBER, alias="payments"),
    ]
    (row,) = site.query(conditions=OF_SMALL, properties=asked).json["results"]
    assert list(row) == ["rows", "dollars", "mean", "first", "last", "payments"]
    assert row["rows"] == "300"
    assert float(row["dollars"]) == pytest.approx(sum(dollars))
    assert float(row["mean"]) == pytest.approx(sum(dollars) / 300)
    assert (row["first"], row["last"]) == (min(amounts), max(amounts))  # of texts
    numbers = site.download(SMALL).column("Number_of_Payments_Included_in_Total_Amount")
    assert int(row["payments"]) == sum(map(int, numbers))


def test_a_count_and_a_sum_by_group_are_each_its_own(site):
    asked = [PAYER, made("count", "record_id", alias="rows"), made("sum", AMOUNT, alias="dollars")]
    answer = site.query(properties=asked, groupings=[PAYER], sorts=[{"property": "dollars", "order": "desc"}]).json
    told = {row[PAYER]: row for row in answer["results"]}
    for company, rows in ((LARGE, "2500"), (SMALL, "300"), (TINY, "1")):
        assert told[company]["rows"] == rows
        amounts = site.download(company).column(TITLE)
        assert float(told[company]["dollars"]) == pytest.approx(sum(map(float, amounts)))
    dollars = [float(row["dollars"]) for row in answer["results"]]
    assert dollars == sorted(dollars, reverse=True)
    assert answer["count"] == 3


def test_over_no_rows_a_count_is_zero_and_everything_else_null(site):
    asked = [made(name, AMOUNT, alias=name) for name in ("count", "sum", "avg", "min", "max")]
    (row,) = site.query(conditions=NOBODY, properties=asked).json["results"]
    assert row == {"count": "0", "sum": None, "avg": None, "min": None, "max": None}
    csv = site.get(f"{QUERY}/{site.distribution}/download", format="csv", conditions=NOBODY, properties=asked)
    assert csv.table == [["count", "sum", "avg", "min", "max"], ["0", "", "", "", ""]]


def test_arithmetic_is_worked_out_row_by_row_and_inside_aggregates(site):
    asked = [AMOUNT, made("*", AMOUNT, 2, alias="twice"), made("/", AMOUNT, 0, alias="nothing")]
    sorts = [{"property": "twice", "order": "desc"}]
    rows = site.query(conditions=OF_SMALL, properties=asked, sorts=sorts).json["results"]
    doubles = [float(row["twice"]) for row in rows]
    assert doubles == sorted((2 * float(row[AMOUNT]) for row in rows), reverse=True)
    assert {row["nothing"] for row in rows} == {None}
    half = {"expression": {"operator": "/", "operands": [AMOUNT, 2]}}
    mean = [{"expression": made(name, AMOUNT)["expression"]} for name in ("sum", "count")]
    (both,) = site.query(conditions=OF_SMALL, properties=[made("sum", half), made("/", *mean, alias="mean")]).json[
        "results"
    ]
    assert float(both["n"]) == pytest.approx(sum(doubles) / 4)
    assert float(both["mean"]) == pytest.approx(sum(doubles) / 2 / len(rows))


def test_properties_and_groupings_may_name_their_resource(site):
    """The key is the alias; a CSV header is the column's title all the same."""
    payer = {"resource": "t", "property": PAYER}
    asked = [payer | {"alias": "who"}, made("count", {"resource": "t", "property": "record_id"})]
    told = site.query(properties=asked, groupings=[{"property": PAYER}]).json["results"]
    assert {row["who"]: row["n"] for row in told} == {LARGE: "2500", SMALL: "300", TINY: "1"}
    assert site.query(properties=[payer], groupings=[payer]).json["count"] == 3
    table = site.download(TINY, properties=[payer | {"alias": "who"}]).table
    assert table == [["Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"], [TINY]]
    other = [{"resource": "x", "property": PAYER}]
    assert site.query(properties=other).json["message"] == "Column not found."
    assert site.query(properties=[payer], groupings=other).json["count"] == 3  # DKAN groups by the name alone


def test_names_that_are_taken_change_and_columns_come_before_expressions(site):
    """As Drupal builds the statement; the CSV header keeps the order of the query."""
    asked = [made("*", AMOUNT, 1), made("*", AMOUNT, 2), "record_id", "record_id"]
    (row,) = site.query(conditions=[{"property": PAYER, "value": TINY}], properties=asked).json["results"]
    assert list(row) == ["record_id", "t_record_id", "n", "n_2"]
    assert float(row["n_2"]) == 2 * float(row["n"])
    table = site.download(TINY, properties=[made("*", AMOUNT, 1, alias="of dollars"), "record_id"]).table
    assert table == [["of dollars", "Record_ID"], [row["record_id"], row["n"]]]


def test_groups_by_an_expression_and_rows_as_arrays(site):
    tens = made("-", AMOUNT, {"expression": {"operator": "%", "operands": [AMOUNT, 10]}}, alias="tens")
    asked = {"properties": [tens, made("count", "record_id")], "groupings": ["tens"], "keys": False}
    told = site.query(conditions=OF_SMALL, sorts=[{"property": "tens", "order": "asc"}], **asked).json["results"]
    amounts = [float(text) // 10 * 10 for text in site.download(SMALL).column(TITLE)]
    assert [(float(ten), int(rows)) for ten, rows in told] == [
        (ten, amounts.count(ten)) for ten in sorted(set(amounts))
    ]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"properties": [made("sum", AMOUNT), made("+", AMOUNT, 1)]}, "You may not mix simple properties"),
        ({"properties": [PAYER, made("+", AMOUNT, 1)], "groupings": [PAYER]}, "Database internal error."),
        ({"properties": [made("sum", AMOUNT)], "groupings": ["n"]}, "Database internal error."),
        ({"properties": [made("sum", "nothing")]}, "Column not found."),
        ({"properties": [made("sum", {"property": AMOUNT})]}, "Bad query property: "),
        ({"properties": [{"expression": {"operator": "count"}, "alias": "n"}]}, "Database internal error."),
    ],
)
def test_what_the_database_cannot_run_is_a_400(site, query, message):
    answer = site.query(**query)
    assert (answer.status, answer.json["message"][: len(message)]) == (400, message)

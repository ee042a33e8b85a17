"""Operators and groups of conditions, as DKAN makes SQL of them (facts 1.3)."""

from __future__ import annotations

import re

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
COMPANIES = "1cf0c6c0-c377-466e-b78f-037b442559f8"
QUERY = "/api/1/datastore/query"
STATE, CITY = "recipient_state", "recipient_city"


def meeting(operator, value, name=STATE):
    return {"property": name, "operator": operator, "value": value}


def group(operator, *conditions):
    return {"groupOperator": operator, "conditions": list(conditions)}


OPERATORS = [
    (meeting("in", ["ca", "NY"]), lambda state, _: state in {"CA", "NY"}),
    (meeting("in", "CA"), lambda state, _: state == "CA"),
    (meeting("not in", ["CA", "NY"]), lambda state, _: state not in {"CA", "NY"}),
    (meeting("between", ["CA", "ny"]), lambda state, _: "CA" <= state <= "NY"),
    (meeting("like", "_a"), lambda state, _: len(state) == 2 and state.endswith("A")),
    (meeting("like", "%AN%", CITY), lambda _, city: "an" in city.lower()),
    (meeting("LIKE", "S%", CITY), lambda _, city: city.lower().startswith("s")),
    (meeting("contains", "an", CITY), lambda _, city: "an" in city.lower()),
    (meeting("starts with", "S", CITY), lambda _, city: city.lower().startswith("s")),
    (group("or", meeting("=", "CA"), meeting("=", "NY")), lambda state, _: state in {"CA", "NY"}),
    (group("or", meeting("=", "CA"), group("and", meeting(">", "CA"), meeting("contains", "an", CITY))),
     lambda state, city: state == "CA" or (state > "CA" and "an" in city.lower())),
    (group("and", meeting("<>", "CA"), meeting("<", "NY")), lambda state, _: state != "CA" and state < "NY"),
]  # fmt: skip


@pytest.mark.parametrize(("condition", "holds"), OPERATORS)
def test_rows_are_those_that_meet_the_condition(site, condition, holds):
    everything = site.download(LARGE)
    ids = everything.column("Record_ID")
    rows = zip(ids, everything.column("Recipient_State"), everything.column("Recipient_City"), strict=True)
    wanted = {number for number, state, city in rows if holds(state, city)}
    found = site.download(LARGE, conditions=[condition])
    assert 0 < len(wanted) < len(ids)
    assert sorted(found.column("Record_ID")) == sorted(wanted)
    assert site.count(conditions=[{"property": PAYER, "value": LARGE}, condition]) == len(wanted)


def test_a_dialect_takes_operators_that_are_not_in_its_schema(start):
    """In A a condition passes as a group that requires nothing; B refuses it."""
    site = start(dialect="A")
    states = site.download(SMALL).column("Recipient_State")
    assert len(site.download(SMALL, conditions=[meeting("!=", "CA")]).rows) == len(states) - states.count("CA")
    assert site.query(conditions=[meeting("sounds like", "CA")]).status == 501
    assert site.query(conditions=[{"operator": "=", "value": "CA"}]).json["message"] == "Invalid condition"
    assert site.query(conditions=[{"property": STATE}]).json["message"] == "Bad query property."
    odd = {"property": 5, "operator": 7, "value": True, "resource": ["t"]}
    assert site.post(f"{QUERY}/{site.distribution}", {"conditions": [odd]}).status == 400
    site.sandbox.switch(dialect="B")
    refused = site.query(conditions=[meeting("!=", "CA")])
    assert (refused.status, refused.json["data"]["pointer"]) == (400, "conditions/0/operator")


def test_payers_are_chosen_by_groups_without_reading_rows(start):
    site = start(scale=0.0001)
    chosen = [{"property": PAYER, "operator": "in", "value": [LARGE, SMALL]}]
    either = [group("or", meeting("=", LARGE, PAYER), meeting("=", SMALL, PAYER))]
    assert site.count(conditions=chosen) == site.count(conditions=either) > 1
    assert {entry["rows_scanned"] for entry in site.sandbox.ledger()} == {0}


def test_a_pattern_inside_a_text_scans_a_column_with_an_index(start):
    """Facts 2.6: LIKE takes more than a minute."""
    site = start()
    number = site.query(limit=1).json["results"][0]["record_id"]
    for operator, scanned in (("=", 0), ("in", 0), ("starts with", 0), ("contains", 440), ("like", 440)):
        assert site.count(conditions=[meeting(operator, number, "record_id")]) == 1
        assert site.sandbox.ledger()[-1]["rows_scanned"] == scanned, operator


@pytest.mark.parametrize(
    ("value", "meets"),
    [
        ("pharma*", lambda words: any(word.startswith("pharma") for word in words)),
        ("+inc +pharma*", lambda words: "inc" in words and any(word.startswith("pharma") for word in words)),
        ("inc -pharma*", lambda words: "inc" in words and not any(word.startswith("pharma") for word in words)),
        ("inc llc", lambda words: bool({"inc", "llc"} & set(words))),
    ],
)
def test_the_company_list_is_searched_by_words(start, value, meets):
    """Facts 2.3: operator `match`, value `pfizer*`."""
    site = start(scale=0.0001)
    name = "amgpo_making_payment_name"
    rows = site.get(f"{QUERY}/{COMPANIES}/0/download", format="csv").column("AMGPO_Making_Payment_Name")
    wanted = sorted(one for one in rows if meets(re.findall(r"\w+", one.lower())))
    found = site.get(f"{QUERY}/{COMPANIES}/0/download", format="csv", conditions=[meeting("match", value, name)])
    assert 0 < len(wanted) < len(rows)
    assert sorted(found.column("AMGPO_Making_Payment_Name")) == wanted


@pytest.mark.parametrize(
    ("condition", "status", "message"),
    [
        (meeting("match", "inc"), 400, "You have attempted a fulltext match against a column that is not indexed"),
        (meeting("=", ["CA", "NY"]), 400, "Database internal error."),
        (meeting("between", ["CA"]), 400, "Database internal error."),
        (meeting("between", ["CA", "NY", "TX"]), 501, "The sandbox does not simulate the operator 'between'"),
        (meeting("contains", ["CA"]), 501, "The sandbox does not simulate the operator 'contains'"),
        (meeting("=", {"property": CITY}), 501, "The sandbox does not simulate a condition whose value is a property"),
        (group("or"), 400, "Database internal error."),
        ({"conditions": [meeting("=", "CA")]}, 400, "Invalid condition"),
        ({**meeting("=", "CA"), "resource": "x"}, 400, "Column not found."),
        (meeting("=", "CA", "t.recipient_state"), 400, "JSON Schema validation failed."),
    ],
)
def test_a_condition_that_cannot_run_is_refused_as_the_source_does(site, condition, status, message):
    answer = site.post(f"{QUERY}/{site.distribution}", {"conditions": [condition]})
    assert (answer.status, answer.json["message"][: len(message)]) == (status, message)

"""Aggregates, arithmetic, groups and names of what is selected, as DKAN makes SQL of them (facts 1.3)."""

from __future__ import annotations

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
AMOUNT, TITLE = "total_amount_of_payment_usdollars", "Total_Amount_of_Payment_USDollars"
NUMBER = "number_of_payments_included_in_total_amount"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
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

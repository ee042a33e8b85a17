"""What CMS says of a year itself, beside what we have of it: differences are numbers, and nothing of it fails a run."""

from decimal import Decimal

import duckdb
import pytest
import requests

pytestmark = pytest.mark.timeout(300)
FIRST, SECOND, THIRD = "100000000053", "100000000054", "100000000062"
WORLD = {"company_rows": {FIRST: {"general": 900}, SECOND: 300, THIRD: 40}, "first_companies": None}
HOSPITALS_ID = "217ad1a7-b659-41f6-8159-c41b73f47de4"
HOSPITALS = "Payments grouped by Teaching Hospital"
COLUMNS = "entity_kind, entity_id, found_in, payments_difference, amount_usd, cms_amount_usd, amount_difference_usd"


def rows(world, fact, question):
    with duckdb.connect(str(world.lake / fact["file"]), read_only=True) as database:
        return database.execute(question).fetchall()


def distribution_of_hospitals(world):
    probe = f"{world.source.url}/api/1/datastore/query/{HOSPITALS_ID}/0?results=false"
    return requests.get(probe, timeout=30).json()["query"]["resources"][0]["id"]


def said_of(fact):
    return {one["summary"]: one["status"] for one in fact["summaries"]}


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_one_cent_and_one_company_that_cms_has_otherwise_are_exactly_the_differences(world):
    world.source.switch(summary_mistakes={FIRST: 1, THIRD: None})
    built = world.run("build", "--", "--year", "2024")
    assert (built.status, built.fact["years"][0]["status"]) == (0, "closed"), built.stderr

    marts = world.run("build_marts")

    assert (marts.status, marts.fact["status"]) == (0, "already built"), marts.stderr
    amounts = dict(rows(world, marts.fact, "SELECT company_id, amount_usd FROM mart_top_companies"))
    cent, lost = Decimal("0.01"), amounts[THIRD]
    assert rows(world, marts.fact, f"SELECT {COLUMNS} FROM mart_reconciliation WHERE is_different ORDER BY 2") == [
        ("company", FIRST, "both", 0, amounts[FIRST], amounts[FIRST] + cent, -cent),
        ("company", THIRD, "ours", 40, lost, None, lost),
    ]
    companies, hospitals = marts.fact["reconciled"]
    assert (companies["entity_kind"], companies["entities"], companies["entities_differing"]) == ("company", 3, 2)
    assert (companies["is_whole_year"], companies["payments_difference"]) == (True, 40)
    assert Decimal(companies["amount_difference_usd"]) == lost - cent
    assert Decimal(companies["amount_differing_usd"]) == lost + cent
    assert (hospitals["entity_kind"], hospitals["entities_differing"]) == ("teaching_hospital", 0)
    assert hospitals["entities"] > 0
    page = (world.lake / built.fact["years"][0]["page"]).read_text()
    assert f"-{cent}" in page
    assert f"+{lost - cent:,.2f}" in page
    assert f"2 of\n{3 + hospitals['entities']} companies and hospitals" in page


@pytest.mark.parametrize("fault", ["not listed", "http_500", "short_body", "short_rows", "waf_403", "text_line"])
def test_whatever_is_wrong_with_a_summary_the_run_ends_as_without_it(world, fault):
    if fault == "not listed":
        world.source.switch(retitled={HOSPITALS: "Payments"})
    else:
        world.source.fault(fault, match=f"{distribution_of_hospitals(world)}/download")
    ended = world.pipeline(SOURCE_ATTEMPTS="2")

    assert (ended.status, ended.fact["status"], ended.fact["closed"]) == (0, "completed", True), ended.stderr
    assert said_of(ended.fact) == {"reporting-entities": "stored", "teaching-hospitals": "not stored"}
    assert "a summary of CMS is not stored" in ended.stderr
    assert [path.name for path in world.lake.glob("raw/summary=*")] == ["summary=reporting-entities"]
    world.assert_equals_truth()
    world.source.clear_faults()
    world.source.switch(retitled={})
    again = world.pipeline()
    assert (again.status, again.fact["status"]) == (0, "already done"), again.stderr
    assert said_of(again.fact) == {"teaching-hospitals": "stored"}
    assert world.run("gc", "--", "--older-than-hours", "0").fact["objects"] == 0
    assert world.run("verify", "--", "--run-id", ended.fact["run_id"]).status == 0

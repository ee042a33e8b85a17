"""A year is published again: ids, marks and rows change, and sometimes the import is not done (facts 1.8, 3.1)."""

from __future__ import annotations

from collections import Counter

import pytest

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
DATASET = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
ITEM = f"/api/1/metastore/schemas/dataset/items/{DATASET}"
LARGE, SMALL, TINY = "100000000053", "100000000066", "100000000144"
QUERY = "/api/1/datastore/query"
ROWS = {LARGE: 4_000, SMALL: 900, TINY: 100}


def truth(site, company=LARGE):
    return site.sandbox.truth(2024, company, ids=True)["companies"][company]


def test_the_first_publication_is_new_but_for_a_few_added(start):
    """Facts 3.1: NEW 99.97 %, ADD 0.03 %."""
    site = start(company_rows={LARGE: 10_000})
    marks = Counter(site.download(LARGE).column("Change_Type"))
    assert marks in ({"NEW": 9_997, "ADD": 3}, {"NEW": 9_996, "ADD": 4})
    assert set(site.download(LARGE).column("Payment_Publication_Date")) == {"06/30/2025"}


def test_published_again_unchanged_every_mark_changes_and_no_content(start):
    """Facts 3.1: almost all UNCHANGED; the content hash leaves these two columns out."""
    site = start(company_rows=ROWS)
    old, before = site.distribution, truth(site)
    told = site.sandbox.republish(2024)
    assert told["distribution_id"] == site.distribution != old
    assert told["modified"] == site.get(ITEM).json["modified"] == "2026-01-23"
    assert truth(site) == before
    answer = site.download(LARGE)
    assert set(answer.column("Change_Type")) == {"UNCHANGED"}
    assert set(answer.column("Payment_Publication_Date")) == {"01/23/2026"}
    assert site.get(f"{QUERY}/{old}/download?format=csv").status == 404
    probe = site.get(f"{QUERY}/{DATASET}/0?results=false").json
    assert probe["query"]["resources"][0]["id"] == site.distribution


def test_rows_go_come_and_change_and_say_so(start):
    """Facts 3.3: counts can go down as well as up."""
    site = start(company_rows=ROWS)
    before = {company: set(truth(site, company)["ids"]) for company in ROWS}
    site.sandbox.republish(2024, removed=0.1, added=0.02, changed=50)
    marks: Counter[str] = Counter()
    for company, ids in before.items():
        answer = site.download(company)
        now = set(answer.column("Record_ID"))
        marks += Counter(answer.column("Change_Type"))
        added = {number for number, mark in zip(answer.column("Record_ID"), answer.column("Change_Type"), strict=True)
                 if mark == "ADD"}  # fmt: skip
        assert now - ids == added
        assert len(now) == truth(site, company)["rows"] == len(answer.rows)
    assert marks == {"UNCHANGED": 4_450, "CHANGED": 50, "ADD": 100}
    assert site.count() == 4_600


def test_a_changed_row_keeps_its_id_and_not_its_content(start):
    site = start(company_rows={LARGE: 300})
    before = {row[56]: row[1:-1] for row in site.download(LARGE).rows}
    site.sandbox.republish(2024, changed=7)
    after = {row[56]: (row[0], row[1:-1]) for row in site.download(LARGE).rows}
    differing = {number for number, (_, content) in after.items() if content != before[number]}
    assert differing == {number for number, (mark, _) in after.items() if mark == "CHANGED"}
    assert len(differing) == 7


def test_rows_stay_in_the_order_of_the_date_s_text_after_additions(start):
    """A window of dates is as complete after a publication as before."""
    site = start(company_rows={LARGE: 2_000})
    for _ in range(3):
        site.sandbox.republish(2024, added=0.05, removed=0.03)
    everything = site.download(LARGE)
    condition = {"property": "date_of_payment", "operator": "<", "value": "07"}
    half = site.download(LARGE, conditions=[condition])
    expected = [number for number, date in zip(everything.column("Record_ID"), everything.column("Date_of_Payment"),
                                               strict=True) if date < "07"]  # fmt: skip
    assert sorted(half.column("Record_ID")) == sorted(expected)
    ids = everything.column("Record_ID")
    assert len(ids) == len(set(ids)) == truth(site)["rows"]


def test_the_old_release_can_stay_readable(start):
    site = start(company_rows={LARGE: 100})
    old = site.distribution
    before = site.download(LARGE).column("Record_ID")
    site.sandbox.republish(2024, removed=0.5, keep_old=True)
    kept = site.get(f"{QUERY}/{old}/download?format=csv")
    assert sorted(kept.column("Record_ID")) == sorted(before)
    assert set(kept.column("Change_Type")) == {"NEW"}
    assert len(site.download(LARGE).rows) == 50


def test_a_half_imported_table_is_consistently_half(start):
    """Count, grouped counts and downloads agree; the catalogue shows the new release already."""
    site = start(company_rows=ROWS)
    told = site.sandbox.republish(2024, imported_share=0.4)
    assert (told["rows"], told["rows_in_table"]) == (5_000, 2_000)
    assert site.get(ITEM).json["modified"] == told["modified"]
    count = {"expression": {"operator": "count", "operands": ["record_id"]}, "alias": "n"}

    def counts():
        grouped = site.query(properties=[PAYER, count], groupings=[PAYER]).json["results"]
        told = {row[PAYER]: int(row["n"]) for row in grouped}
        for company, rows in told.items():
            assert site.count(conditions=[{"property": PAYER, "value": company}]) == rows
            assert len(site.download(company).rows) == rows
            month = {"property": "date_of_payment", "operator": ">=", "value": "03"}
            assert len(site.download(company, conditions=[month]).rows) <= rows
        assert len(site.download().rows) == site.count() == sum(told.values())
        return told

    assert counts() == {LARGE: 1_600, SMALL: 360, TINY: 40}
    half = truth(site)
    assert half["rows"] == 4_000
    site.sandbox.finish_import(2024)
    assert counts() == ROWS
    assert truth(site)["content_hash"] == half["content_hash"]


def test_years_are_published_apart_from_each_other(start):
    site = start(years=(2023, 2024), company_rows={LARGE: 20})
    before = site.sandbox.truth(2023)
    site.sandbox.republish(2024, changed=1.0)
    assert site.sandbox.truth(2023) == before
    ids = [set(site.sandbox.truth(year, LARGE, ids=True)["companies"][LARGE]["ids"]) for year in (2023, 2024)]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("company", [LARGE, TINY])
def test_everything_can_be_removed(start, company):
    site = start()
    site.sandbox.republish(2024, removed=1.0)
    assert site.count() == 0
    assert site.download(company).rows == []

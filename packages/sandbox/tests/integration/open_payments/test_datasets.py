"""Research and Ownership Payments are served as General Payments are (facts 3.3 to 3.5)."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import pytest

from sandbox.open_payments.columns import columns

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment_id"
ITEMS = "/api/1/metastore/schemas/dataset/items"
SUMMARY = "d5762bed-26ca-4035-91c9-9d67297dc77c"
HOSPITALS = "217ad1a7-b659-41f6-8159-c41b73f47de4"
QUERY = "/api/1/datastore/query"
DATASETS = {
    "general": "e6b17c6a-2534-4207-a4a1-6746a14911ff",
    "research": "2f15cb85-8887-4dcc-a318-1f8ec1d815b3",
    "ownership": "9ac4f7f8-b6e4-4d80-8410-4aba7e71dd02",
}
LARGE, SMALL, OTHER = "100000000053", "100000000066", "100000000144"
ROWS: dict[str, int | dict[str, int]] = {LARGE: {"general": 7, "research": 900, "ownership": 60}}
ROWS |= {SMALL: {"general": 5, "research": 4}, OTHER: 2}
AMOUNTS = {"research": "Total_Amount_of_Payment_USDollars", "ownership": "Value_of_Interest"}
both = pytest.mark.parametrize("name", ["research", "ownership"])


@pytest.fixture
def mixed(start):
    return start(company_rows=ROWS)


def rows_of(name):
    return {company: count if isinstance(count, int) else count.get(name, 0) for company, count in ROWS.items()}


def distribution(site, name):
    return site.sandbox.truth(2024, "nobody", dataset=name)["distribution_id"]


def download(site, name, company=None, **query):
    if company is not None:
        query["conditions"] = [{"property": PAYER, "operator": "=", "value": company}]
    return site.get(f"{QUERY}/{distribution(site, name)}/download", **{"format": "csv", **query})


@both
def test_the_catalogue_item_leads_to_the_dataset_s_own_table(mixed, name):
    """Facts 1.8: the distribution's id follows from the dataset's by a query."""
    item = mixed.get(f"{ITEMS}/{DATASETS[name]}").json
    assert item["title"] == f"2024 {name.title()} Payment Data"
    assert item["theme"] == [f"{name.title()} Payments"]
    probe = mixed.get(f"{QUERY}/{DATASETS[name]}/0", results=False).json
    assert probe["query"]["resources"][0]["id"] == distribution(mixed, name)
    assert probe["count"] == sum(rows_of(name).values())
    fields = next(iter(probe["schema"].values()))["fields"]
    assert [(key, field["description"]) for key, field in fields.items()] == list(columns(name))
    assert (
        item["distribution"][0]["downloadURL"]
        .split("/")[-1]
        .startswith({"research": "OP_DTL_RSRCH_PGYR2024_", "ownership": "OP_DTL_OWNRSHP_PGYR2024_"}[name])
    )


@both
def test_a_payer_s_download_is_complete_and_its_own(mixed, name):
    truth = mixed.sandbox.truth(2024, dataset=name, ids=True)
    assert {company: known["rows"] for company, known in truth["companies"].items()} == {
        company: count for company, count in rows_of(name).items() if count
    }
    for company, known in truth["companies"].items():
        answer = download(mixed, name, company)
        assert answer.table[0] == [column.title for column in columns(name)]
        assert sorted(answer.column("Record_ID")) == known["ids"]
        assert set(answer.column("Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID")) == {company}


@both
def test_counts_groups_and_pages_agree_with_the_download(mixed, name):
    address = f"{QUERY}/{distribution(mixed, name)}"
    expected = {company: count for company, count in rows_of(name).items() if count}
    count = {"expression": {"operator": "count", "operands": ["record_id"]}, "alias": "n"}
    grouped = mixed.get(address, properties=[PAYER, count], groupings=[PAYER]).json["results"]
    assert {row[PAYER]: int(row["n"]) for row in grouped} == expected
    for company, rows in expected.items():
        condition = [{"property": PAYER, "value": company}]
        assert mixed.get(address, results=False, conditions=condition).json["count"] == rows
        page = mixed.get(address, limit=3, conditions=condition).json["results"]
        assert list(page[0]) == [column.name for column in columns(name)]
    assert len(download(mixed, name).rows) == sum(expected.values())


def test_research_can_be_asked_for_a_window_of_dates_and_ownership_has_no_date(mixed):
    condition = [{"property": "date_of_payment", "operator": "<", "value": "07"}]
    everything = download(mixed, "research").column("Date_of_Payment")
    half = download(mixed, "research", conditions=condition).column("Date_of_Payment")
    assert sorted(half) == sorted(text for text in everything if text < "07")
    refused = mixed.get(f"{QUERY}/{distribution(mixed, 'ownership')}", conditions=condition)
    assert (refused.status, refused.json["message"]) == (400, "Column not found.")


@both
def test_a_dataset_is_published_again_without_the_others(mixed, name):
    others = {other: mixed.sandbox.truth(2024, dataset=other) for other in DATASETS if other != name}
    before = download(mixed, name, LARGE)
    truth = mixed.sandbox.truth(2024, LARGE, dataset=name)
    address = f"{QUERY}/{truth['distribution_id']}/download?format=csv"
    changes = {"removed": 3, "changed": 5, "added": 2}
    told = mixed.post("/_sandbox/republish", {"year": 2024, "dataset": name, **changes}).json
    assert (told["dataset"], told["rows"]) == (name, sum(rows_of(name).values()) - 1)
    assert mixed.get(address).status == 404
    assert mixed.get(f"{ITEMS}/{DATASETS[name]}").json["modified"] == told["modified"] == "2026-01-23"
    assert mixed.get(f"{ITEMS}/{DATASETS['general']}").json["modified"] == "2025-06-30"
    assert {other: mixed.sandbox.truth(2024, dataset=other) for other in others} == others
    after = download(mixed, name)
    assert Counter(after.column("Change_Type"))["CHANGED"] == 5
    assert set(after.column("Payment_Publication_Date")) == {"01/23/2026"}
    amounts = dict(zip(before.column("Record_ID"), before.column(AMOUNTS[name]), strict=True))
    for mark, number, amount in zip(*map(after.column, ("Change_Type", "Record_ID", AMOUNTS[name])), strict=True):
        assert mark == "CHANGED" or amounts.get(number, amount) == amount


@both
def test_published_again_unchanged_the_content_hash_stays(mixed, name):
    before = mixed.sandbox.truth(2024, dataset=name)
    mixed.sandbox.republish(2024, dataset=name)
    after = mixed.sandbox.truth(2024, dataset=name)
    assert after["companies"] == before["companies"]
    assert after["distribution_id"] != before["distribution_id"]


@both
def test_an_import_can_be_half_done_and_finished(mixed, name):
    mixed.sandbox.republish(2024, dataset=name, imported_share=0.5)
    rows = sum(rows_of(name).values())
    assert len(download(mixed, name).rows) == rows // 2
    told = mixed.post("/_sandbox/finish-import", {"year": 2024, "dataset": name}).json
    assert told["rows_in_table"] == rows == len(download(mixed, name).rows)


@both
def test_downloads_meet_the_same_faults(mixed, name):
    mixed.sandbox.fault("foreign_row", count=1, match="/download")
    payers = download(mixed, name, LARGE).column("Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID")
    assert Counter(payers) == {LARGE: rows_of(name)[LARGE] - 1, "100009999999": 1}
    mixed.sandbox.fault("header_drift", count=1, match="/download", params={"change": "remove"})
    assert len(download(mixed, name).table[0]) == len(columns(name)) - 1


@both
def test_the_fault_that_publishes_again_takes_a_dataset(mixed, name):
    before = distribution(mixed, name)
    mixed.sandbox.fault("republish", count=1, params={"dataset": name, "removed": 1})
    answer = download(mixed, name)
    assert answer.status == 404
    assert distribution(mixed, name) != before


def test_the_summary_counts_all_three_datasets_of_each_payer_and_year(start):
    site = start(company_rows=ROWS | {"100000000189": {"ownership": 3}}, years=(2023, 2024))
    site.sandbox.republish(2023, dataset="research", removed=904)
    rows = site.get(f"{QUERY}/{SUMMARY}/0").json["results"]
    told = {
        (row["program_year"], row["amgpo_making_payment_id"]): tuple(
            int(row[key]) for key in ("trans_general", "trans_research", "trans_invested")
        )
        for row in rows
    }
    new = {LARGE: (7, 900, 60), SMALL: (5, 4, 0), OTHER: (2, 2, 2), "100000000189": (0, 0, 3)}
    assert {company: counts for (year, company), counts in told.items() if year == "2024"} == new
    research = {company: counts[1] for (year, company), counts in told.items() if year == "2023"}
    assert sum(research.values()) == 2
    assert {row["total_amount_interest"] == "0.00" for row in rows if row["trans_invested"] == "0"} == {True}


PAYER_ID = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
CCN, AMOUNT = "Teaching_Hospital_CCN", "Total_Amount_of_Payment_USDollars"


def added_up(site, name, key, amount):
    """Payments and dollars of a dataset's current release by the value of a column, added up from its rows."""
    found: dict[str, tuple[int, Decimal]] = {}
    answer = download(site, name)
    titles = [one.title for one in columns(name)]
    at, dollars = titles.index(key), titles.index(amount)
    for row in answer.rows:
        if row[at]:
            count, usd = found.get(row[at], (0, Decimal(0)))
            found[row[at]] = count + 1, usd + Decimal(row[dollars] or 0)
    return found


@pytest.mark.parametrize(
    ("dataset_id", "key", "column", "name", "count", "amount", "summed"),
    [
        (SUMMARY, "amgpo_making_payment_id", PAYER_ID, "general", "trans_general", "total_amount_general", AMOUNT),
        (SUMMARY, "amgpo_making_payment_id", PAYER_ID, "research", "trans_research", "total_amount_research", AMOUNT),
        (SUMMARY, "amgpo_making_payment_id", PAYER_ID, "ownership", "trans_invested", "total_amount_interest",
         "Value_of_Interest"),
        (SUMMARY, "amgpo_making_payment_id", PAYER_ID, "ownership", "trans_invested", "total_amount_investment",
         "Total_Amount_Invested_USDollars"),
        (HOSPITALS, "teaching_hospital_ccn", CCN, "general", "general_total_transactions", "general_total_payment",
         AMOUNT),
        (HOSPITALS, "teaching_hospital_ccn", CCN, "research", "research_total_transactions", "research_total_payment",
         AMOUNT),
    ],
)  # fmt: skip
def test_both_summaries_are_what_the_rows_add_up_to_until_they_are_told_to_be_wrong(
    start, dataset_id, key, column, name, count, amount, summed
):
    site = start(company_rows={**ROWS, LARGE: {"general": 3000, "research": 900, "ownership": 60}})

    def said():
        rows = site.get(f"{QUERY}/{dataset_id}/0").json["results"]
        return {row[key]: (int(row[count]), Decimal(row[amount])) for row in rows if int(row[count])}

    true = added_up(site, name, column, summed)
    assert true
    assert said() == true
    first, *others = sorted(true)
    site.sandbox.switch(summary_mistakes={first: 1} | dict.fromkeys(others[:1]))
    off = Decimal("0.01") if name == "general" else 0
    wrong = true | {first: (true[first][0], true[first][1] + off)}
    assert said() == {one: figures for one, figures in wrong.items() if one not in others[:1]}


def test_the_company_page_counts_general_payments_only(mixed):
    page = mixed.get(f"/api/1/entities/companies/{LARGE}").json
    assert page["summaryByAvailableYear"] == [{"programYear": "2024", "generalTransactions": 7}]


def test_a_world_without_a_dataset_lacks_its_catalogue_entry_and_says_so(start):
    site = start(datasets=("general", "ownership"), company_rows={LARGE: 3})
    assert site.get(f"{ITEMS}/{DATASETS['research']}").status == 404
    assert site.get(f"{ITEMS}/{DATASETS['ownership']}").status == 200
    refused = site.get("/_sandbox/truth?year=2024&dataset=research")
    assert refused.status == 400
    assert "ownership" in refused.json["error"]


def test_the_control_interface_shows_the_truth_of_a_dataset(mixed):
    known = mixed.get("/_sandbox/truth?year=2024&dataset=research").json
    assert known == mixed.sandbox.truth(2024, dataset="research")
    assert known["dataset"] == "research"

"""The metastore, the site's script, the company list and the company page (facts 1.8, 2.1 to 2.4)."""

from __future__ import annotations

import json
import re
import uuid

ITEMS = "/api/1/metastore/schemas/dataset/items"
DATASET = "e6b17c6a-2534-4207-a4a1-6746a14911ff"
COMPANIES = "1cf0c6c0-c377-466e-b78f-037b442559f8"
SUMMARY = "d5762bed-26ca-4035-91c9-9d67297dc77c"
QUERY = "/api/1/datastore/query"


def test_the_catalogue_is_an_array_with_the_members_of_a_real_item(site):
    """Facts 1.8: the item without reference ids."""
    item = next(item for item in site.get(ITEMS).json if item["identifier"] == DATASET)
    assert item["title"] == "2024 General Payment Data"
    assert item["theme"] == ["General Payments"]
    assert item["keyword"] == ["2024"]
    assert item["modified"] == "2025-06-30"
    assert item["temporal"] == "2024-01-01/2024-12-31"
    assert item["distribution"][0]["downloadURL"].startswith(f"{site.sandbox.url}/openpayments/PGYR2024_P06302025_")
    assert set(item) == {
        *("bureauCode", "programCode", "accessLevel", "keyword", "contactPoint", "dataQuality", "description"),
        *("distribution", "identifier", "title", "issued", "modified", "temporal", "publisher", "license", "theme"),
    }


def test_the_distribution_id_follows_from_the_distribution(site):
    """Facts 1.8: a UUIDv5 of its JSON with the publisher's address, whatever port shows the file here."""
    (file,) = site.get(f"{ITEMS}/{DATASET}").json["distribution"]
    file["downloadURL"] = file["downloadURL"].replace(site.sandbox.url, "https://download.cms.gov")
    text = "distribution:" + json.dumps(file, separators=(",", ":"))
    assert site.distribution == str(uuid.uuid5(uuid.NAMESPACE_DNS, text))


def test_a_world_of_seven_years_has_the_seventy_four_datasets_of_the_real_catalogue(start):
    """Facts 1.8, 2.2."""
    years = (2018, 2019, 2020, 2021, 2022, 2023, 2024)
    items = start(years=years, company_rows={"100000000053": 1}).get(ITEMS).json
    assert len(items) == 74
    assert sum("temporal" not in item for item in items) >= 4
    titles = {item["title"]: item["identifier"] for item in items}
    assert titles["2018 General Payment Data"] == "f003634c-c103-568f-876c-73017fa83be0"
    assert {f"{year} Research Payment Data" for year in years} <= titles.keys()


def test_dates_and_titles_can_take_their_other_forms(start):
    """Facts 1.8: an earlier user parsed a time stamp; the title's dash is an en dash live."""
    item = start(modified_format="datetime", title_dash=True).get(f"{ITEMS}/{DATASET}").json
    assert item["modified"] == "2025-06-30T12:00:00+0000"
    assert item["title"] == "2024 \u2013 General Payment Data"


def test_an_unknown_dataset_is_a_404_with_the_metastore_s_text(site):
    """Facts 1.6."""
    answer = site.get(f"{ITEMS}/nothing")
    assert answer.status == 404
    assert answer.json["message"] == "Error retrieving metadata: dataset nothing not found."
    assert answer.json["status"] == 404


def test_the_script_lists_a_year_before_it_is_published(site):
    """Facts 2.1: the id is the dataset's; 2025 is listed and does not resolve."""
    script = site.get("/frontend/build/static/js/index.js").body.decode()
    found = dict(re.findall(r'PGYR(\d{4})\s*:\s*\[\s*\{\s*type:"generalPayments",\s*id:"([^"]+)"', script))
    assert found == {"2024": DATASET, "2025": "fb0b1734-1410-429d-92f6-3f4b35218e5e"}
    assert site.get(f"{QUERY}/{found['2024']}/0", results=False).status == 200
    assert site.get(f"{QUERY}/{found['2025']}/0", results=False).status == 404


def test_the_company_list_is_paged_filtered_and_sorted(start):
    """Facts 2.3: the query the site itself uses, offset by offset until a page is empty."""
    site = start(scale=0.0001)
    names: list[str] = []
    for offset in range(0, 4_000, 500):
        page = site.get(
            f"{QUERY}/{COMPANIES}/0",
            limit=500,
            offset=offset,
            conditions=[{"property": "amgpo_making_payment_country", "value": "UNITED STATES", "operator": "="}],
            sorts=[{"property": "amgpo_making_payment_name", "order": "asc"}],
        ).json
        assert page["count"] == 2_530
        names += [row["amgpo_making_payment_name"] for row in page["results"]]
        if not page["results"]:
            break
    assert len(names) == 2_530
    assert names == sorted(names, key=str.lower)
    everybody = site.get(f"{QUERY}/{COMPANIES}/0", results=False).json
    assert everybody["count"] == 3_000
    assert len(next(iter(everybody["schema"].values()))["fields"]) == 9


def test_the_whole_world_has_foreign_payers_and_payers_that_the_list_lacks(start):
    """Facts 2.3: US companies alone lose 0.36 % of the rows."""
    site = start(scale=0.01)
    rows = site.sandbox.truth(2024, "nobody")["rows"]
    country = "applicable_manufacturer_or_applicable_gpo_making_payment_country"
    abroad = site.count(conditions=[{"property": country, "operator": "<>", "value": "United States"}])
    assert 0.003 < abroad / rows < 0.005
    grouped = site.download(
        properties=["applicable_manufacturer_or_applicable_gpo_making_payment_id"],
        groupings=["applicable_manufacturer_or_applicable_gpo_making_payment_id"],
    )
    payers = {row[0] for row in grouped.rows}
    listed = {row[0] for row in site.get(f"{QUERY}/{COMPANIES}/0/download", format="csv").rows}
    assert len(payers - listed) == 5
    assert len(listed - payers) > 300
    assert len(payers) == 1_550 + 180 + 5


def test_the_summary_dataset_knows_every_payer_s_rows(site):
    """Facts 2.4: Trans_General per payer and year."""
    rows = site.get(f"{QUERY}/{SUMMARY}/0").json["results"]
    told = {row["amgpo_making_payment_id"]: (row["program_year"], row["trans_general"]) for row in rows}
    companies = site.sandbox.truth(2024)["companies"]
    assert told == {company: ("2024", str(known["rows"])) for company, known in companies.items()}
    assert len(rows[0]) == 20


def test_the_company_page_leaves_out_years_without_rows(start):
    """Facts 2.4."""
    site = start(years=(2022, 2024), companies=("100001451204", "100000000053"), scale=1e-4)
    page = site.get("/api/1/entities/companies/100001451204").json
    assert page["summaryByAvailableYear"] == [{"programYear": "2024", "generalTransactions": 1}]
    assert page["currentFilters"] == {"year": "2024"}
    both = site.get("/api/1/entities/companies/100000000053").json["summaryByAvailableYear"]
    assert [year["programYear"] for year in both] == ["2022", "2024"]
    assert site.get("/api/1/entities/companies/1").status == 404


def test_a_dataset_that_is_only_in_the_catalogue_has_no_storage(site):
    """Facts 1.6."""
    answer = site.get(f"{QUERY}/6ed6ae76-2999-49da-b0b2-d7df150ac754/0")
    assert answer.status == 400
    assert re.fullmatch(r"No datastore storage found for [0-9a-f]{32}:\d+\.", answer.json["message"])


def test_the_one_agent_on_record_is_refused_at_the_edge(site):
    """Facts 2.6: Akamai answers 403 to some agents; the control interface is ours and stays open."""
    refused = site.get(ITEMS, agent="openpayments-pp-cli/v1")
    assert refused.status == 403
    assert refused.headers["Content-Type"] == "text/html"
    assert b"Access Denied" in refused.body
    for agent in ("openpayments-pp/1.0", "Python-urllib/3.12", "curl/8.5.0"):
        assert site.get(ITEMS, agent=agent).status == 200
    assert site.get("/_sandbox/faults", agent="openpayments-pp-cli/v1").status == 200

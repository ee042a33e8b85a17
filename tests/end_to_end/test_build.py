"""From a source that fails as the real one does to answers, by one command."""

import csv
import json
import signal
import subprocess
import sys
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from tests.end_to_end import killed_run

AMOUNT = "Total_Amount_of_Payment_USDollars"
PAYER = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
ROWS = {"100000000053": 900, "100000000054": 300, "100000000062": 40}
WORLD = {"company_rows": ROWS, "first_companies": None}
FIRST = "100000000053"
ALL_DONE = {"ingest": "already done", "stage": "already staged", "curate": "already built", "report": "already there"}
# Nobody listens there.
NO_SOURCE = {"OPEN_PAYMENTS_URL": "http://127.0.0.1:9"}
pytestmark = pytest.mark.timeout(600)


def build(world, *words, **environment):
    return world.run("build", "--", *words, **environment)


def sums(world):
    """The amount of each company by the raw parts, the largest first."""
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for path in world.lake.glob("raw/dataset=*/**/*.csv"):
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                found[row[PAYER]] += Decimal(row[AMOUNT])
    return sorted(found.items(), key=lambda one: -one[1])


def people(world):
    """Last and first names of the recipients, as they would stand beside each other."""
    found = set()
    for path in world.lake.glob("raw/dataset=*/**/*.csv"):
        with path.open(newline="", encoding="utf-8") as stream:
            for row in csv.DictReader(stream):
                first, last = row["Covered_Recipient_First_Name"], row["Covered_Recipient_Last_Name"]
                found |= {f"{first} {last}", f"{last}, {first}"} if first and last else set()
    return found


def page(world, year):
    return (world.lake / year["page"]).read_text()


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_one_command_makes_a_year_from_source_to_page_and_the_second_time_does_nothing(world):
    world.source.fault("short_rows", count=2, match="/download")
    planned = build(world, "--year", "2024", "--dry-run")
    assert (planned.status, planned.fact["status"]) == (0, "planned"), planned.stderr
    assert not [name for name in world.files() if name.startswith(("raw/", "metadata/runs/"))]
    assert set(planned.fact["years"][0]["steps"].values()) == {"to do"}

    made = build(world, "--year", "2024")

    assert (made.status, made.fact["status"]) == (0, "built"), made.stderr
    (year,) = made.fact["years"]
    assert (year["status"], year["rows"], year["error"]) == ("closed", sum(ROWS.values()), "")
    amounts = sums(world)
    assert Decimal(year["amount_usd"]) == sum(amount for _, amount in amounts)
    shown = made.stderr.partition("The largest companies of general-payments 2024")[2].splitlines()
    assert [line.split()[:2] for line in shown[2:5]] == [
        [str(rank), f"{amount:,.2f}"] for rank, (_, amount) in enumerate(amounts, 1)
    ]
    assert all(company in line for line, (company, _) in zip(shown[2:5], amounts, strict=True))
    assert f"page       {year['uri']}" in made.stderr
    assert "Complete" in page(world, year)
    assert "CMS's own summaries say the same, to the cent" in " ".join(page(world, year).split())
    assert "rows_missing" in page(world, year), "the faults that were met are on the page"
    assert not [name for name in people(world) if name in page(world, year)]

    checked = world.run("check_year", "--", "--year", "2024", "--max-difference", "0")
    assert (checked.status, checked.fact["status"]) == (0, "passed"), checked.stderr
    assert {"company_usd", "teaching_hospital_usd"} <= {one["name"] for one in checked.fact["checks"]}

    before = world.files()
    again = build(world, "--year", "2024")
    assert (again.status, again.fact["status"], again.fact["years"][0]["steps"]) == (0, "already built", ALL_DONE)
    assert "The largest companies" in again.stderr
    planned = build(world, "--year", "2024", "--dry-run")
    assert set(planned.fact["years"][0]["steps"].values()) == {"nothing to do"}, planned.stderr
    offline = build(world, "--year", "2024", "--from", "raw", **NO_SOURCE)
    assert (offline.status, offline.fact["requests"]) == (0, 0)
    assert offline.fact["years"][0]["steps"] == {**ALL_DONE, "ingest": "committed"}
    part = build(world, "--year", "2024", "--max-files", "1")
    assert (part.status, part.fact["years"][0]["status"]) == (0, "closed"), "a part does not replace the whole"
    assert {name: time for name, time in world.files().items() if name in before} == before


@pytest.mark.long
@pytest.mark.parametrize("world", [{**WORLD, "years": (2023, 2024)}], indirect=True, ids=[""])
def test_years_are_made_one_after_the_other_and_one_that_fails_does_not_hold_up_the_next(world):
    made = build(world, "--years", "2022-2024", "--max-files", "2")

    assert (made.status, made.fact["status"]) == (2, "incomplete"), made.stderr
    assert [(one["year"], one["status"]) for one in made.fact["years"]] == [
        (2022, "failed"), (2023, "partial"), (2024, "partial"),
    ]  # fmt: skip
    assert "no program year 2022" in made.fact["years"][0]["error"]
    assert "Year on year" in page(world, made.fact["years"][2])
    again = build(world, "--years", "2023,2024", "--max-files", "2")
    assert (again.status, again.fact["status"]) == (0, "already built"), again.stderr

    world.source.fault("short_rows", match=made.fact["years"][1]["release"][-8:])
    stopped = build(world, "--years", "2023,2022", "--max-files", "3", SOURCE_ATTEMPTS="1")
    assert (stopped.status, stopped.fact["status"]) == (4, "incomplete"), stopped.stderr
    assert [(one["year"], one["status"]) for one in stopped.fact["years"]] == [(2023, "partial"), (2022, "not tried")]
    assert stopped.fact["years"][0]["error"] == "1 of 3 companies failed"


@pytest.mark.long
@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_a_year_with_a_company_that_fails_has_a_page_that_says_so_until_it_is_whole(world):
    world.source.fault("short_rows", match=FIRST)
    made = build(world, "--year", "2024", SOURCE_ATTEMPTS="2")

    assert (made.status, made.fact["status"], made.fact["years"][0]["status"]) == (4, "incomplete", "partial")
    assert made.fact["years"][0]["error"] == "1 of 3 companies failed"
    assert "Not complete" in page(world, made.fact["years"][0])
    world.source.clear_faults()
    made = build(world, "--year", "2024")
    assert (made.status, made.fact["years"][0]["status"]) == (0, "closed"), made.stderr


def test_what_cannot_begin_says_why_and_what_to_do(world):
    ended = build(world, "--year", "2024", "--from", "raw", **NO_SOURCE)
    assert (ended.status, ended.fact["error"]) == (3, "NotFoundError")
    assert "Leave out --from raw" in ended.fact["message"]
    ended = build(world, "--year", "2024", SOURCE_ATTEMPTS="1", **NO_SOURCE)
    assert (ended.status, ended.fact["error"]) == (4, "UnreachableError"), ended.stderr
    ended = build(world, "--year", "2024", DBT_PYTHON="/no/python")
    assert (ended.status, ended.fact["error"], ended.fact["requests"]) == (3, "ConfigError", 0)
    ended = build(world, "--year", "2019")
    assert (ended.status, ended.fact["error"]) == (2, "UsageError"), ended.stderr


@pytest.mark.long
@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_a_build_that_is_killed_in_any_step_is_finished_by_the_same_command(world):
    for prefix in ("raw/", "metadata/staging/", "metadata/curated/", "metadata/marts/", "metadata/reports/"):
        options = {"job": "build", "at": 1, "moment": "before", "prefix": prefix}
        command = [sys.executable, killed_run.__file__, json.dumps(options)]
        ended = subprocess.run(command, env=world.environment, capture_output=True, text=True, check=False)
        assert ended.returncode == -signal.SIGKILL, (prefix, ended.stderr)

    made = build(world, "--year", "2024")

    assert (made.status, made.fact["years"][0]["status"]) == (0, "closed"), made.stderr
    assert {**made.fact["years"][0]["steps"], "report": "already there"} == ALL_DONE, "no step was done twice"
    assert not [path for path in Path(world.lake).rglob(".scratch") if any(path.iterdir())]


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_build_with_its_work_kept(world, number, status):
    with world.start("build", "--", "--year", "2024") as process:
        for line in process.stderr:
            if line.startswith("  ingest"):
                process.send_signal(number)
                break
        stdout, stderr = process.communicate()
    assert (process.returncode, json.loads(stdout)["status"]) == (status, "stopped"), stderr
    left = build(world, "--year", "2024", "--dry-run").fact["years"][0]["steps"]
    assert left["ingest"] == "nothing to do"
    assert left["marts"] == "to do"

"""The Bruin project, without Bruin: its structure, the commands that its Python assets start, and its SQL in DuckDB.

Bruin itself says nothing about an unknown check before it runs one, so the names are compared here.
"""

import json
import os
import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import duckdb
import pytest
import yaml

from data_pipeline.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "bruin"
MODELS = ROOT / "packages/analytics/src/analytics/project/models"
TEN = {
    "accepted_values", "negative", "non_negative", "not_null", "pattern", "positive", "relationships", "unique", "min",
    "max",
}  # fmt: skip
FILES = sorted(path for path in (PROJECT / "assets").rglob("*") if path.suffix in (".py", ".sql"))
PIPELINE = yaml.safe_load((PROJECT / "pipeline.yml").read_text())
VARIABLES = {name: one["default"] for name, one in PIPELINE["variables"].items()}
HEADER = re.compile(r'(?:"""|/\*) *@bruin\n(.*?)@bruin *(?:"""|\*/)\n(.*)', re.DOTALL)


def parts_of(path):
    """The definition of an asset, and its code."""
    match = HEADER.fullmatch(path.read_text())
    assert match is not None, path
    return yaml.safe_load(match[1]), match[2]


ASSETS = {one["name"]: one for one, _ in map(parts_of, FILES)}
PYTHON = [path for path in FILES if path.suffix == ".py"]
SQL = [path for path in FILES if path.suffix == ".sql"]


def checks_of(asset):
    return [(column["name"], check) for column in asset.get("columns", ()) for check in column.get("checks", ())]


def test_every_asset_is_named_after_its_place_and_described():
    assert [f"{path.parent.name}.{path.stem}" for path in FILES] == list(ASSETS)
    assert {path.suffix: {ASSETS[f"{path.parent.name}.{path.stem}"]["type"]} for path in FILES} == {
        ".py": {"python"},
        ".sql": {"duckdb.sql"},
    }
    fields = {"name", "type", "image", "description", "depends", "materialization", "columns", "custom_checks"}
    for asset in ASSETS.values():
        assert asset["description"]
        assert asset.keys() <= fields


def test_every_dependency_exists_and_everything_comes_before_the_last_check():
    depends = {name: asset.get("depends", []) for name, asset in ASSETS.items()}
    assert {one for names in depends.values() for one in names} <= ASSETS.keys()
    order = list(TopologicalSorter(depends).static_order())
    assert (order[0], order[-1]) == ("pipeline.ingest", "pipeline.check_year")
    assert [one for one in order if one.startswith("pipeline.")] == [
        f"pipeline.{step}" for step in ("ingest", "stage", "curate", "marts", "report", "check_year")
    ]


def test_there_are_ten_checks_each_of_a_kind_that_bruin_has():
    columns = [check for asset in ASSETS.values() for _, check in checks_of(asset)]
    custom = [check for asset in ASSETS.values() for check in asset.get("custom_checks", ())]

    assert {check["name"] for check in columns} <= TEN
    assert len(columns) + len(custom) == 10
    for check in columns:
        assert ("value" in check) == (check["name"] in {"accepted_values", "pattern", "min", "max"}), check
    for check in custom:
        assert check["value"] == 0
        assert check.keys() <= {"name", "value", "query", "blocking"}
    (accepted,) = [check["value"] for check in columns if check["name"] == "accepted_values"]
    assert accepted == PIPELINE["variables"]["dataset"]["enum"]


def test_the_pipeline_has_a_cron_schedule_one_run_at_a_time_and_the_connection_of_the_example():
    minute, hour, day, month, weekday = PIPELINE["schedule"].split()
    assert (0 <= int(minute) < 60, 0 <= int(hour) < 24, 1 <= int(day) <= 30, 1 <= int(month) <= 12) == (True,) * 4
    assert weekday == "*"
    assert (PIPELINE["concurrency"], PIPELINE["catchup"]) == (1, False)
    example = yaml.safe_load((PROJECT / "bruin.example.yml").read_text())
    (connection,) = example["environments"][example["default_environment"]]["connections"]["duckdb"]
    assert PIPELINE["default_connections"] == {"duckdb": connection["name"]}
    assert f'"{connection["path"]}"' in (PROJECT / "assets/pipeline/marts.py").read_text()


RECORDER = """#!{python}
import json, pathlib, sys
pathlib.Path({calls!r}).write_text(json.dumps(sys.argv[1:]))
print(json.dumps({{"lake": {lake!r}, "file": "marts/a.duckdb"}}))
sys.exit({status})
"""


def run(path, folder, variables, status=0):
    """The command that an asset starts, and the status with which the asset ends; run as Bruin does, from the root."""
    programs, calls, lake = folder / "programs", folder / "calls", folder / "a lake"
    for needed in (programs, lake / "marts", folder / "bruin"):
        needed.mkdir(parents=True, exist_ok=True)
    (lake / "marts/a.duckdb").write_bytes(b"marts")
    program = programs / "data-pipeline"
    program.write_text(RECORDER.format(python=sys.executable, calls=str(calls), lake=lake.as_uri(), status=status))
    program.chmod(0o755)
    said = {"BRUIN_VARS": json.dumps(variables), "BRUIN_START_DATE": "2025-07-02"}
    environment = {**said, "PATH": f"{programs}{os.pathsep}{os.defpath}"}
    done = subprocess.run([sys.executable, path], cwd=folder, env=environment, check=False, stdout=subprocess.PIPE)
    return json.loads(calls.read_text()), done.returncode


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: path.stem)
def test_a_python_asset_starts_a_job_with_words_that_its_parser_takes_and_ends_as_it_does(path, tmp_path):
    for given, year in ((VARIABLES, 2024), ({"dataset": "research-payments", "year": 2019}, 2019)):
        command, status = run(path, tmp_path, given)

        assert status == 0
        assert command[0] == "run"
        job = Registry().load(command[1])
        with job.module.command.make_context(job.name, command[3:]) as context:
            said = context.params
        if job.name != "build_marts":
            taken = said.get("selections", [said.get("selection")])[0]
            chosen = (taken.dataset, taken.year) if taken else (said["dataset"], said["year"])
            assert chosen == (given["dataset"], year)
    assert run(path, tmp_path, VARIABLES, status=4)[1] == 4


def test_the_marts_are_copied_to_where_the_connection_finds_them(tmp_path):
    run(PROJECT / "assets/pipeline/marts.py", tmp_path, VARIABLES)

    assert (tmp_path / "bruin/open_payments.duckdb").read_bytes() == b"marts"


@pytest.fixture
def marts():
    """The tables of the marts, empty but for one year, as their descriptions have them."""
    with duckdb.connect() as database:
        for path in MODELS.rglob("*.yml"):
            for model in yaml.safe_load(path.read_text()).get("models", ()):
                columns = ", ".join(f'"{one["name"]}" {one["data_type"]}' for one in model["columns"])
                database.execute(f'CREATE TABLE "{model["name"]}" ({columns})')
        year = "'general-payments' AS dataset, 2024 AS year"
        for table, values in {
            "stg_builds": "3 AS rows, 100.00 AS amount_usd",
            "mart_months": "DATE '2024-05-01' AS month, 100.00 AS amount_usd, 3 AS payments",
            "mart_top_companies": "1 AS rank, '53' AS company_id, 100.00 AS amount_usd, 3 AS payments",
            "mart_reconciliation_years": "'company' AS entity_kind, 1 AS entities, 0 AS entities_differing,"
            " 0.00 AS amount_differing_usd",
        }.items():
            database.execute(f"INSERT INTO {table} BY NAME SELECT {year}, {values}")
        yield database


def build(database):
    database.execute("CREATE SCHEMA IF NOT EXISTS answers")
    for asset, code in map(parts_of, SQL):
        database.execute(f"CREATE OR REPLACE {asset['materialization']['type']} {asset['name']} AS {code}")


def failures(database):
    """The custom checks that find another number than they expect."""
    checks = [check for asset, _ in map(parts_of, SQL) for check in asset.get("custom_checks", ())]
    return [one["name"] for one in checks if database.execute(one["query"]).fetchall() != [(one["value"],)]]


def test_the_sql_assets_run_on_the_marts_and_have_the_columns_that_they_describe(marts):
    build(marts)

    for asset, _ in map(parts_of, SQL):
        found = {name: kind.lower() for name, kind, *_ in marts.execute(f"DESCRIBE {asset['name']}").fetchall()}
        described = {column["name"]: column["type"] for column in asset.get("columns", ())}
        assert described.items() <= found.items()
    assert failures(marts) == []


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE stg_builds SET rows = 4", "the months of each year are all of its payments"),
        ("DELETE FROM mart_months", "the months of each year are all of its payments"),
        ("INSERT INTO mart_top_companies FROM mart_top_companies", "no company is ranked twice"),
        (
            "UPDATE mart_reconciliation_years SET amount_differing_usd = 0.11",
            "not more than a thousandth of the dollars differ",
        ),
    ],
)
def test_a_custom_check_finds_what_it_is_for(marts, statement, check):
    marts.execute(statement)
    build(marts)

    assert check in failures(marts)

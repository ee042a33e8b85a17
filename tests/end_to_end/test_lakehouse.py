"""From a year that the sandbox serves to staged parts, by the command, as a data engineer has them."""

import json
import shutil
import signal
from decimal import Decimal
from unittest.mock import ANY

import duckdb
import pytest

from data_pipeline.lakehouse.contract import Contract
from data_pipeline.open_payments.datasets import DATASETS, GENERAL
from etl_core.csv_stream.records import fields_of
from tests.end_to_end import killed_run
from tests.end_to_end.programs import Program

ROWS = {"100000000053": 2_500, "100000000054": 300, "100000000062": 40}
WORLD = {"company_rows": ROWS, "first_companies": None}
FIRST = "100000000053"
STAGED, DOCUMENTS = "staging/dataset=*/**/*.parquet", "metadata/staging/**/*.json"
AMOUNT = "total_amount_of_payment_usdollars"
pytestmark = pytest.mark.timeout(300)


def fetched(world, dataset=GENERAL, *words):
    ended = world.run("run_pipeline", "--", "--dataset", dataset.name, "--year", "2024", *words)
    assert ended.fact["status"] in ("completed", "partial"), ended.stderr
    return ended.fact["run_id"]


def staged(world, *words, **environment):
    ended = world.run("stage", "--", *words, **environment)
    assert ended.status == 0, ended.stderr
    return ended.fact


def built(world, *words, **environment):
    ended = world.run("build_curated", "--", *words, **environment)
    assert ended.status == 0, ended.stderr
    return ended.fact


def killed(world, options):
    return Program(killed_run.__file__, json.dumps(options), env=world.environment, cwd=world.lake.parent)


def found(world, pattern):
    return {str(path.relative_to(world.lake)): path for path in sorted(world.lake.glob(pattern))}


def raw_records(world, dataset):
    """What our own reader finds in the raw parts."""
    for path in sorted(world.lake.glob(f"raw/dataset={dataset.name}/**/*.csv")):
        for fields in fields_of([path.read_bytes()]):
            yield dict(zip(dataset.header, (one.decode() for one in fields), strict=True))


def query(world, pattern, select):
    files = list(map(str, found(world, pattern).values()))
    return duckdb.execute(select.format(f"read_parquet({files})")).fetchall()


@pytest.mark.parametrize("world", [WORLD, {**WORLD, "dialect": "A"}], indirect=True, ids=["dialect B", "dialect A"])
@pytest.mark.parametrize("dataset", DATASETS.values(), ids=lambda one: one.name)
def test_every_record_of_a_year_is_staged_with_its_text_as_values(world, dataset):
    run_id = fetched(world, dataset)

    fact = staged(world, "--dataset", dataset.name, "--year", "2024")

    rows = sum(ROWS.values())
    said = {name: fact[name] for name in ("run_id", "status", "closed", "rows", "quarantined", "new_values", "drift")}
    assert said == {
        "run_id": run_id, "status": "staged", "closed": True, "rows": rows, "quarantined": 0, "new_values": [],
        "drift": None,
    }  # fmt: skip
    records = list(raw_records(world, dataset))
    columns = Contract.from_toml(dataset.contract).columns
    texts = [one for one in columns if one.kind in ("id", "code", "text")]
    select = f"SELECT {', '.join(one.title for one in texts)} FROM {{}}"
    values = query(world, STAGED, select)
    assert len(values) == len(records) == rows
    assert set(values) == {tuple(one[column.name] or None for column in texts) for one in records}
    for title in (one.name for one in columns if one.kind == "decimal"):
        expected = sum(Decimal(one[title]) for one in records)
        assert query(world, STAGED, f"SELECT sum({title}) FROM {{}}") == [(expected,)]
    again = staged(world, "--dataset", dataset.name, "--year", "2024")
    assert (again["status"], again["new_parts"], again["rows"]) == ("already staged", 0, rows)

    build = built(world, "--dataset", dataset.name, "--year", "2024")

    assert (build["status"], build["closed"], build["rows"], build["tables"]["companies"]) == ("built", True, rows, 3)
    assert set(query(world, f"curated/**/{dataset.table}-*.parquet", select)) == set(values)
    before = world.files()
    assert built(world, "--dataset", dataset.name, "--year", "2024") == {
        **build, "status": "already built", "seconds": ANY,
    }  # fmt: skip
    assert world.files() == before
    copied = world.lake.parent / "copy"
    shutil.copytree(world.lake, copied)
    assert built(world, "--dataset", dataset.name, "--year", "2024", "--lake", str(copied))["build"] == build["build"]


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_impossible_dates_are_flagged_and_their_amounts_stay(world):
    fetched(world)

    fact = staged(world, "--year", "2024")

    odd = [one for one in raw_records(world, GENERAL) if one["Date_of_Payment"] == "11/30/0002"]
    assert fact["flags"] == {"date_of_payment.range": len(odd)}
    assert odd
    amount = sum(Decimal(one["Total_Amount_of_Payment_USDollars"]) for one in odd)
    where = "WHERE _flags = 'date_of_payment.range' AND date_of_payment = DATE '0002-11-30'"
    assert query(world, STAGED, f"SELECT sum({AMOUNT}) FROM {{}} {where}") == [(amount,)]


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_a_partial_run_is_staged_only_by_its_name_and_says_so(world):
    run_id = fetched(world, GENERAL, "--max-files", "1")

    assert world.run("stage", "--", "--year", "2024").fact["error"] == "NotFoundError"
    fact = staged(world, "--run-id", run_id)

    assert (fact["run_id"], fact["closed"], fact["rows"]) == (run_id, False, ROWS[FIRST])
    fetched(world)
    fact = staged(world, "--year", "2024")
    assert (fact["closed"], fact["parts"], fact["new_parts"]) == (True, 3, 2)


@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_only_a_slice_that_changed_is_staged_again(world):
    fetched(world)
    first = staged(world, "--year", "2024")
    world.source.republish(2024, changed=1)
    fetched(world)
    before = world.files()

    fact = staged(world, "--year", "2024")

    assert fact["release"] != first["release"]
    assert {name: time for name, time in world.files().items() if name in before} == before
    assert fact["new_parts"] == fact["parts"]


@pytest.mark.parametrize("moment", ["before", "middle", "after"])
@pytest.mark.parametrize("world", [WORLD], indirect=True, ids=[""])
def test_a_process_killed_at_any_write_is_continued_by_the_same_command(world, moment):
    run_id = fetched(world)
    whole = staged(world, "--run-id", run_id)
    expected = {key: path.read_bytes() for key, path in found(world, STAGED).items()}
    documents = set(found(world, DOCUMENTS))
    writes = len(expected) + len(documents) + 1  # and the contract
    for at in range(1, writes + 1):
        for pattern in (STAGED, DOCUMENTS, "metadata/contracts/*.json"):
            for path in found(world, pattern).values():
                path.unlink()
        options = {"job": "stage", "run_id": run_id, "at": at, "moment": moment}
        with killed(world, options) as process:
            assert process.wait() == -signal.SIGKILL, (at, process.communicate())

        fact = staged(world, "--run-id", run_id)

        assert (fact["rows"], fact["quarantined"], fact["bytes"]) == (whole["rows"], 0, whole["bytes"])
        assert {key: path.read_bytes() for key, path in found(world, STAGED).items()} == expected
        assert set(found(world, DOCUMENTS)) == documents
    assert not list(world.lake.rglob(".scratch"))

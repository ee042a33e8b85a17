"""The same models on a real PostgreSQL, the nearest relative of Redshift that can be run here (S3.4)."""

import contextlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import duckdb
import psycopg
import pytest

from analytics import PROFILES, PROJECT
from data_pipeline.jobs import _tables as tables
from data_pipeline.lakehouse.columns import columns_of
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.dbt import LAKE, Built
from data_pipeline.lakehouse.warehouse import Load, SummaryRows
from data_pipeline.lakehouse.warehouse_postgresql import PostgreSqlWarehouse
from data_pipeline.open_payments.summaries import SUMMARIES, Summary
from etl_core.lake.directory import DirectoryStore
from etl_core.postgresql import PostgreSql
from packages.analytics.tests.integration.lake import curate
from packages.analytics.tests.integration.traps import SAID_BY_CMS, YEARS
from packages.etl_core.tests.support.postgresql import PASSWORD, SUPERUSER, postgresql_server
from tools import isolated

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def dbt(folder: Path, *words: str, **environment: str) -> str:
    """What dbt says, with the adapters of warehouses; it writes to ``folder`` only, and must succeed."""
    try:
        program = isolated.program("dbt-warehouse").with_name("dbt")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))
    command: list[str | Path] = [
        program, *words, "--project-dir", PROJECT, "--profiles-dir", PROFILES, "--target-path", folder / "target",
        "--log-path", folder / "logs", "--no-version-check", "--no-use-colors",
    ]  # fmt: skip
    given = {
        "HOME": str(folder), "PATH": os.environ["PATH"], "DO_NOT_TRACK": "1",
        "WAREHOUSE_HOST": "nowhere.invalid", "WAREHOUSE_USER": SUPERUSER, "WAREHOUSE_DATABASE": "postgres",
        "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": PASSWORD, **environment,
    }  # fmt: skip
    ended = subprocess.run(command, env=given, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql_server() as url:
        yield url


def load(url: str, lake: Path, described: Path) -> None:
    """The builds of the traps, with what CMS says of their years: something of 2024 only."""
    sources = {one.dataset: one for one in tables.sources_of_marts()}
    columns = columns_of(sources, lake.parent / "spill")
    with contextlib.closing(DirectoryStore(lake)) as store:
        for build in curate(store, described, YEARS):
            with PostgreSql(url, named="THE_URL") as database:
                warehouse = PostgreSqlWarehouse(database, store, Limits(256, 1), lambda: None)
                said = [summary(one, build.year) for one in SUMMARIES]
                one = Load(build, warehouse, "lake", columns, sources[build.dataset].amount, said)
                assert not one.is_loaded()
                one.run()


def summary(one: Summary, year: int) -> SummaryRows:
    rows = SAID_BY_CMS[one.table] if year == 2024 else ()
    texts = [[row.get(name, "0") for name in one.names] for row in rows]
    return SummaryRows(one.table, one.names, "2026-06-30-d5762bed" if rows else "", texts)


def rows_of(asked: Any, relation: str) -> Counter[tuple[Any, ...]]:
    """The rows of a relation, in any order."""
    return Counter(tuple(map(normal, row)) for row in asked.execute(f"SELECT * FROM {relation}").fetchall())


def normal(value: Any) -> Any:
    return value.normalize() if isinstance(value, Decimal) else value


def test_every_model_has_the_rows_that_duckdb_gives(made: Built, server: str, tmp_path: Path) -> None:
    load(server, tmp_path / "lake", made.database.parent / LAKE)
    host = parse_qs(urlsplit(server).query)["host"][0]

    said = dbt(tmp_path, "build", "--exclude-resource-type", "unit_test", WAREHOUSE_HOST=host)

    assert "ERROR=0" in said
    assert PASSWORD not in said + (tmp_path / "logs" / "dbt.log").read_text(encoding="utf-8")
    with psycopg.connect(server) as theirs, duckdb.connect(str(made.database), read_only=True) as ours:
        models = {name for (name,) in ours.execute("SELECT table_name FROM information_schema.tables").fetchall()}
        assert len(models) == len(list(PROJECT.glob("models/**/*.sql")))
        models.remove("stg_builds")  # the same builds, under numbers of another lake
        assert [name for name in models if rows_of(theirs, f"marts.{name}") != rows_of(ours, name)] == []


def test_the_target_redshift_is_parsed(tmp_path: Path) -> None:
    dbt(tmp_path, "parse", "--target", "redshift")

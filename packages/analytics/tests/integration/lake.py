"""A database as `build_marts` describes it, of records that a test gives: only what it sets is not empty."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from data_pipeline.lake_layout.lakehouse import build_file
from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse.builds import commit_build
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.documents import BuildFile, BuildManifest
from data_pipeline.lakehouse.marts import INPUTS, Source, view_of
from data_pipeline.lakehouse.reconciliation import Summary, insert
from data_pipeline.open_payments.datasets import DATASETS, Dataset
from data_pipeline.open_payments.summaries import SUMMARIES
from data_pipeline.open_payments.tables import derived_tables
from etl_core.files import sha256_of
from etl_core.lake import ObjectStore

PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment"
PRODUCT = "name_of_drug_or_biological_or_device_or_medical_supply"
KIND = "indicate_drug_or_biological_or_device_or_medical_supply"
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Year:
    """A dataset's year: its records, and what else its manifest says."""

    dataset: Dataset
    year: int
    records: Iterable[Record]
    release: str = "a"
    built_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    missing_usd: Decimal = Decimal(0)
    """What the manifest says more than the records sum to."""


def paid(
    record_id: str, amount: str, *, date: str = "2024-05-01", company: str = "53", **more: object
) -> dict[str, Any]:
    """A general payment to a person."""
    return {
        "record_id": record_id, "total_amount_of_payment_usdollars": Decimal(amount), "date_of_payment": date,
        f"{PAYER}_id": company, f"{PAYER}_name": f"Company {company}", "covered_recipient_profile_id": "1",
        "covered_recipient_type": "Covered Recipient Physician", "nature_of_payment_or_transfer_of_value": "Gift",
    } | more  # fmt: skip


def describe(path: Path, years: Iterable[Year], summaries: Mapping[str, Iterable[Mapping[str, str]]]) -> Path:
    """Make the database; ``summaries`` are the rows of CMS's summaries of 2024 by table, zero where nothing is said."""
    sources = {
        one.name: Source(one.name, Contract.from_toml(one.contract), derived_tables(one), one.amount_column.lower())
        for one in DATASETS.values()
    }
    with duckdb.connect(str(path)) as database:
        database.execute(f"CREATE TABLE builds ({', '.join(' '.join(one) for one in INPUTS.items())})")
        nothing: dict[str, list[str]] = {}
        filled: dict[str, list[str]] = {}
        for source in sources.values():
            for name, select in source.empty_tables():
                nothing.setdefault(name, []).append(select)
        for number, one in enumerate(years):
            _insert(database, number, one, sources[one.dataset.name], filled)
        for name, selects in nothing.items():
            view = view_of(name, selects, ())
            database.execute(" UNION ALL BY NAME ".join([view, *filled.get(name, [])]))
        for summary in SUMMARIES:
            insert(database, Summary(summary.table, summary.names, ()), (), path)
            for row in summaries.get(summary.table, ()):
                values = [*(row.get(name, "0") for name in summary.names), 2024, "2026-06-30-d5762bed"]
                database.execute(f"INSERT INTO {summary.table} VALUES ({', '.join('?' * len(values))})", values)
    return path


def _insert(
    database: duckdb.DuckDBPyConnection, number: int, year: Year, source: Source, filled: dict[str, list[str]]
) -> None:
    tables = dict(source.empty_tables())
    own = f"records_{number}"
    database.execute(f"CREATE TABLE {own} AS FROM {tables[source.contract.name]}")
    for record in year.records:
        marks = ", ".join("?" * len(record))
        database.execute(f"INSERT INTO {own} ({', '.join(record)}) VALUES ({marks})", list(record.values()))
    stamp = f"'{year.dataset.name}' AS dataset, {year.year} AS year, '{year.release}' AS release"
    filled.setdefault(source.contract.name, []).append(f"SELECT *, {stamp} FROM {own}")
    for one in source.derived:
        database.execute(f"CREATE TABLE {own}_{one.name} AS {one.select.format(source=own)}")
        filled.setdefault(one.name, []).append(f"SELECT *, {stamp} FROM {own}_{one.name}")
    rows, amount = database.execute(f"SELECT count(*), coalesce(sum({source.amount}), 0) FROM {own}").fetchall()[0]
    values: list[Any] = [
        year.dataset.name, year.year, year.release, "b", 1, "r1", True, rows, 0, amount + year.missing_usd,
        year.built_at,
    ]  # fmt: skip
    database.execute(f"INSERT INTO builds VALUES ({', '.join('?' * len(values))})", values)


def curate(store: ObjectStore, path: Path, years: Iterable[Year]) -> list[BuildManifest]:
    """The records of a described database as builds of a lake."""
    found = []
    with duckdb.connect(str(path), read_only=True) as database:
        for number, one in enumerate(years):
            contract = Contract.from_toml(one.dataset.contract)
            scope, own = year_scope(one.dataset.name, one.year), f"records_{number}"
            tables = {contract.name: own} | {it.name: f"{own}_{it.name}" for it in derived_tables(one.dataset)}
            files = []
            for table, source in tables.items():
                written = path.with_name(f"{source}.parquet")
                database.execute(f"COPY {source} TO '{written}'")
                (rows,) = database.execute(f"SELECT count(*) FROM {source}").fetchall()[0]
                digest, size = sha256_of(written), written.stat().st_size
                key = build_file(scope, "0000000b", table, 0, digest)
                store.put_new(key, written, sha256=digest)
                files.append(BuildFile(key=key, bytes=size, sha256=digest, table=table, rows=rows))
            sums = ", ".join(f"coalesce(sum({it.title}), 0)" for it in contract.amounts)
            amounts = database.execute(f"SELECT {sums} FROM {own}").fetchall()[0]
            build = BuildManifest(
                scope=scope, build="0000000b", table=contract.name, dataset=one.dataset.name, year=one.year,
                release=one.release, run_id="r1", closed=True, contract=contract.hash, parts=1, rows=files[0].rows,
                quarantined=0, amounts={it.title: sum_ for it, sum_ in zip(contract.amounts, amounts, strict=True)},
                files=tuple(files), created_at=one.built_at, software={},
            )  # fmt: skip
            found.append(commit_build(store, build))
    return found

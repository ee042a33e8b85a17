"""Marts and a page of some million payments, made by the jobs as a user runs them.

The build of the year is not fetched and staged but generated: 1,600 companies, one recipient in twelve payments, 5,000
products, amounts from 1 to 22,000. Real rows have more distinct texts, and more empty columns.
"""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from benchmarks.measure import run
from data_pipeline.lake_layout import lakehouse as keys
from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.builds import commit_build
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.documents import BuildFile, BuildManifest
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.tables import derived_tables
from etl_core.files import sha256_of
from etl_core.lake.directory import DirectoryStore

ROWS = 5_000_000
SCOPE = year_scope(GENERAL.name, 2024)
BUILD = "00000000"
PAYER = "applicable_manufacturer_or_applicable_gpo_making_payment"
NAME = "name_of_drug_or_biological_or_device_or_medical_supply"
KIND = "indicate_drug_or_biological_or_device_or_medical_supply"
PART = "raw/dataset=general-payments/year=2024/release=a/company_id="
# The columns that questions use; the others stay empty. hash(i + n) gives independent numbers for each n.
VALUES = {
    "record_id": "(1000000000 + i)::VARCHAR",
    f"{PAYER}_id": "(100000000000 + hash(i) % 1600)::VARCHAR",
    f"{PAYER}_name": "'Company ' || hash(i) % 1600",
    "covered_recipient_profile_id": "(hash(i + 7) % {recipients})::VARCHAR",
    "covered_recipient_type": "'Covered Recipient Physician'",
    "covered_recipient_specialty_1": "'Specialty ' || hash(i + 7) % 300",
    "recipient_city": "'City ' || hash(i + 7) % 9000",
    "recipient_state": "chr(65 + (hash(i + 7) % 26)::INTEGER) || 'A'",
    "recipient_country": "'United States'",
    "total_amount_of_payment_usdollars": "exp((hash(i + 3) % 1000) / 100)",
    "date_of_payment": "DATE '2024-01-01' + (hash(i + 5) % 366)::INTEGER",
    "nature_of_payment_or_transfer_of_value": (
        "['Food and Beverage', 'Travel and Lodging', 'Consulting Fee', 'Education'][1 + (hash(i + 9) % 4)::INTEGER]"
    ),
    "form_of_payment_or_transfer_of_value": (
        "['Cash or cash equivalent', 'In-kind items and services'][1 + (hash(i + 11) % 2)::INTEGER]"
    ),
    f"{NAME}_1": "'Product ' || hash(i + 13) % 5000",
    f"{KIND}_1": "'Drug'",
    f"{NAME}_2": "CASE WHEN hash(i + 17) % 3 = 0 THEN 'Product ' || hash(i + 19) % 5000 END",
    "_part": f"'{PART}' || hash(i) % 1600 || '/part-1-of-1.csv'",
}


def generate(root: Path, rows: int) -> None:
    """A lake with one build of so many general payments."""
    contract = Contract.from_toml(GENERAL.contract)
    with contextlib.closing(DirectoryStore(root)) as store, tempfile.TemporaryDirectory(dir=root.parent) as name:
        folder = Path(name)
        database = duckdb.connect(config={"threads": 2, "memory_limit": "1500MB", "temp_directory": str(folder)})
        described = database.execute(f"DESCRIBE SELECT * FROM {sql.no_records(contract)}").fetchall()
        recipients = max(rows // 12, 1)
        columns = [
            f"({VALUES.get(title, 'NULL')})::{kind} AS {title}".replace("{recipients}", str(recipients))
            for title, kind, *_ in described
        ]
        made = [(contract.name, f"SELECT {', '.join(columns)} FROM range({rows}) AS r(i)")]
        source = f"read_parquet('{folder / contract.name}')"
        made += [(one.name, one.select.format(source=source)) for one in derived_tables(GENERAL)]
        files = []
        for table, select in made:
            path = folder / table
            ((count,),) = database.execute(sql.copy(select, str(path), columns=len(columns))).fetchall()
            digest, size = sha256_of(path), path.stat().st_size
            key = keys.build_file(SCOPE, BUILD, table, 0, digest)
            files.append(BuildFile(key=key, bytes=size, sha256=digest, table=table, rows=count))
        sums = {one.title: f"coalesce(sum({one.title}), 0)" for one in contract.amounts}
        amounts = database.execute(f"SELECT {', '.join(sums.values())} FROM {source}").fetchall()[0]
        database.close()
        for file in files:
            store.put_new(file.key, folder / file.table)
        commit_build(
            store,
            BuildManifest(
                scope=SCOPE, build=BUILD, table=contract.name, dataset=GENERAL.name, year=2024, release="a",
                run_id="r1", closed=True, contract=contract.hash, parts=1, rows=rows, quarantined=0,
                amounts=dict(zip(sums, amounts, strict=True)), files=tuple(files), created_at=datetime.now(UTC),
                software={},
            ),
        )  # fmt: skip


def main(rows: int = ROWS) -> list[dict[str, object]]:
    """Build the marts of one lake, and again."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Path(folder) / "lake"
        generate(lake, rows)
        measured: list[dict[str, object]] = []
        for case in ("marts", "the same marts again"):
            cost = run(["data-pipeline", "run", "build_marts", "--", "--lake", str(lake)], LOG_FORMAT="json")
            fact = json.loads(cost.stdout)
            measured.append(
                {
                    "case": case, "status": fact["status"], "rows": fact["rows"], "seconds": round(cost.wall, 1),
                    "CPU s": round(cost.cpu, 1), "peak MB": round(cost.peak / 1e6), "file MB": fact["bytes"] // 10**6,
                }
            )  # fmt: skip
        return measured


if __name__ == "__main__":
    for row in main(int(sys.argv[1])):
        print(row)

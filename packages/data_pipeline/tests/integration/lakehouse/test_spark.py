"""Spark as it is, in local mode, beside DuckDB on the same 20,000 general payments.

One Spark and one pair of lakes for all tests: to start it and to compile its plans takes most of the time.
"""

import os
import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from data_pipeline.lakehouse.contract import Column, Contract
from data_pipeline.lakehouse.curate import Curation, Inputs
from data_pipeline.lakehouse.database import Limits
from data_pipeline.lakehouse.documents import StagedPart
from data_pipeline.lakehouse.spark import Spark, open_session, spark_version
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.tables import derived_tables
from etl_core.lake.directory import DirectoryStore
from etl_core.progress import Progress
from packages.data_pipeline.tests.unit.lakehouse.lake_case import START, LakehouseCase, csv_of, raw_key
from tools import isolated

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(600),
    # PySpark leaves closing its sockets to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]
CONTRACT = Contract.from_toml(GENERAL.contract)
SLICES, ROWS = 200, 100
LIMITS = Limits(memory_mb=1024, workers=2)
GOOD = {
    "date": ("02/29/2024", "12/31/2024", "11/30/0002"),
    "decimal": ("12.30", "0.00", "-3.1", "400000000.00", "7", "9999999999999999.99"),
    "integer": ("1", "3", "0", "10000"),
    "boolean": ("Yes", "No"),
}
ODD = (
    "02/30/2024", "1/3/2024", "12.345", "1e3", "1_000", " 1", "1\n", "yes", "é" * 400, "x" * 3000, "a\0b", "a\r\nb, c",
    '"', '""', '",', "\\", "'; DROP TABLE t; --", "=cmd|' /C calc'!A0", "\x1b[31m", "${env:HOME}", "<script>", "٣", "\u2028",
)  # fmt: skip


def a_text(column: Column, chance: random.Random) -> str:
    if column.kind in GOOD and column.pattern != "[0-9]{4}":
        return chance.choice(GOOD[column.kind])
    if column.values:
        return chance.choice((*column.values, "Unheard of"))
    return {
        "[0-9]{1,38}": str(chance.randrange(10**9)), "[0-9]{4}": chance.choice(("2024", "0002")), "[0-9]{10}": "1234567893", "[A-Z]{2}": "NY",
        "[0-9]{5}(-[0-9]{4})?": "12345-6789",
    }.get(column.pattern, chance.choice(("Acme, Inc.", 'the "best"', "two\nlines", "Zürich", "plain")))  # fmt: skip


def a_payment(number: int, payer: str, chance: random.Random) -> list[str]:
    """A payment with a value in half of the columns, and now and then an odd one anywhere."""
    texts = {one.name: a_text(one, chance) if one.required or chance.random() < 0.5 else "" for one in CONTRACT.columns}
    texts |= {GENERAL.record_id_column: str(number), GENERAL.payer_column: payer}
    if chance.random() < 0.2:
        texts[chance.choice(CONTRACT.columns).name] = chance.choice(ODD)
    return list(texts.values())


def slices() -> tuple[dict[str, bytes], dict[str, dict[str, Any]]]:
    """Parts by payer and what their audits say, both dialects among them, and bytes that are no UTF-8."""
    chance = random.Random(13)
    bodies, said = {}, {}
    for number in range(SLICES):
        payer = str(100000000000 + number)
        rows = [a_payment(number * ROWS + row, payer, chance) for row in range(ROWS)]
        bodies[payer] = csv_of(rows, CONTRACT.header)
        said[payer] = {"records": ROWS}
        if number % 50 == 7:
            rows[3][CONTRACT.header.index("Contextual_Information")] = 'a \\" b, "'
            bodies[payer] = csv_of(rows, CONTRACT.header).replace(b'\\""', b'\\"')
            said[payer]["dialect"] = "backslash"
        if number % 50 == 9:
            bodies[payer] = bodies[payer].replace("Zürich".encode(), b"Z\xfcrich")
    return bodies, said


class Lake(LakehouseCase):
    def new_store(self) -> Any:
        return DirectoryStore(Path(os.environ["TMPDIR_OF_TEST"]))


def seconds_of(process: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

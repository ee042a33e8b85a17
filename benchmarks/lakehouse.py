"""From raw parts to tables, beside programs that read the same CSV without checking it.

Against DuckDB's plain typed read of the same bytes to Parquet: the parts of 300 companies, whose sizes differ as the
real ones do, and the large ones of them alone. A few million rows are then staged, sorted and traced for real, with
the memory that takes, beside polars and pyarrow. What is said of a full year is extrapolated.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.lakes import SEED, UnsyncedStore, multiplied, proved_again
from benchmarks.measure import Cost, installed, run, run_job, sandbox
from data_pipeline.lakehouse.builds import current_builds
from data_pipeline.lakehouse.contract import Contract
from data_pipeline.lakehouse.sql import TYPES
from data_pipeline.open_payments.datasets import GENERAL
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.documents import Audit

YEAR, COMPANIES, SCALE = "2024", 300, 0.1
ROUNDS = 3
# The parts above so many bytes, of two copies: what a start of the program costs is little beside them.
LARGE_BYTES, LARGE_COPIES = 15_000_000, 2
# Five lakes of 300 companies are as many slices as a year has, with a third of its rows.
COPIES = 5
ROWS_OF_A_YEAR = 15_400_000
LARGE, CHANGED, MANY = "large", "changed", "many"
POLARS, PYARROW = "polars==2.1.0", "pyarrow==26.0.1"

PLAIN = """
import json, sys, duckdb
files, kinds, out = json.load(open(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3]
read = f"read_csv({files}, columns={kinds}, auto_detect=false, header=true, delim=',', quote='\\"', escape='\\"', "
duckdb.execute(f"COPY (FROM {read} dateformat='%m/%d/%Y')) TO '{out}' (FORMAT parquet, COMPRESSION zstd)")
"""
WITH_POLARS = """
import json, sys
import polars as pl
files, kinds, out = json.load(open(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3]
order = json.loads(sys.argv[4])
table = pl.scan_csv(files, schema={name: pl.String for name in kinds})
dates = [name for name, kind in kinds.items() if kind == "DATE"]
numbers = {"DECIMAL(18,2)": pl.Decimal(18, 2), "BIGINT": pl.Int64}
table = table.with_columns(
    *[pl.col(name).str.to_date("%m/%d/%Y") for name in dates],
    *[pl.col(name).cast(numbers[kind]) for name, kind in kinds.items() if kind in numbers],
)
table.sort(order).sink_parquet(out, compression="zstd")
"""
WITH_PYARROW = """
import json, sys
import pyarrow as pa
from pyarrow import csv, parquet
files, kinds, out = json.load(open(sys.argv[1])), json.loads(sys.argv[2]), sys.argv[3]
order = json.loads(sys.argv[4])
arrow = {"DATE": pa.timestamp("s"), "DECIMAL(18,2)": pa.decimal128(18, 2), "BIGINT": pa.int64(), "VARCHAR": pa.string()}
given = csv.ConvertOptions(
    column_types={name: arrow[kind] for name, kind in kinds.items()}, timestamp_parsers=["%m/%d/%Y"],
    strings_can_be_null=True,
)
parse = csv.ParseOptions(newlines_in_values=True)
table = pa.concat_tables([csv.read_csv(one, parse_options=parse, convert_options=given) for one in files])
table = table.sort_by([(name, "ascending") for name in order])
parquet.write_table(table, out, compression="zstd")
"""


def contract() -> Contract:
    return Contract.from_toml(GENERAL.contract)


def plain_types() -> dict[str, str]:
    """DuckDB's types of the columns, for a read that checks nothing; it has no boolean of Yes and No."""
    kinds = {**TYPES, "boolean": "VARCHAR"}
    return {one.name: kinds.get(one.kind, "VARCHAR") for one in contract().columns}


class Lake:
    """A lake in a folder, and the files of one of its runs for other programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "lake"
        self.store = UnsyncedStore(self.root)

    def audits(self, run_id: str) -> list[Audit]:
        return list(open_run(self.store, run_id).parts())

    def job(self, name: str, *words: str) -> Cost:
        return run(["data-pipeline", "run", name, "--", *words], LAKE_URL=str(self.root), LOG_FORMAT="json")

    def forget_tables(self) -> None:
        """Remove what was staged and built."""
        for name in ("staging", "metadata/staging", "curated", "metadata/curated"):
            shutil.rmtree(self.root / name, ignore_errors=True)

    def read_by(self, python: Path, program: str, run_id: str) -> Cost:
        """Another program reads the parts of a run and writes one Parquet file, which is removed."""
        files = self.folder / "files.json"
        files.write_text(json.dumps([str(self.root / one.key) for one in self.audits(run_id)]))
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            words = [json.dumps(plain_types()), f"{name}/out.parquet", json.dumps(contract().order)]
            return run([str(python), "-c", program, str(files), *words])


@contextlib.contextmanager
def fetched(companies: int, scale: float) -> Iterator[Lake]:
    """A lake with a year of the sandbox, fetched and committed."""
    with tempfile.TemporaryDirectory() as name:
        lake = Lake(Path(name))
        with sandbox(years=[int(YEAR)], scale=scale, first_companies=companies) as url:
            run_job(url, lake.root, "run_pipeline", "--", "--year", YEAR, "--run-id", SEED)
        yield lake


def compare_stage(lake: Lake, case: str, run_id: str) -> dict[str, object]:
    """``stage`` and DuckDB in turn, both with two threads; medians of the rounds."""
    costs: dict[str, list[Cost]] = {"ours": [], "plain": []}
    for _ in range(ROUNDS):
        lake.forget_tables()
        costs["ours"].append(lake.job("stage", "--run-id", run_id))
        costs["plain"].append(lake.read_by(Path(sys.executable), PLAIN, run_id))
    ratios = [ours.wall / plain.wall for ours, plain in zip(costs["ours"], costs["plain"], strict=True)]
    fact, audits = json.loads(costs["ours"][0].stdout), lake.audits(run_id)
    return {
        "case": case,
        "rows": fact["rows"],
        "parts": len(audits),
        "MB": round(sum(one.bytes for one in audits) / 1e6),
        "ours s": _median(one.wall for one in costs["ours"]),
        "theirs s": _median(one.wall for one in costs["plain"]),
        "ratio": round(statistics.median(ratios), 2),
        "ratio of CPU": round(
            statistics.median(o.cpu / p.cpu for o, p in zip(costs["ours"], costs["plain"], strict=True)), 2
        ),
        "peak MB": round(max(one.peak for one in costs["ours"]) / 1e6),
    }


def one_changed(lake: Lake) -> dict[str, object]:
    """Of a year that is staged and built, one company is proved again with other rows."""
    lake.forget_tables()
    first = {name: lake.job(name, "--run-id", SEED) for name in ("stage", "build_curated")}
    changed = sorted(lake.audits(SEED), key=lambda one: one.records)[-COMPANIES // 2]
    proved_again(lake.store, SEED, CHANGED, changed.company_id)
    again = {name: lake.job(name, "--run-id", CHANGED) for name in ("stage", "build_curated")}
    fact = json.loads(again["stage"].stdout)
    return {
        "case": "one changed company of 300",
        "rows": fact["rows"],
        "new parts": fact["new_parts"],
        **{f"{name} s": f"{first[name].wall:.1f} then {again[name].wall:.1f}" for name in first},
        "stage again, of the first": round(again["stage"].wall / first["stage"].wall, 2),
    }


def many_rows(lake: Lake, copies: int, pythons: Mapping[str, tuple[Path, str]]) -> Iterator[dict[str, object]]:
    """Stage, build and trace some millions of rows; the same rows by other programs."""
    lake.forget_tables()
    multiplied(lake.store, SEED, MANY, copies)
    rows = sum(one.records for one in lake.audits(MANY))
    for name in ("stage", "build_curated"):
        yield _row(name, rows, lake.job(name, "--run-id", MANY))
    yield _row("trace", rows, trace(lake), year_is="")
    _a_year_of_files(lake, rows)
    yield _row("trace, its files listed as often as a year has rows", ROWS_OF_A_YEAR, trace(lake), year_is="simulated")
    lake.forget_tables()
    for name, (python, program) in pythons.items():
        yield _row(name, rows, lake.read_by(python, program, MANY))


def trace(lake: Lake) -> Cost:
    """The last record of the last part."""
    part = lake.audits(MANY)[-1]
    *_, last = (lake.root / part.key).read_text(encoding="utf-8").splitlines()
    place = contract().header.index(contract().key) - len(contract().header)
    return lake.job("trace", last.split(",")[place])


def _a_year_of_files(lake: Lake, rows: int) -> None:
    """Commit a build that lists the files of the last one until they are a year."""
    (build,) = current_builds(lake.store)
    files = build.files * round(ROWS_OF_A_YEAR / rows)
    numbered = build.model_copy(update={"number": build.number + 1, "parent": build.number, "files": files})
    lake.store.put(f"metadata/curated/{build.scope}/{numbered.number:08d}.json", numbered.to_bytes())


def _row(case: str, rows: int, cost: Cost, *, year_is: str | None = None) -> dict[str, object]:
    year = f"{cost.wall * ROWS_OF_A_YEAR / rows:.0f} s, extrapolated" if year_is is None else year_is
    return {
        "case": case,
        "rows": rows,
        "seconds": round(cost.wall, 1),
        "CPU s": round(cost.cpu, 1),
        "peak MB": round(cost.peak / 1e6),
        "a year": year,
    }


def _median(seconds: Iterator[float]) -> float:
    return round(statistics.median(seconds), 1)


def alike(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """The rows with all columns of any of them."""
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{key: row.get(key, "") for key in columns} for row in rows]


def main() -> list[dict[str, object]]:
    """Every case on one lake."""
    with fetched(COMPANIES, SCALE) as lake:
        python = installed(POLARS, lake.folder / "venv") / "python"
        installed(PYARROW, lake.folder / "venv")
        multiplied(lake.store, SEED, LARGE, LARGE_COPIES, least_bytes=LARGE_BYTES)
        return alike(
            [
                compare_stage(lake, "stage, 300 companies", SEED),
                compare_stage(lake, "stage, large parts", LARGE),
                one_changed(lake),
                *many_rows(lake, COPIES, {"polars": (python, WITH_POLARS), "pyarrow": (python, WITH_PYARROW)}),
            ]
        )

"""Every script of the page on reading, over lakes that a sandbox filled, in both dialects of the source."""

import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from etl_core.csv_stream.records import fields_of
from sandbox.open_payments import Sandbox, Settings
from tools import isolated

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")
SCRIPTS = {text.split()[1]: text for text in re.findall(r"```python\n(# \w+\.py\n.*?)```", PAGE, re.DOTALL)}
DATASETS = ("general", "research", "ownership")
pytestmark = pytest.mark.timeout(300)


def run(program: Path | str, *words: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: os.environ[name] for name in ("HOME", "PATH", "JAVA_HOME") if name in os.environ}
    return subprocess.run(
        [str(program), *words], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=["A", "B"], ids=lambda dialect: f"dialect-{dialect}")
def filled(request, tmp_path_factory):
    """The page's scripts beside a lake of three datasets, one of two releases, and the rows of the newest."""
    folder = tmp_path_factory.mktemp("reading")
    for name, text in SCRIPTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    with Sandbox(Settings(dialect=request.param, scale=0.01, first_companies=12)) as source:
        for dataset in (*DATASETS, "general"):
            if (folder / f"lake/raw/dataset={dataset}-payments").exists():
                source.republish(2024, dataset=dataset, added=4, removed=2, changed=3)
            done = run(
                sys.executable, "-m", "data_pipeline", "run", "run_pipeline", "--",
                "--dataset", f"{dataset}-payments", "--year", "2024",
                folder=folder, OPEN_PAYMENTS_URL=source.url, LAKE_URL=str(folder / "lake"),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        for job in ("stage", "build_curated"):
            done = run(
                sys.executable, "-m", "data_pipeline", "run", job, "--", "--year", "2024",
                folder=folder, LAKE_URL=str(folder / "lake"),
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        yield folder, request.param, {one: source.truth(2024, dataset=one)["rows"] for one in DATASETS}


def newest_run_of(folder: Path, dataset: str) -> dict[str, Any]:
    manifests = [json.loads(path.read_bytes()) for path in folder.glob("lake/metadata/runs/*/manifest.json")]
    return max((one for one in manifests if one["dataset"] == dataset), key=lambda one: one["created_at"])


def audits_of(folder: Path, dataset: str) -> list[dict[str, Any]]:
    path = folder / "lake/metadata/runs" / f"run_id={newest_run_of(folder, dataset)['run_id']}" / "file_audits.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def amount_of(folder: Path) -> Decimal:
    """By our own reader, which is not that of the page."""
    total = Decimal(0)
    for part in audits_of(folder, "general-payments"):
        body = (folder / "lake" / part["key"]).read_bytes()
        column = body.partition(b"\n")[0].split(b",").index(b"Total_Amount_of_Payment_USDollars")
        total += sum(Decimal(fields[column].decode()) for fields in fields_of([body]))
    return total


def program_with(tool: str) -> Path:
    try:
        return isolated.program(tool).with_name("python")
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))


def test_the_reader_of_the_page_has_at_most_sixty_lines_and_imports_the_standard_library_alone():
    lines = [line for line in SCRIPTS["read_run.py"].splitlines() if line.strip()]

    assert len(lines) <= 60
    assert {line.split()[1] for line in lines if line.startswith(("import", "from"))} <= sys.stdlib_module_names


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_reader_of_the_page_recomputes_counts_and_hashes_of_a_year(filled, dataset):
    folder, dialect, rows = filled
    done = run(sys.executable, "read_run.py", "lake", f"{dataset}-payments", "2024", folder=folder)

    assert done.returncode == 0, done.stderr
    newest = newest_run_of(folder, f"{dataset}-payments")
    assert json.loads(done.stdout) == {
        "run_id": newest["run_id"], "rows": rows[dataset], "parts": newest["files_planned"]
    }  # fmt: skip
    if dataset == "general":
        dialects = {part["dialect"] for part in audits_of(folder, "general-payments")}
        assert dialects == ({"backslash", "rfc4180"} if dialect == "A" else {"rfc4180"})


@pytest.mark.parametrize("damage", ["an amount", "a list"])
def test_the_reader_of_the_page_notices_a_part_and_a_list_that_were_changed(filled, damage):
    folder, _, _ = filled
    run_id = newest_run_of(folder, "general-payments")["run_id"]
    changed = {
        "an amount": folder / "lake" / audits_of(folder, "general-payments")[0]["key"],
        "a list": folder / f"lake/metadata/runs/run_id={run_id}/file_audits.jsonl",
    }[damage]
    before = changed.read_bytes()
    changed.write_bytes(before.replace(b"1", b"2", 1))
    try:
        done = run(sys.executable, "read_run.py", "lake", "general-payments", "2024", folder=folder)
    finally:
        changed.write_bytes(before)

    assert done.returncode == 1
    assert "AssertionError" in done.stderr


def test_a_glob_of_the_raw_zone_counts_releases_twice(filled):
    folder, _, rows = filled
    everything = (folder / "lake").glob("raw/dataset=general-payments/year=2024/**/*.csv")

    assert sum(1 for path in everything for _ in fields_of([path.read_bytes()])) > 1.9 * rows["general"]


@pytest.mark.parametrize(
    ("script", "tool"),
    [
        *((f"{what}with_duckdb.py", None) for what in ("", "build_")),
        *(
            pytest.param(f"{what}with_{tool}.py", environment, marks=pytest.mark.long)
            for what in ("", "build_")
            for tool, environment in {"pandas": "other-readers", "polars": "other-readers", "spark": "spark"}.items()
        ),
    ],
)
def test_a_script_of_the_page_reads_the_newest_release_and_nothing_twice(filled, script, tool):
    folder, _, rows = filled
    program = program_with(tool) if tool else sys.executable
    done = run(program, script, folder=folder, SPARK_LOCAL_IP="127.0.0.1")

    assert done.returncode == 0, done.stderr
    found_rows, amount = done.stdout.split()
    assert (int(found_rows), Decimal(amount)) == (rows["general"], amount_of(folder))

"""Tools that read what dbt knows of the project: every model is described, tested, typed, named and in its place."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from analytics import PROJECT
from data_pipeline.lakehouse.dbt import Built, interpreter, variables

pytestmark = pytest.mark.timeout(300)
PACKAGE = Path(__file__).resolve().parents[2]
BIN = Path(interpreter("")).parent


def said_by(*words: str | Path, folder: Path = PACKAGE, more: Mapping[str, str] | None = None) -> str:
    """What a tool of dbt's environment prints; it must succeed, and writes nothing into the package."""
    environment = {"HOME": "/nonexistent", "DO_NOT_TRACK": "1", "COLUMNS": "200"} | dict(more or {})
    command = [BIN / words[0], *words[1:]]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def artifacts(made: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the catalogue of the columns that were made, and the documentation as one page."""
    folder = shutil.copytree(made.database.parent, tmp_path_factory.mktemp("gates") / "marts")
    said_by(
        "dbt", "docs", "generate", "--static", "--quiet", "--no-version-check", "--project-dir", PROJECT,
        "--profiles-dir", folder, "--target-path", folder / "target", "--log-path", folder / "logs",
        more=variables(folder),
    )  # fmt: skip
    return folder / "target"


def test_the_documentation_is_one_page(artifacts: Path) -> None:
    page = (artifacts / "static_index.html").read_text(encoding="utf-8")

    assert "mart_top_companies" in page
    assert "each payment divided among its products" in page


def test_every_column_of_every_model_is_described(artifacts: Path) -> None:
    report = artifacts / "coverage.json"
    ours = [word for name in ("staging", "core", "marts") for word in ("--model-path-filter", f"models/{name}/")]
    said = said_by(
        "dbt-coverage", "compute", "doc", "--project-dir", PROJECT, "--run-artifacts-dir", artifacts,
        "--cov-report", report, "--cov-fail-under", "1.0", *ours,
    )  # fmt: skip

    assert "100.0%" in said.strip().splitlines()[-1]


def test_no_rule_of_dbt_score_is_violated(artifacts: Path) -> None:
    said_by("dbt-score", "lint", "--manifest", artifacts / "manifest.json")


def test_no_rule_of_dbt_bouncer_is_violated(artifacts: Path) -> None:
    rules = artifacts / "dbt-bouncer.yml"
    rules.write_text((PACKAGE / "dbt-bouncer.yml").read_text().replace("dir: target", f"dir: {artifacts}"))

    said_by("dbt-bouncer", "run", "--config-file", rules, folder=artifacts)

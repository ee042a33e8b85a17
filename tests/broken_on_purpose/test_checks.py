"""Each check is taken out of the code, and its tests must fail: a check that nothing notices is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
CHECKS: list[dict[str, Any]] = tomllib.loads((Path(__file__).parent / "checks.toml").read_text())["check"]
NOT_ALL_PASSED = 1  # pytest's own; 2 and more: it could not run them

every_check = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check["says"].replace(" ", "-"))


@every_check
def test_it_stands_once_in_the_code(check):
    text = (ROOT / "packages" / check["file"]).read_text()
    assert text.count(check["code"]) == 1
    assert all((ROOT / path).exists() for path in check["tests"])


@pytest.mark.long
@every_check
def test_without_it_a_test_fails(check, tmp_path):
    sources = Path(*Path(check["file"]).parts[:2])  # PACKAGE/src
    shutil.copytree(ROOT / "packages" / sources, tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    broken = tmp_path / Path(check["file"]).relative_to(sources.parts[0])
    broken.write_text(broken.read_text().replace(check["code"], check["instead"]))
    # Before the installed packages; nothing is cached beside the sources.
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    package = sources.parts[0]
    found = run("-c", f"import {package}; print({package}.__file__)", environment=environment)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path), found.stdout + found.stderr
    options = f"-q -x --timeout=60 -o cache_dir={tmp_path}/cache --basetemp={tmp_path}/tmp"
    ended = run("-m", "pytest", *options.split(), *check["tests"], environment=environment)
    assert ended.returncode == NOT_ALL_PASSED, f"{ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-1000:]}"


def run(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

"""Each check is taken out of the code, and its tests must fail: a check that no test notices proves nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.broken_on_purpose.breaking import broken, located, mirrors_of

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "packages"
SECTIONS = tomllib.loads((Path(__file__).parent / "checks.toml").read_text()).values()
CHECKS = {says: check for section in SECTIONS for says, check in section.items()}
NOT_ALL_PASSED = 1  # pytest's own; 2 and more: it could not run them

every_check = pytest.mark.parametrize(
    ("function", "how"), CHECKS.values(), ids=[says.replace(" ", "-") for says in CHECKS]
)


@every_check
def test_a_check_has_one_place_in_the_code_and_a_test_file(function, how):
    path, tree = located(PACKAGES, function)
    assert broken(path, tree, how) != path.read_text()
    assert mirrors_of(PACKAGES, path), f"write a test file that mirrors {path}"


@pytest.mark.long
@every_check
def test_without_the_check_a_test_fails(function, how, tmp_path):
    path, tree = located(PACKAGES, function)
    package = path.relative_to(PACKAGES).parts[0]
    shutil.copytree(PACKAGES / package / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / path.relative_to(PACKAGES / package)).write_text(broken(path, tree, how))
    # Before the installed packages; nothing is cached beside the sources.
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    found = run("-c", f"import {package}; print({package}.__file__)", environment=environment)
    assert Path(found.stdout.strip()).is_relative_to(tmp_path), found.stdout + found.stderr
    options = f"-q -x --timeout=60 -o cache_dir={tmp_path}/cache --basetemp={tmp_path}/tmp"
    tests = map(str, mirrors_of(PACKAGES, path))
    ended = run("-m", "pytest", *options.split(), *tests, environment=environment)
    assert ended.returncode == NOT_ALL_PASSED, f"{ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-1000:]}"


def run(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

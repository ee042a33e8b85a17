"""tools/lock.py, the parts that need no Poetry: a change of any dependency, of the lock or of an export is noticed."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from tools import install, lock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    for path in ["pyproject.toml", "poetry.lock", "constraints.txt"]:
        shutil.copy(ROOT / path, tmp_path)
    for path in install.our_packages(ROOT):
        (tmp_path / path).mkdir(parents=True)
        shutil.copy(ROOT / path / "pyproject.toml", tmp_path / path)
    for path in ["packages/analytics/poetry.lock", "packages/analytics/constraints.txt"]:
        shutil.copy(ROOT / path, tmp_path / path)
    shutil.copytree(ROOT / "docker/requirements", tmp_path / "docker/requirements")
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_committed_lock_and_exports_are_current(copy):
    assert lock.is_current(copy)


@pytest.mark.parametrize(
    ("path", "old", "new"),
    [
        ("pyproject.toml", '"mypy>=', '"mypy>1,>='),
        ("pyproject.toml", 'extras = ["kubernetes"]', "extras = []"),
        ("packages/etl_core/pyproject.toml", '"requests>=2.32",', ""),
        ("packages/etl_core/pyproject.toml", 'version = "0.1.0"', 'version = "0.2.0"'),
        ("packages/etl_core/pyproject.toml", "kubernetes>=34", "kubernetes>=35"),
        ("poetry.lock", 'name = "click"', 'name = "clock"'),
        ("constraints.txt", "click==", "click==1"),
        ("docker/requirements/runtime.txt", "requests==", "requests==1"),
        ("packages/analytics/pyproject.toml", "dbt-score>=", "dbt-score>"),
        ("packages/analytics/poetry.lock", 'name = "dbt-core"', 'name = "dbt"'),
        ("packages/analytics/constraints.txt", "dbt-core==", "dbt-core==1"),
    ],
)
def test_a_changed_dependency_lock_or_export_is_noticed(copy, path, old, new):
    change(copy / path, old, new)

    assert not lock.is_current(copy)


def test_an_export_for_a_group_that_does_not_exist_is_noticed(copy):
    (copy / "docker/requirements/old.txt").write_text("")

    assert not lock.is_current(copy)


def test_a_changed_linter_rule_needs_no_new_lock(copy):
    change(copy / "pyproject.toml", "[tool.ruff]\n", "[tool.ruff]\nfix = true\n")

    assert lock.is_current(copy)


@pytest.mark.parametrize("project", lock.PROJECTS)
def test_a_lock_names_no_package_index(project):
    packages = tomllib.loads((ROOT / project / "poetry.lock").read_text())["package"]

    assert {package["source"]["type"] for package in packages if "source" in package} <= {"directory"}


@pytest.mark.parametrize("project", lock.PROJECTS)
def test_constraints_hold_only_versions(project):
    lines = lock.content((ROOT / project / "constraints.txt").read_text()).splitlines()

    assert lines
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[^\s;]+( ; .+)?", line)] == []


def test_the_image_installs_hashed_dependencies_of_the_command_and_no_development_tool():
    files = {path.name: lock.content(path.read_text()) for path in (ROOT / "docker/requirements").iterdir()}
    requirement = re.compile(r"([a-z0-9-]+)==\S+( ; [^\\]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+")

    assert [requirement.sub("", text).strip() for text in files.values()] == [""] * len(files)
    names = {match[1] for match in requirement.finditer(files["runtime.txt"])}
    assert {"boto3", "click", "kubernetes", "pydantic-core", "requests", "urllib3"} <= names
    assert names.isdisjoint({"pytest", "moto", "mypy", "openpayments-etl-core"})


def test_our_own_packages_are_left_out_of_an_export():
    exported = "-e file:///somewhere/packages/etl_core ; python_version >= '3.11'\nclick==8.5.1\n"

    assert lock.without_our_packages(exported) == "click==8.5.1\n"

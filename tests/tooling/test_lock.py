"""tools/lock.py without Poetry: notices whatever is out of step."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tools import image_requirements, install, lock

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    for path in ["pyproject.toml", "poetry.lock", "constraints.txt"]:
        shutil.copy(ROOT / path, tmp_path)
    for path in install.our_packages(ROOT):
        (tmp_path / path).mkdir(parents=True)
        shutil.copy(ROOT / path / "pyproject.toml", tmp_path / path)
    shutil.copytree(ROOT / image_requirements.FOLDER, tmp_path / image_requirements.FOLDER)
    return tmp_path


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_is_committed_is_in_step(copy):
    assert lock.faults(copy) == []


def test_a_changed_tool_is_noticed(copy):
    change(copy / "pyproject.toml", '"mypy>=', '"mypy>1,>=')

    assert lock.faults(copy) == ["poetry.lock was made for other dependencies than those in pyproject.toml"]


def test_a_changed_rule_of_the_linter_is_no_matter(copy):
    change(copy / "pyproject.toml", "[tool.ruff]\n", "[tool.ruff]\nfix = true\n")

    assert lock.faults(copy) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"requests>=2.32"', '"requests>=2.33"'),
        ('"requests>=2.32",', '"requests>=2.32", "httpx",'),
        ('"requests>=2.32",', ""),
        ('version = "0.1.0"', 'version = "0.2.0"'),
    ],
)
def test_a_changed_package_is_noticed(copy, old, new):
    change(copy / "packages/etl_core/pyproject.toml", old, new)

    assert lock.faults(copy) == ["poetry.lock was made for another etl_core/pyproject.toml"]


def test_another_version_in_the_constraints_is_noticed(copy):
    text = (copy / "constraints.txt").read_text()
    pin = next(line for line in text.splitlines() if line.startswith("click=="))
    change(copy / "constraints.txt", pin, "click==1.0")

    version = pin.split(" ")[0]
    assert lock.faults(copy) == [
        f"constraints.txt lacks {version}, which is locked",
        "constraints.txt has click==1.0, which is not locked",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "-e packages/etl_core",
        "-i http://127.0.0.1/",
        "click @ file:///x",
        "moto[s3]==1",
        "click>=1",
    ],
)
def test_constraints_hold_versions_and_nothing_else(copy, line):
    with (copy / "constraints.txt").open("a") as file:
        file.write(line + "\n")

    assert lock.faults(copy) == [f"constraints.txt holds more than a version: {line}"]


def test_an_address_in_the_lock_is_noticed(copy):
    text = (copy / "poetry.lock").read_text()
    name = '\nname = "click"\n'
    start = text.index(name)
    end = text.index("\n[[package]]", start)
    source = '\n[package.source]\ntype = "legacy"\nurl = "http://127.0.0.1/simple"\nreference = "x"\n'
    (copy / "poetry.lock").write_text(text[:end] + source + text[end:])

    assert lock.faults(copy) == ["click is locked to an address, http://127.0.0.1/simple: the lock may hold none"]


def test_another_version_for_the_image_is_noticed(copy):
    path = copy / image_requirements.FOLDER / "runtime.txt"
    change(path, "requests==", "requests==1")

    assert lock.faults(copy) == ["docker/requirements/runtime.txt is not what poetry.lock says"]


def test_a_file_for_the_image_that_nothing_asks_for_is_noticed(copy):
    (copy / image_requirements.FOLDER / "old.txt").write_text("")

    assert lock.faults(copy) == ["docker/requirements/old.txt is not what poetry.lock says"]


def test_the_image_takes_hashed_wheels_of_what_the_command_needs_and_no_tool_of_ours():
    files = image_requirements.files(ROOT)

    lines = [line for text in files.values() for line in text.splitlines() if not line.startswith("#")]
    assert [
        line for line in lines if not re.fullmatch(r"[a-z0-9-]+==\S+ \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line)
    ] == []
    names = set(re.findall(r"^([a-z0-9-]+)==", files["runtime.txt"], re.MULTILINE))
    assert {"boto3", "click", "kubernetes", "pydantic-core", "requests", "urllib3"} <= names
    assert names.isdisjoint({"pytest", "moto", "mypy", "openpayments-etl-core", "colorama", "importlib-metadata"})


def test_an_extra_gets_a_file_of_what_it_adds():
    ours = {"type": "directory", "url": "x"}
    wheel = {"file": "a-1-py3-none-any.whl", "hash": "sha256:aa"}
    packages: dict[str, dict[str, Any]] = {
        "openpayments-data-pipeline": {
            "name": "openpayments-data-pipeline",
            "source": ours,
            "dependencies": {"a": ">=1"},
            "extras": {"db": ['driver[fast] (>=2) ; python_version >= "3.11"']},
        },
        "a": {"name": "a", "version": "1", "files": [wheel]},
        "driver": {"name": "driver", "version": "2", "files": [wheel], "extras": {"fast": ["quick"]}},
        "quick": {"name": "quick", "version": "3", "files": [wheel]},
    }

    found = image_requirements.closure(packages, ("openpayments-data-pipeline", frozenset({"db"})))

    assert found == {"a", "driver", "quick"}

"""The Makefile: lists its targets, asks for missing arguments, passes arguments on unchanged."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import gate

ROOT = Path(__file__).resolve().parents[2]

if shutil.which("make") is None:
    pytest.skip("there is no make here", allow_module_level=True)


@pytest.fixture
def checkout(tmp_path):
    """The Makefile, its tools, and an environment whose `data-pipeline` prints its arguments."""
    folder = tmp_path / "a checkout"  # a path with a space in it
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(sys.executable)
    command = folder / ".venv" / "bin" / "data-pipeline"
    command.write_text("#!/usr/bin/env python3\nimport json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    command.chmod(0o755)
    return folder


def make(folder, *words):
    return subprocess.run(
        # -o: do not install
        ["make", "-o", "venv", "-o", "install-runtime", "-o", "install", *words],
        cwd=folder,
        env=gate.environment(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_every_target():
    targets = set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))

    listed = dict(re.findall(r"^  make (\S+) +(\S.*)$", make(ROOT).stdout, flags=re.MULTILINE))

    assert set(listed) == targets


def test_make_run_asks_for_the_year(checkout):
    answer = make(checkout, "run", "MAX=20")

    assert answer.returncode != 0
    assert answer.stderr.splitlines()[0] == "Which year? Name it: `make run YEAR=2024 MAX=20`."


def test_make_run_never_downloads_a_whole_year_because_an_argument_is_missing(checkout):
    answer = make(checkout, "run", "YEAR=2024")

    assert answer.returncode != 0
    assert "MAX=all" in answer.stderr.splitlines()[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["YEAR=2024", "MAX=20"], ["--year", "2024", "--max-files", "20"]),
        (["YEAR=2024", "MAX=all"], ["--year", "2024"]),
        (["YEAR=2024", "COMPANY=100000000053"], ["--year", "2024", "--company-id", "100000000053"]),
        (["YEAR=2024", "COMPANY=53 66"], ["--year", "2024", "--company-id", "53", "--company-id", "66"]),
        (
            ["YEAR=2024", "MAX=1", "ARGS=--lake 'a b' --dry-run"],
            ["--year", "2024", "--max-files", "1", "--lake", "a b", "--dry-run"],
        ),
        # What make or a shell would execute, expand or match stays as it is.
        (["YEAR=$(shell touch x)", "MAX=1"], ["--year", "$(shell touch x)", "--max-files", "1"]),
        (["YEAR=2024; touch x", "MAX=`touch x`"], ["--year", "2024; touch x", "--max-files", "`touch x`"]),
        (
            ["YEAR=1", "MAX=1", "ARGS=* $HOME ';touch x'"],
            ["--year", "1", "--max-files", "1", "*", "$HOME", ";touch x"],
        ),
    ],
)
def test_make_run_passes_arguments_on_unchanged(checkout, given, words):
    answer = make(checkout, "run", *given)

    assert json.loads(answer.stdout) == ["run", "build", "--", *words]
    assert not (checkout / "x").exists()


def test_args_that_cannot_be_split_are_refused(checkout):
    (checkout / "tools" / "demo.py").write_text("")

    answer = make(checkout, "demo", "ARGS=it's")

    assert answer.returncode != 0
    assert "ARGS cannot be split" in answer.stderr


def test_make_clean_keeps_what_make_did_not_create(checkout):
    for kept in ("data/raw/part-1-of-1.csv", "packages/a/src/a.py"):
        (checkout / kept).parent.mkdir(parents=True)
        (checkout / kept).write_text("")
    for gone in (".cache/tmp", "packages/a/src/__pycache__"):
        (checkout / gone).mkdir(parents=True)

    assert make(checkout, "clean").returncode == 0

    assert sorted(path.name for path in checkout.iterdir()) == [
        ".venv",
        "Makefile",
        "data",
        "packages",
        "tools",
    ]
    assert (checkout / "data/raw/part-1-of-1.csv").exists()
    assert [path.name for path in (checkout / "packages/a/src").iterdir()] == ["a.py"]
    (checkout / ".venv" / ".made-by-make").write_text("")
    make(checkout, "clean")
    assert not (checkout / ".venv").exists()


def test_a_missing_python_is_reported_in_one_sentence(checkout):
    answer = subprocess.run(
        ["make", "demo", "PYTHON=no-such-python"], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert answer.returncode != 0
    assert answer.stderr.startswith("There is no usable Python at 'no-such-python'")

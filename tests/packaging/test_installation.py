"""docs/installation.md and the advice of messages: they name paths of the checkout, and each command works."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from data_pipeline.settings.extras import advice
from tests.containers.test_image import ONE_COMPANY
from tools import isolated, lock

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/installation.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^```\n((?:pip|uv|pipx|poetry) .+)\n```$", PAGE, re.MULTILINE)
# Prints, of both packages, where they were installed from.
ORIGINS = """
import importlib.metadata, json
for name in ("openpayments-etl-core", "openpayments-data-pipeline"):
    print(json.loads(importlib.metadata.distribution(name).read_text("direct_url.json"))["url"])
import kubernetes
"""


def texts():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name.endswith((".md", ".py", ".toml", ".yaml", ".sh", "Dockerfile", "Makefile")):
            yield name, (ROOT / name).read_text(encoding="utf-8")


def test_nothing_advises_to_install_our_packages_by_a_name_that_nobody_owns():
    by_name = re.compile(r"\b(pip|pipx|uv)\b[^\n]*\binstall\b[^\n]*\bopenpayments-")
    assert [name for name, text in texts() if by_name.search(text)] == []


def test_the_page_has_a_command_for_pip_uv_pipx_and_poetry():
    assert [shlex.split(command)[0] for command in COMMANDS] == ["pip", "uv", "pipx", "poetry"]


def test_the_command_of_the_image_is_one_that_is_run_in_it():
    page, more = ((ROOT / f"docs/{name}.md").read_text(encoding="utf-8") for name in ("installation", "kubernetes"))
    (command,) = re.findall(r"docker run --rm (.+? etl-data-pipeline .+?)\n```", page, re.DOTALL)
    assert command in more
    words = shlex.split(command.replace("\\\n", ""))
    assert words[words.index("etl-data-pipeline") + 1 :] == ONE_COMPANY


def test_the_page_has_every_extra():
    project = tomllib.loads((ROOT / "packages/data_pipeline/pyproject.toml").read_text())["project"]
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/installation.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(project["optional-dependencies"])


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "a checkout"
    shutil.copytree(ROOT / "packages", folder / "packages", ignore=shutil.ignore_patterns("__pycache__", "tests"))
    shutil.copy(ROOT / "constraints.txt", folder)
    return folder


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("command", [*COMMANDS, advice("kubernetes")], ids=["pip", "uv", "pipx", "poetry", "advice"])
def test_a_command_installs_both_packages_from_the_checkout(command, checkout, tmp_path):
    command = re.sub(r"^In the checkout: (.*?)\. For uv .*", r"\1", command)
    words = shlex.split(command.replace("$PWD", str(checkout)).replace("$CHECKOUT", str(checkout)))
    words[-1] = words[-1].removesuffix("[kubernetes]") + "[kubernetes]"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    folder = checkout
    if words[0] == "poetry":
        tool, folder = isolated.program("poetry"), tmp_path / "mine"
        programs = folder / ".venv" / "bin"
        kept |= {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_PYPI_MIRROR_URL": lock.package_index()}
        folder.mkdir()
        begin = [str(tool), "init", "--no-interaction", "--name", "mine", "--python", ">=3.11,<4"]
        subprocess.run(begin, cwd=folder, env=kept, check=True)
    elif words[0] == "pip":
        venv.create(tmp_path / "venv", with_pip=True)
        tool, programs = tmp_path / "venv" / "bin" / "pip", tmp_path / "venv" / "bin"
    else:
        tool, programs = isolated.program(words[0]), tmp_path / "programs"
        kept |= {
            "PIPX_HOME": str(tmp_path / "pipx"),
            "PIPX_BIN_DIR": str(programs),
            "PIPX_DEFAULT_PYTHON": sys.executable,
        }
        kept |= {"UV_TOOL_DIR": str(tmp_path / "uv"), "UV_TOOL_BIN_DIR": str(programs)}
        kept["PATH"] = f"{tool.parent}:{kept['PATH']}"

    ended = subprocess.run([tool, *words[1:]], cwd=folder, env=kept, capture_output=True, text=True, check=False)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    listed = subprocess.run([programs / "data-pipeline", "list"], capture_output=True, text=True, check=True)
    assert "download_company" in listed.stdout
    # Not the script's first line: it is `/bin/sh` where the interpreter's path is longer than 127 characters.
    python = (programs / "data-pipeline").resolve().parent / "python"
    origins = subprocess.run([python, "-c", ORIGINS], capture_output=True, text=True, check=True).stdout.split()
    packages = (checkout / "packages").as_uri()
    assert origins == [f"{packages}/etl_core", f"{packages}/data_pipeline"]

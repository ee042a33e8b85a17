"""The wheels: what they say of themselves, and that they work in an environment that has nothing else."""

import email.parser
import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tools import install

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = install.our_packages(ROOT)


def project(path):
    return tomllib.loads((ROOT / path / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The wheel of every package, by its path in the repository."""
    folder = tmp_path_factory.mktemp("wheels")
    built = {}
    for path in PACKAGES:
        before = set(folder.iterdir())
        subprocess.run(
            [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), path],
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        (built[path],) = set(folder.iterdir()) - before
    return built


@pytest.fixture(scope="session")
def installed(wheels, tmp_path_factory):
    """The folder of programs of an environment with our wheels and what they ask for."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    venv.create(folder, with_pip=True)
    subprocess.run(
        [
            folder / "bin" / "python",
            "-m",
            "pip",
            "install",
            "-qq",
            "-c",
            ROOT / "constraints.txt",
            *wheels.values(),
        ],
        check=True,
    )
    return folder / "bin"


def run(*words, cwd):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(words, cwd=cwd, env=kept, capture_output=True, text=True, check=False)


def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return email.parser.BytesParser().parsebytes(archive.read(name))


@pytest.mark.parametrize("path", PACKAGES)
def test_a_wheel_asks_for_what_the_project_names_and_for_no_path(wheels, path):
    needs = [Requirement(need) for need in metadata(wheels[path]).get_all("Requires-Dist", [])]

    said = project(path)
    extras = said.get("optional-dependencies", {}).items()
    optional = {str(Requirement(f'{need}; extra == "{name}"')) for name, needed in extras for need in needed}
    assert {str(need) for need in needs} == {str(Requirement(need)) for need in said["dependencies"]} | optional
    assert [str(need) for need in needs if need.url] == []


@pytest.mark.parametrize("path", PACKAGES)
def test_our_packages_ask_for_each_other_by_the_version_they_have(path):
    versions = {project(other)["name"]: project(other)["version"] for other in PACKAGES}

    for need in map(Requirement, project(path)["dependencies"]):
        if need.name in versions:
            assert str(need.specifier) == f"=={versions[need.name]}"


@pytest.mark.parametrize("path", PACKAGES)
def test_a_wheel_says_who_it_is(wheels, path):
    said = metadata(wheels[path])

    # The bare names belong to strangers.
    assert said["Name"].startswith("openpayments-")
    assert said["Requires-Python"] == ">=3.11"
    assert said["License-Expression"] == "Apache-2.0"


@pytest.mark.parametrize("path", PACKAGES)
def test_a_wheel_holds_its_package_with_its_types_and_nothing_else(wheels, path):
    with zipfile.ZipFile(wheels[path]) as archive:
        names = archive.namelist()

    package = Path(path).name
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {package}
    assert f"{package}/py.typed" in names
    # The tests of a dbt project are SQL, and part of it.
    assert [name for name in names if "__pycache__" in name or ("/tests/" in name and name.endswith(".py"))] == []


@pytest.mark.long
def test_the_command_works_where_nothing_else_is_installed(installed, tmp_path):
    listed = run(installed / "data-pipeline", "list", cwd=tmp_path)
    module = run(installed / "python", "-m", "data_pipeline", "list", cwd=tmp_path)

    assert (listed.returncode, listed.stderr) == (0, "")
    assert "download_company" in listed.stdout
    assert (module.returncode, module.stdout) == (0, listed.stdout)


@pytest.mark.long
def test_what_is_installed_is_whole(installed, tmp_path):
    answer = run(installed / "python", "-m", "pip", "check", cwd=tmp_path)

    assert answer.returncode == 0, answer.stdout


@pytest.mark.long
def test_each_package_is_imported_from_its_wheel(installed, tmp_path):
    for path in PACKAGES:
        package = Path(path).name

        answer = run(installed / "python", "-c", f"import {package}; print({package}.__file__)", cwd=tmp_path)

        assert answer.returncode == 0, answer.stderr
        assert "site-packages" in answer.stdout

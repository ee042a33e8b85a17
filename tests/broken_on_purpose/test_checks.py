"""Each check is taken out of the code, and its tests must fail: a check that no test notices proves nothing."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from tests.broken_on_purpose.breaking import broken, located, mirrors_of
from tests.fork_server import SERVER

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "packages"
SECTIONS = tomllib.loads((Path(__file__).parent / "checks.toml").read_text()).values()
CHECKS = {says: check for section in SECTIONS for says, check in section.items()}
NOT_ALL_PASSED = 1  # pytest's own; 2 and more: it could not run them
ENDED = 100  # added to pytest's: a process that fails otherwise ends with 1, too

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
    shutil.copytree(PACKAGES / package / "src", tmp_path / "src")
    (tmp_path / path.relative_to(PACKAGES / package)).write_text(broken(path, tree, how))
    # Half of the time of a check would go into importing what no check changes.
    process = SERVER.Process(target=run_tests, args=(tmp_path, package, mirrors_of(PACKAGES, path)))
    process.start()
    process.join()
    assert process.exitcode == ENDED + NOT_ALL_PASSED, (tmp_path / "output").read_text()[-4000:]


def run_tests(folder: Path, package: str, tests: list[Path]) -> None:
    """In a process of its own: the tests find the package in the folder before the installed one."""
    with (folder / "output").open("wb") as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.chdir(ROOT)
    ours = {one.name for one in PACKAGES.iterdir()}
    for name in [one for one in sys.modules if one.partition(".")[0] in ours]:
        del sys.modules[name]
    source = str(folder / "src")
    sys.path.insert(0, source)
    os.environ["PYTHONPATH"] = source  # of processes that tests start
    sys.dont_write_bytecode = True
    if not str(importlib.import_module(package).__file__).startswith(source):
        sys.exit(f"{package} is not the broken one")
    places = f"-o cache_dir={folder}/cache --basetemp={folder}/tmp"
    options = f"-q -x --timeout=25 -W ignore::pytest.PytestAssertRewriteWarning {places}"
    sys.exit(ENDED + pytest.main([*options.split(), *map(str, tests)]))

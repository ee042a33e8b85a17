"""tools/install.py: what is installed, and what makes it install again."""

import shutil
from pathlib import Path

import pytest

from tools import install

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def copy(tmp_path):
    for path in ["pyproject.toml", "constraints.txt"]:
        shutil.copy(ROOT / path, tmp_path)
    for path in install.our_packages(ROOT):
        (tmp_path / path).mkdir(parents=True)
        shutil.copy(ROOT / path / "pyproject.toml", tmp_path / path)
    shutil.copy(ROOT / install.DBT_CONSTRAINTS, tmp_path / install.DBT_CONSTRAINTS)
    return tmp_path


def test_our_packages_are_those_in_the_root_s_pyproject():
    assert install.our_packages(ROOT) == [
        f"packages/{name}" for name in ("etl_core", "data_pipeline", "sandbox", "analytics", "orchestration")
    ]


@pytest.mark.parametrize("path", ["constraints.txt", install.DBT_CONSTRAINTS, "packages/etl_core/pyproject.toml"])
def test_changed_versions_and_metadata_are_installed(copy, path):
    before = [install.digest(copy, level) for level in ("runtime", "dev")]

    with (copy / path).open("a") as file:
        file.write("# changed\n")

    after = [install.digest(copy, level) for level in ("runtime", "dev")]
    assert all(new != old for new, old in zip(after, before, strict=True))


def test_a_new_development_tool_leaves_the_runtime_as_it_is(copy):
    before = {level: install.digest(copy, level) for level in ("runtime", "dev")}

    text = (copy / "pyproject.toml").read_text()
    (copy / "pyproject.toml").write_text(text.replace("dev = [", 'dev = [\n"another-tool",'))

    assert install.digest(copy, "runtime") == before["runtime"]
    assert install.digest(copy, "dev") != before["dev"]


def test_a_changed_linter_rule_installs_nothing(copy):
    before = install.digest(copy, "dev")

    text = (copy / "pyproject.toml").read_text()
    (copy / "pyproject.toml").write_text(text.replace("[tool.ruff]\n", "[tool.ruff]\nfix = true\n"))

    assert install.digest(copy, "dev") == before

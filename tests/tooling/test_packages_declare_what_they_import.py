"""A package declares exactly the distributions that it imports, not those that another one happens to install."""

import ast
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools import install

ROOT = Path(__file__).resolve().parents[2]
# What a package needs without importing it: programs that run and check the dbt project that it holds, a driver.
RUN = {
    "packages/analytics": {"dbt-core", "dbt-duckdb", "duckdb", "dbt-bouncer", "dbt-coverage", "dbt-score"},
    "packages/etl_core": {"psycopg"},
}
# What the environment has that a package is installed into; the package's dependency group names it.
AROUND = {"packages/orchestration": {"airflow"}}


def imported(package: Path) -> set[str]:
    """Top-level names that a package's source imports, also inside functions."""
    names: set[str] = set()
    for path in package.glob("src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names.update(alias.name.split(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names - sys.stdlib_module_names - {package.name} - AROUND.get(f"packages/{package.name}", set())


@pytest.mark.parametrize("path", install.our_packages(ROOT))
def test_a_package_declares_exactly_what_it_imports(path):
    package = ROOT / path
    project = tomllib.loads((package / "pyproject.toml").read_text())["project"]
    extras = [need for needs in project.get("optional-dependencies", {}).values() for need in needs]
    declared = {canonicalize_name(Requirement(need).name) for need in (*project["dependencies"], *extras)}
    # Ours are installed editable, which hides their names from importlib.metadata.
    ours = {
        "analytics": "openpayments-analytics", "etl_core": "openpayments-etl-core",
        "data_pipeline": "openpayments-data-pipeline",
    }  # fmt: skip
    providers = metadata.packages_distributions()

    needed = {
        canonicalize_name(ours.get(name) or providers.get(name, [name])[0])
        for name in imported(package)
        if not name.startswith("_") and name not in {"mypy_boto3_s3", "types_boto3"}  # types only, never at run time
    }

    assert needed | RUN.get(path, set()) == declared

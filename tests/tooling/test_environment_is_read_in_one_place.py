"""Only settings/environment.py reads the environment; nothing else depends on it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
THE_READER = Path("packages/data_pipeline/src/data_pipeline/settings/environment.py")

OF_OS = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
# python-dotenv's writes into the environment; Click's read it, behind an option's back.
ANYWHERE = {"load_dotenv"}
KEYWORDS = {"envvar", "auto_envvar_prefix"}


def readings(source: str) -> list[int]:
    """Lines that read or change the environment."""
    tree = ast.parse(source)
    names_of_os = {"os"} | {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == "os" and alias.asname
    }
    lines = []
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                found = (name in names_of_os and attribute in OF_OS) or attribute in ANYWHERE
            case ast.ImportFrom(module="os", names=names):
                found = any(alias.name in {*OF_OS, "*"} for alias in names)
            case ast.ImportFrom(names=names):
                found = any(alias.name in ANYWHERE for alias in names)
            case ast.keyword(arg=argument):
                found = argument in KEYWORDS
            case _:
                found = False
        if found:
            lines.append(getattr(node, "lineno", 0))
    return lines


def test_only_the_settings_read_the_environment():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(ROOT.glob("packages/*/src/**/*.py"))
        if path.relative_to(ROOT) != THE_READER
        for line in readings(path.read_text(encoding="utf-8"))
    ]

    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ['HOME']",
        "import os\nx = os.getenv('HOME')",
        "import os as o\no.environ.get('HOME')",
        "from os import environ",
        "from os import getenv as g",
        "from os import *",
        "from dotenv import load_dotenv",
        "import dotenv\ndotenv.load_dotenv()",
        "import click\nclick.option('--lake', envvar='LAKE_URL')",
    ],
)
def test_every_way_to_read_it_is_noticed(source):
    assert readings(source)


@pytest.mark.parametrize(
    "source", ["import os\nos.path.join('a')", "from os import fsync", "environ = {}", "environ.get('a')"]
)
def test_the_rest_is_let_be(source):
    assert readings(source) == []

"""Only settings/environment.py reads the environment: the linter bans os.environ elsewhere, and Click reads none."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(ROOT.glob("packages/*/src/**/*.py"))


def test_no_click_option_reads_a_variable():
    assert [str(path) for path in SOURCES if "envvar" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    "source",
    [
        "import os\nx = os.environ['HOME']",
        "import os as o\no.getenv('HOME')",
        "from os import getenv as g\ng('HOME')",
        "import dotenv\ndotenv.load_dotenv()",
    ],
)
def test_the_linter_bans_reading_the_environment(source):
    words = [str(Path(sys.executable).parent / "ruff"), "check", "--select=TID251", "--no-cache", "-q", "-"]
    words += ["--stdin-filename=packages/etl_core/src/etl_core/retry.py"]
    result = subprocess.run(words, cwd=ROOT, input=source, capture_output=True, text=True, check=False)

    assert "TID251" in result.stdout

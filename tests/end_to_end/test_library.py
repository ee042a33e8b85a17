"""The page on use as a library: its code block, exactly as it is written."""

import json
import re
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"


def test_the_code_of_the_page_runs_and_prints_only_what_it_prints_itself(world):
    block = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None

    ended = subprocess.run(
        [sys.executable, "-c", block[1]],
        env=dict(world.environment),
        cwd=world.lake.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert (ended.returncode, ended.stderr) == (0, "")
    (manifest,) = (world.lake.parent / "data").glob("metadata/runs/*/manifest.json")
    committed = json.loads(manifest.read_text())
    assert committed["files_downloaded"] == 5
    assert ended.stdout == f"completed 5 {committed['rows']} None\n"

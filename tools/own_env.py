"""Tools that get an environment of their own, below .cache/tools: their dependencies would contradict ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "tools"
# One version each, so that a check fails because of us and not because of a release.
TOOLS = {
    "checkov": "checkov==3.3.30",
    "check-jsonschema": "check-jsonschema==0.39.0",
    "cyclonedx-py": "cyclonedx-bom==7.5.0",
}


class NotThereError(Exception):
    """The tool cannot be had here; the text says why."""


def program(name: str) -> Path:
    """The tool's program, installed if need be.

    Raises:
        NotThereError: it cannot be installed.

    """
    folder = FOLDER / name
    stamp, wanted = folder / ".installed", f"{TOOLS[name]} {sys.version}"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"installing {TOOLS[name]} into {folder.relative_to(ROOT)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        words = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", TOOLS[name]]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise NotThereError(f"{TOOLS[name]} cannot be installed: {last}")
        stamp.write_text(wanted, encoding="utf-8")
    return folder / "bin" / name

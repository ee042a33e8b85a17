"""Install what a target needs into the running environment: ``install.py runtime`` or ``install.py dev``.

``runtime`` is our packages (editable) and their dependencies, and dbt in an environment of its own, .venv/dbt: enough
for the demo. ``dev`` adds the development tools to both. Versions come from constraints.txt, those of dbt from a file
beside its project. A digest of everything the result depends on is kept in .venv/.runtime and .venv/.dev: a second call
takes no time, an interrupted one is repeated.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DBT_CONSTRAINTS = "packages/analytics/constraints.txt"
DBT_EXTRAS = {"runtime": ["dbt"], "dev": ["dbt", "checks"]}


def our_packages(root: Path) -> list[str]:
    """Paths of our packages below the root, as the root's pyproject.toml lists them."""
    dependencies = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["poetry"]["dependencies"]
    return [value["path"] for value in dependencies.values() if isinstance(value, dict) and "path" in value]


def dev_requirements(root: Path) -> list[str]:
    requirements: list[str] = tomllib.loads((root / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    return requirements


def digest(root: Path, level: str) -> str:
    """Changes whenever the installation would: with versions, our packages' metadata, Python, the checkout's path."""
    facts = {
        "python": sys.version,
        "root": str(root),  # an editable install points at the checkout, which may have been moved
        "constraints": (root / "constraints.txt").read_text(),
        "dbt": (root / DBT_CONSTRAINTS).read_text(),
        "packages": {path: (root / path / "pyproject.toml").read_text() for path in our_packages(root)},
        "dev": dev_requirements(root) if level == "dev" else [],
        "tool": Path(__file__).read_text(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def pip_install(*words: str, into: Path = Path(sys.prefix), constraints: str = "constraints.txt") -> None:
    pip = [sys.executable, "-m", "pip", "--python", str(into / "bin" / "python")]
    # Not compiled: that took a third of the time, and half of the modules are never imported.
    subprocess.run([*pip, "install", "-qq", "--no-compile", "-c", constraints, *words], cwd=ROOT, check=True)


def install_dbt(level: str) -> None:
    """An environment of its own, because dbt and mypy want different versions of one library."""
    folder = Path(sys.prefix) / "dbt"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    extras = tomllib.loads((ROOT / "packages/analytics/pyproject.toml").read_text())["project"]["optional-dependencies"]
    wanted = [need for extra in DBT_EXTRAS[level] for need in extras[extra]]
    pip_install(*wanted, into=folder, constraints=DBT_CONSTRAINTS)


def install_ours(level: str) -> None:
    extras = {"packages/data_pipeline": "[lakehouse,report]"}
    editable = [word for path in our_packages(ROOT) for word in ("-e", path + extras.get(path, ""))]
    tools = dev_requirements(ROOT) if level == "dev" else []
    # The build backend of all our packages, once: isolated builds would fetch it for each of them.
    pip_install("poetry-core")
    pip_install("--no-build-isolation", *editable, *tools)


def install(level: str) -> None:
    """Both environments at once: each is bound by one core."""
    with ThreadPoolExecutor() as pool:
        for one in [pool.submit(part, level) for part in (install_dbt, install_ours)]:
            one.result()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("level", choices=["runtime", "dev"])
    level: str = parser.parse_args().level
    venv = Path(sys.prefix)
    with (venv / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several `make`, or `make -j`, install one after the other
        stamp, wanted = venv / f".{level}", digest(ROOT, level)
        if stamp.exists() and stamp.read_text() == wanted:
            return 0
        print(f"installing into .venv: {level}", file=sys.stderr)
        stamp.unlink(missing_ok=True)
        try:
            install(level)
        except subprocess.CalledProcessError as error:
            print(f"pip failed with status {error.returncode}; its message is above.", file=sys.stderr)
            return 1
        stamp.write_text(wanted)
        if level == "dev":
            (venv / ".runtime").write_text(digest(ROOT, "runtime"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

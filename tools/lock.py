"""The locks and the files exported from them: ``lock.py make``, ``lock.py check``, ``lock.py prove``.

From poetry.lock, Poetry exports constraints.txt, the versions that `make install` uses, and for each dependency group
``image-NAME`` of pyproject.toml docker/requirements/NAME.txt, with hashes. packages/analytics has a lock and
constraints of its own: dbt has its own environment. Only make and prove need Poetry.

make   updates the locks, keeping versions where possible (``--regenerate`` takes the newest), and exports again
check  compares a digest of everything the exports depend on, in every `make check`: no Poetry, no network
prove  has Poetry check the locks and export again, in CI
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, it finds only its own folder
from tools import isolated

ROOT = Path(__file__).resolve().parent.parent
# The projects that Poetry locks, each with its constraints; the root's are of all other packages together.
PROJECTS = {"": ("--with", "dev"), "packages/analytics": ("--all-extras",)}
HEADER = "# Exported from poetry.lock by `make lock`. Do not edit.\n"
DIGEST = "# sha256 of dependencies, lock and exports: "
CHANGED = "A dependency, a poetry.lock or a file exported from it was changed by hand: run `make lock`."
IMAGE_GROUP = "image-"


def content(text: str) -> str:
    """The text without comments."""
    return re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)


def dependencies(pyproject: dict[str, Any]) -> list[Any]:
    """The parts of a pyproject.toml that a lock depends on."""
    keys = ("name", "version", "requires-python", "dependencies", "optional-dependencies")
    project = {key: pyproject.get("project", {}).get(key) for key in keys}
    return [project, pyproject.get("dependency-groups"), pyproject.get("tool", {}).get("poetry")]


def digest(root: Path) -> str:
    """SHA-256 of every package's dependencies, the locks and the exports."""
    declared = [*sorted(root.glob("packages/*/pyproject.toml")), root / "pyproject.toml"]
    made = [root / project / name for project in PROJECTS for name in ("poetry.lock", "constraints.txt")]
    made += sorted((root / "docker/requirements").iterdir())
    facts = {
        **{str(path.relative_to(root)): dependencies(tomllib.loads(path.read_text())) for path in declared},
        **{str(path.relative_to(root)): content(path.read_text()) for path in made},
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_current(root: Path) -> bool:
    return f"{DIGEST}{digest(root)}\n" in (root / "constraints.txt").read_text()


def package_index() -> str:
    """The index pip uses: not every mirror answers the JSON requests that Poetry makes to PyPI."""
    words = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    configured = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    from pip._internal.models.index import PyPI  # no address is written in this repository

    address: str = os.environ.get("PIP_INDEX_URL") or configured or PyPI.simple_url
    return address.rstrip("/") + "/"


def poetry(*words: str, project: str = "") -> str:
    home = ROOT / ".cache" / "poetry"
    environment = os.environ | {
        "POETRY_CACHE_DIR": str(home / "cache"),
        "POETRY_CONFIG_DIR": str(home / "config"),
        "POETRY_DATA_DIR": str(home / "data"),
        "POETRY_KEYRING_ENABLED": "false",
        "POETRY_NO_INTERACTION": "1",
        "POETRY_PYPI_MIRROR_URL": package_index(),
        "POETRY_VIRTUALENVS_CREATE": "false",
    }
    command = [str(isolated.program("poetry")), *words]
    return subprocess.run(
        command, cwd=ROOT / project, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def exports() -> dict[Path, str]:
    """Path and text of every file that Poetry exports."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["poetry"]["group"]
    constraints = ("export", "-f", "constraints.txt", "--without-hashes")
    files = {
        ROOT / project / "constraints.txt": poetry(*constraints, *words, project=project)
        for project, words in PROJECTS.items()
    } | {
        ROOT / "docker/requirements" / f"{group.removeprefix(IMAGE_GROUP)}.txt": on_linux(
            poetry("export", "--only", group)
        )
        for group in groups
        if group.startswith(IMAGE_GROUP)
    }
    return {path: HEADER + without_our_packages(text) for path, text in files.items()}


def on_linux(exported: str) -> str:
    """Without what only Windows installs: the image's SBOM lists what these files have."""
    entries = re.split(r"^(?=[a-z0-9])", exported, flags=re.MULTILINE)
    return "".join(one for one in entries if 'sys_platform == "win32"' not in one.split("\\")[0])


def without_our_packages(exported: str) -> str:
    """Poetry lists them by their path on this machine."""
    return re.sub(r"^-e file:.*\n", "", exported, flags=re.MULTILINE)


def make(*, regenerate: bool) -> None:
    for project in PROJECTS:
        print(poetry("lock", *(["--regenerate"] if regenerate else []), project=project), end="")
    files = exports()
    for path in set((ROOT / "docker/requirements").iterdir()) - files.keys():
        path.unlink()
    for path, text in files.items():
        path.write_text(text)
    constraints = ROOT / "constraints.txt"
    constraints.write_text(f"{DIGEST}{digest(ROOT)}\n{constraints.read_text()}")


def prove() -> list[str]:
    """What Poetry finds out of date, a sentence each."""
    for project in PROJECTS:
        print(poetry("check", "--lock", project=project), end="")
    return [
        f"{path.relative_to(ROOT)} is not what Poetry exports: run `make lock`."
        for path, text in exports().items()
        if not path.exists() or content(path.read_text()) != content(text)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "check", "prove"])
    parser.add_argument("--regenerate", action="store_true", help="with make: take the newest versions of everything")
    arguments = parser.parse_args()
    if arguments.action == "make":
        make(regenerate=arguments.regenerate)
    faults = [] if is_current(ROOT) else [CHANGED]
    if arguments.action == "prove":
        try:
            faults += prove()
        except isolated.UnavailableError as reason:
            print(f"SKIPPED: {reason}; only the digest was compared.")
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with status {error.returncode}; its message is above.")

"""The lock and its exports: ``lock.py make``, ``lock.py check``, ``lock.py prove``.

poetry.lock is the truth, constraints.txt its export for pip, so that nobody needs Poetry to use or test this.
docker/requirements/ is what of it goes into the image, with hashes; see ``tools/image_requirements.py``.

make   re-makes all, keeping versions where it can (``--regenerate`` takes the newest)
check  compares all with the pyproject.toml files without Poetry, in every `make check`
prove  lets Poetry itself compare, in CI; where Poetry cannot be installed it says so and passes
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

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a file, it sees its own folder only
from tools import image_requirements

ROOT = Path(__file__).resolve().parent.parent
POETRY_VENV = ROOT / ".venv-poetry"
# One set of versions, so that two people's locks differ by their dependencies only.
POETRY = ("poetry==2.5.1", "poetry-plugin-export==1.10.1", "poetry-plugin-pypi-mirror==0.6.5")
HEADER = "# The export of poetry.lock, for pip: made by `make lock`, not by hand.\n"

Document = dict[str, Any]
Pins = set[tuple[str, str]]


# ------------------------------------------------------------------------------- check, without Poetry


def content_hash(pyproject: Document) -> str:
    """Poetry's digest of the root's dependencies, as Locker._get_content_hash of Poetry 2.5 computes it."""
    poetry = pyproject["tool"]["poetry"]
    keys = ("dependencies", "source", "extras", "dev-dependencies", "group")
    relevant = {
        "dependency-groups": pyproject["dependency-groups"],
        "tool": {"poetry": {key: poetry[key] for key in keys if key in poetry}},
    }
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def without_comments(constraints: str) -> list[str]:
    return [line for line in constraints.splitlines() if line.strip() and not line.startswith("#")]


def faults(root: Path) -> list[str]:
    """What is out of step, a sentence each."""
    pyproject = tomllib.loads((root / "pyproject.toml").read_text())
    lock = tomllib.loads((root / "poetry.lock").read_text())
    found = []
    if lock["metadata"]["content-hash"] != content_hash(pyproject):
        found.append("poetry.lock was made for other dependencies than those in pyproject.toml")
    ours = {package["name"]: package for package in lock["package"] if is_ours(package)}
    found += [
        f"{package['name']} is locked to an address, {package['source'].get('url')}: the lock may hold none"
        for package in lock["package"]
        if "source" in package and not is_ours(package)
    ]
    for value in pyproject["tool"]["poetry"]["dependencies"].values():
        if isinstance(value, dict) and "path" in value:
            found += package_faults(root / value["path"], ours)
    locked = {(package["name"], package["version"]) for package in lock["package"] if not is_ours(package)}
    found += constraint_faults((root / "constraints.txt").read_text(), locked)
    # What the lock is wrong about, the files made of it are, too; its own faults are said alone.
    return found or image_requirements.faults(root)


def is_ours(package: Document) -> bool:
    return bool(package.get("source", {}).get("type") == "directory")


def package_faults(folder: Path, ours: dict[str, Document]) -> list[str]:
    """The content hash covers the root alone: Poetry does not notice what changed in a package."""
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import canonicalize_name

    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    entry = ours.get(project["name"])
    if entry is None:
        return [f"{project['name']} is not in poetry.lock"]
    wanted = {canonicalize_name(need.name): need.specifier for need in map(Requirement, project["dependencies"])}
    locked = {}
    for name, value in entry.get("dependencies", {}).items():
        written = value["version"] if isinstance(value, dict) else value
        # Poetry writes an exact version without its operator.
        locked[name] = SpecifierSet(f"=={written}" if re.match(r"\d", written) else written)
    if (wanted, project["version"]) != (locked, entry["version"]):
        return [f"poetry.lock was made for another {folder.name}/pyproject.toml"]
    return []


def constraint_faults(constraints: str, locked: Pins) -> list[str]:
    found = []
    pins: Pins = set()
    for line in without_comments(constraints):
        match = re.fullmatch(r"([a-z0-9-]+)==([^\s;]+)( ; .+)?", line)
        if match:
            pins.add((match[1], match[2]))
        else:
            found.append(f"constraints.txt holds more than a version: {line}")
    found += [f"constraints.txt lacks {name}=={version}, which is locked" for name, version in sorted(locked - pins)]
    found += [f"constraints.txt has {name}=={version}, which is not locked" for name, version in sorted(pins - locked)]
    return found


def check() -> int:
    found = faults(ROOT)
    for fault in found:
        print(f"{fault}: `make lock` brings it into step.")
    return 1 if found else 0


# ------------------------------------------------------------------------------------- make and prove


def package_index() -> str:
    """Pip's own index, through a plugin: Poetry as it comes wants JSON, which many mirrors do not give."""
    configured = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    from pip._internal.models.index import PyPI  # so that no address is written down here

    address: str = os.environ.get("PIP_INDEX_URL") or configured.stdout.strip() or PyPI.simple_url
    return address.rstrip("/") + "/"


def poetry(*words: str) -> str:
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
    words = (str(POETRY_VENV / "bin" / "poetry"), *words)
    answer = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if answer.returncode:
        print(answer.stdout, answer.stderr, sep="\n", file=sys.stderr)
        answer.check_returncode()
    return answer.stdout


def install_poetry() -> None:
    python = POETRY_VENV / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(POETRY_VENV)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-qq", *POETRY], check=True)


def export() -> str:
    return HEADER + poetry("export", "-f", "constraints.txt", "--with", "dev", "--without-hashes")


def make(*, regenerate: bool) -> int:
    install_poetry()
    print(poetry("lock", *(["--regenerate"] if regenerate else [])), end="")
    (ROOT / "constraints.txt").write_text(export())
    image_requirements.write(ROOT)
    return 0


def prove() -> int:
    try:
        install_poetry()
    except subprocess.CalledProcessError as error:
        print(f"SKIPPED: Poetry cannot be installed here ({error}); `lock.py check` compared without it.")
        return 0
    print(poetry("check", "--lock"), end="")
    if without_comments(export()) != without_comments((ROOT / "constraints.txt").read_text()):
        print("constraints.txt is not what Poetry exports: `make lock` brings it into step.")
        return 1
    print("constraints.txt is what Poetry exports.")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["make", "check", "prove"])
    parser.add_argument("--regenerate", action="store_true", help="with make: the newest versions of everything")
    arguments = parser.parse_args()
    try:
        if arguments.action == "make":
            return make(regenerate=arguments.regenerate)
        return check() if arguments.action == "check" else prove()
    except subprocess.CalledProcessError as error:
        print(f"{error}; its own words are above.", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())

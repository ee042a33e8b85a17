"""What goes into the image, as files for ``pip install --require-hashes``, worked out of poetry.lock.

docker/requirements/runtime.txt  what our packages import, the client of Kubernetes among it: one image does every job
docker/requirements/build.txt    the build backend of our packages
docker/requirements/NAME.txt     what the extra NAME of data-pipeline adds, for images built with EXTRAS=NAME

Only wheels that Linux can use are named, so that no build of a stranger's code ever runs.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path("docker/requirements")
COMMAND = "openpayments-data-pipeline"
# Not worth an image of its own: without it, the image could not submit Jobs.
ALWAYS = "kubernetes"
HEADER = "# Of poetry.lock, for the image: made by `make lock`, not by hand.\n"
# Where the image may run; what a marker says for none of them is left out.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
MACHINES = ("x86_64", "aarch64")

Document = dict[str, Any]
Need = tuple[str, frozenset[str]]  # a package and the extras wanted of it


def files(root: Path) -> dict[str, str]:
    """File name to text of everything in docker/requirements."""
    lock = tomllib.loads((root / "poetry.lock").read_text(encoding="utf-8"))
    packages = {package["name"]: package for package in lock["package"]}
    found = {
        "runtime": closure(packages, (COMMAND, frozenset({ALWAYS}))),
        "build": closure(packages, ("poetry-core", frozenset())),
    }
    for extra in packages[COMMAND].get("extras", {}):
        if extra != ALWAYS:
            found[extra] = closure(packages, (COMMAND, frozenset({extra}))) - found["runtime"]
    return {
        f"{name}.txt": HEADER + "".join(_lines(packages[one]) for one in sorted(names)) for name, names in found.items()
    }


def closure(packages: dict[str, Document], start: Need) -> set[str]:
    """Names of all packages that ``start`` needs on Linux, ours left out."""
    seen: set[Need] = set()
    open_needs = [start]
    while open_needs:
        need = open_needs.pop()
        if need not in seen:
            seen.add(need)
            open_needs += _needs_of(packages[need[0]], need[1])
    return {name for name, _ in seen if packages[name].get("source", {}).get("type") != "directory"}


def _needs_of(package: Document, extras: frozenset[str]) -> list[Need]:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = []
    for name, value in package.get("dependencies", {}).items():
        for one in value if isinstance(value, list) else [value]:
            detail = one if isinstance(one, dict) else {}
            if not detail.get("optional") and _holds_somewhere(detail.get("markers", "")):
                found.append((str(canonicalize_name(name)), frozenset(detail.get("extras", ()))))
    for extra in extras:
        for text in package["extras"][extra]:
            # Poetry writes a version in brackets, as `name[extra] (==1.0)`.
            need = Requirement(re.sub(r"\(([^()]*)\)", r"\1", text, count=1))
            if need.marker is None or _holds_somewhere(str(need.marker)):
                found.append((str(canonicalize_name(need.name)), frozenset(need.extras)))
    return found


def _holds_somewhere(marker: str) -> bool:
    from packaging.markers import Marker

    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "extra": ""}
    python = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return not marker or any(
        Marker(marker).evaluate(
            linux
            | python
            | {"python_version": version, "python_full_version": f"{version}.0", "platform_machine": machine}
        )
        for version in PYTHONS
        for machine in MACHINES
    )


def _lines(package: Document) -> str:
    hashes = sorted(entry["hash"] for entry in package["files"] if _fits(entry["file"]))
    if not hashes:
        raise ValueError(f"{package['name']} has no wheel for Linux: the image takes nothing else")
    return " \\\n    ".join([f"{package['name']}=={package['version']}", *(f"--hash={one}" for one in hashes)]) + "\n"


def _fits(file: str) -> bool:
    """Whether it is a wheel for one of the image's Pythons and machines."""
    from packaging.utils import parse_wheel_filename

    if not file.endswith(".whl"):
        return False
    return any(
        (tag.platform == "any" or (tag.platform.startswith("manylinux") and tag.platform.endswith(MACHINES)))
        and (tag.abi in ("none", "abi3") or tag.interpreter in {f"cp{one.replace('.', '')}" for one in PYTHONS})
        and not tag.abi.endswith("t")  # free-threaded
        for tag in parse_wheel_filename(file)[3]
    )


def faults(root: Path) -> list[str]:
    """What in docker/requirements is not what the lock says, a sentence each."""
    wanted = files(root)
    there = {path.name: path.read_text(encoding="utf-8") for path in (root / FOLDER).glob("*.txt")}
    return [
        f"{FOLDER / name} is not what poetry.lock says"
        for name in sorted(wanted.keys() | there.keys())
        if wanted.get(name) != there.get(name)
    ]


def write(root: Path) -> None:
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    wanted = files(root)
    for path in folder.glob("*.txt"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text, encoding="utf-8")

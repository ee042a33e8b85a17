"""Make sure that .venv holds a Python this repository can use: ``venv.py [--chosen]``.

Runs on the Python that `make` was given, so it must start on an old one (3.6) to report that it is too old. A working
.venv is kept, whatever created it. One that is broken, or has another version than the caller named
(``make PYTHON=python3.13 …`` passes ``--chosen``), is replaced.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Optional, Sequence, Tuple

OLDEST = (3, 11)
ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
MARK = VENV / ".made-by-make"  # `make clean` removes an environment with this mark only

Version = Tuple[int, ...]


def dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)


def refusal(version: Version, can_make_venv: bool, executable: str) -> Optional[str]:
    """Why this Python cannot create the environment, or None if it can."""
    if version[:2] < OLDEST:
        return (
            f"This needs Python {dotted(OLDEST)} or newer and {executable} is {dotted(version[:3])}:"
            " install one and name it, as in `make PYTHON=python3.12 …`."
        )
    if not can_make_venv:
        return (
            f"The Python at {executable} cannot create a virtual environment: install its venv module"
            " (on Debian and Ubuntu `apt-get install python3-venv`), or name another Python,"
            " as in `make PYTHON=python3.12 …`."
        )
    return None


def version_in(venv: Path) -> Optional[Version]:
    """The version of the Python in an environment, or None if Python or pip does not start there."""
    words = [str(venv / "bin" / "python"), "-c", "import sys, pip; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in answer.stdout.split())


def is_in_place(venv: Path) -> bool:
    """False after a move: programs in bin/ begin with the path of the Python they were installed for."""
    try:
        with (venv / "bin" / "pip").open(encoding="utf-8") as script:
            return str(venv / "bin") in script.read(1000)
    except OSError:
        return False


def fault(found: Optional[Version], wanted: Optional[Version], in_place: bool) -> Optional[str]:
    """Why an environment must be replaced, or None if it can be kept."""
    if found is None:
        return "its Python does not start, or has no pip"
    if found < OLDEST:
        return f"it has Python {dotted(found)}"
    if wanted is not None and found != wanted:
        return f"it has Python {dotted(found)}, not {dotted(wanted)}"
    if not in_place:
        return "it was created in another folder"
    return None


def has_venv() -> bool:
    """False on a Debian without python3-venv, which brings ensurepip."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def main(arguments: Sequence[str]) -> int:
    (ROOT / ".cache" / "tmp").mkdir(parents=True, exist_ok=True)  # TMPDIR of everything `make` starts
    wanted = tuple(sys.version_info[:2]) if "--chosen" in arguments else None
    exists = VENV.is_symlink() or VENV.exists()
    wrong = fault(version_in(VENV), wanted, is_in_place(VENV)) if exists else "it is missing"
    if wrong is None:
        return 0
    # In an activated environment, the Python it was created from: this environment may be about to be deleted.
    executable = getattr(sys, "_base_executable", None) or sys.executable
    reason = refusal(tuple(sys.version_info[:3]), has_venv(), executable)
    if reason:
        sys.stderr.write(reason + "\n")
        return 1
    if exists:
        sys.stderr.write(f"replacing .venv: {wrong}\n")
        if VENV.is_dir() and not VENV.is_symlink():
            shutil.rmtree(str(VENV))
        else:
            VENV.unlink()
    status = subprocess.call([executable, "-m", "venv", str(VENV)])
    if status:
        sys.stderr.write(f"{executable} -m venv failed with status {status}; its message is above.\n")
        return 1
    MARK.write_text(f"created by `make` with Python {dotted(sys.version_info[:3])}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

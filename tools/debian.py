"""Programs unpacked, not installed, from packages of Debian 13, which mostly run on Debian 12 too.

For programs that no package index has, or of which this Debian's version is too old.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tools.isolated import UnavailableError

SUITE = "trixie"


def unpack(packages: Mapping[str, Sequence[str]], folder: Path) -> Path:
    """Put the programs listed for each package side by side into ``folder``, unless they are there; returns it.

    Raises:
        UnavailableError: they cannot be fetched.

    """
    wanted = {path for paths in packages.values() for path in paths}
    if all((folder / PurePosixPath(path).name).exists() for path in wanted):
        return folder
    if shutil.which("mmdebstrap") is None:
        raise UnavailableError(f"there is no mmdebstrap to fetch Debian's {', '.join(packages)}")
    folder.mkdir(parents=True, exist_ok=True)
    # In a folder of its own: tests of several processes may fetch at once.
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        archive = Path(beside) / "packages.tar"
        words = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}", SUITE, str(archive)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        if result.returncode:
            reason = (result.stderr.strip().splitlines() or ["mmdebstrap printed nothing"])[-1]
            raise UnavailableError(f"Debian's {', '.join(packages)} cannot be fetched: {reason}")
        with tarfile.open(archive) as tar:
            for path in wanted:
                stream = tar.extractfile(f".{path}")
                program = Path(beside) / PurePosixPath(path).name
                program.write_bytes(b"" if stream is None else stream.read())
                program.chmod(0o755)
                program.replace(folder / program.name)
    return folder

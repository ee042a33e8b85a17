"""Programs from Debian's packages, unpacked and not installed: what no package index has, and newer than this Debian's.

Debian 13's, which mostly run on Debian 12 too.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from tools.own_env import NotThereError

SUITE = "trixie"
# By package, the programs we want of it.
Programs = Mapping[str, Sequence[str]]


def unpack(packages: Programs, folder: Path) -> Path:
    """The programs named, side by side in ``folder``, fetched unless they are there already.

    Raises:
        NotThereError: they cannot be fetched.

    """
    wanted = {path for paths in packages.values() for path in paths}
    if all((folder / PurePosixPath(path).name).exists() for path in wanted):
        return folder
    if shutil.which("mmdebstrap") is None:
        raise NotThereError(f"there is no mmdebstrap to get Debian's {', '.join(packages)}")
    folder.mkdir(parents=True, exist_ok=True)
    # Two processes may come at once, as tests do.
    with tempfile.TemporaryDirectory(dir=folder) as beside:
        archive = Path(beside) / "packages.tar"
        words = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}", SUITE, str(archive)]
        answer = subprocess.run(words, capture_output=True, text=True, check=False)
        if answer.returncode:
            last = (answer.stderr.strip().splitlines() or ["?"])[-1]
            raise NotThereError(f"Debian's {', '.join(packages)} cannot be had: {last}")
        with tarfile.open(archive) as tar:
            for path in sorted(wanted):
                stream = tar.extractfile(f".{path}")
                program = Path(beside) / PurePosixPath(path).name
                program.write_bytes(b"" if stream is None else stream.read())
                program.chmod(0o755)
                program.replace(folder / program.name)
    return folder

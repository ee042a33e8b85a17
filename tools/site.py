"""``make docs``: the site of docs/ and the READMEs, by MkDocs; warnings are errors. It works without a network."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, it finds only its own folder
from tools import isolated

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / ".cache" / "site"
# What pages need in the browser, and would otherwise load from elsewhere: npm package, the file in it, its SHA-256.
SCRIPTS = {
    "mermaid.min.js": (
        "mermaid@11.17.2",
        "dist/mermaid.min.js",
        "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8",
    ),
    "iframe-worker.js": (
        "iframe-worker@1.0.4",
        "shim/index.js",
        "e8e412dbcfea9b7e31b5ffa288d7b6035915e714c542f4176a0cdbe262fc9609",
    ),
}


def scripts() -> Path:
    """The folder with the scripts, fetched if necessary.

    Raises:
        UnavailableError: one cannot be fetched, or is another file than it was.

    """
    folder = isolated.FOLDER / "scripts"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (package, path, sha256) in SCRIPTS.items():
        if not (folder / name).exists():
            content = _from_npm(package, path)
            if hashlib.sha256(content).hexdigest() != sha256:
                raise isolated.UnavailableError(f"{path} of {package} is another file than it was")
            (folder / f"{name}.new").write_bytes(content)
            (folder / f"{name}.new").replace(folder / name)
    return folder


def _from_npm(package: str, path: str) -> bytes:
    npm = isolated.program("mkdocs").with_name("npm")
    environment = os.environ | {"PATH": f"{npm.parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        words = [str(npm), "pack", package, "--silent"]
        ended = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if ended.returncode:
            raise isolated.UnavailableError(f"npm cannot fetch {package}")
        with tarfile.open(Path(folder, ended.stdout.strip())) as archive:
            member = archive.extractfile(f"package/{path}")
            return member.read() if member else b""


def build(folder: Path = SITE) -> subprocess.CompletedProcess[str]:
    """Build the site into ``folder``, and what MkDocs says; raises ``UnavailableError``."""
    program = isolated.program("mkdocs")
    environment = os.environ | {"SCRIPTS": str(scripts()), "NO_MKDOCS_2_WARNING": "1"}
    words = [str(program), "build", "--strict", "--site-dir", str(folder)]
    return subprocess.run(words, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False)


def main() -> int:
    try:
        ended = build()
    except isolated.UnavailableError as reason:
        sys.exit(str(reason))
    print(ended.stderr, end="", file=sys.stderr)
    print((SITE / "index.html").as_uri() if ended.returncode == 0 else "the site was not built", file=sys.stderr)
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())

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
MERMAID, SHA256 = "mermaid@11.17.2", "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"


def mermaid(npm: Path) -> Path:
    """The file that draws diagrams in the browser, from its npm package.

    Raises:
        UnavailableError: it cannot be fetched, or is another file than it was.

    """
    kept = isolated.FOLDER / f"{MERMAID}.min.js"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=isolated.FOLDER) as folder:
            words = [str(npm), "pack", MERMAID, "--silent"]
            environment = os.environ | {"PATH": f"{npm.parent}:{os.environ['PATH']}"}
            ended = subprocess.run(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=False)
            if ended.returncode:
                raise isolated.UnavailableError(f"npm cannot fetch {MERMAID}")
            with tarfile.open(Path(folder, ended.stdout.strip())) as package:
                member = package.extractfile("package/dist/mermaid.min.js")
                content = member.read() if member else b""
            if hashlib.sha256(content).hexdigest() != SHA256:
                raise isolated.UnavailableError(f"{MERMAID} is another file than it was")
            (Path(folder) / "whole").write_bytes(content)
            (Path(folder) / "whole").replace(kept)
    return kept


def build(folder: Path = SITE) -> subprocess.CompletedProcess[str]:
    """Build the site into ``folder``, and what MkDocs says; raises ``UnavailableError``."""
    program = isolated.program("mkdocs")
    environment = os.environ | {"MERMAID": str(mermaid(program.with_name("npm"))), "NO_MKDOCS_2_WARNING": "1"}
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

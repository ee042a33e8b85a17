"""``make image``: build etl-data-pipeline with docker, podman or buildah, and list what is in it.

The list, a CycloneDX document with the hash of every wheel, lies in .cache/image/sbom.cdx.json. Further words go to
the build, as in ``ARGS="--build-arg PYTHON=3.12"``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # started as a file, it sees its own folder only
from tools import own_env

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILE = "docker/data-pipeline.Dockerfile"
NAME = "etl-data-pipeline"
SBOM = ROOT / ".cache" / "image" / "sbom.cdx.json"


def builder() -> list[str] | None:
    """The words that begin a build, by the first engine that is there and answers."""
    if shutil.which("docker") and _answers("docker", "info"):
        return ["docker", "build"]
    if shutil.which("podman") and _answers("podman", "info"):
        return ["podman", "build", "--layers"]
    return ["buildah", "bud", "--layers"] if shutil.which("buildah") else None


def _answers(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def revision() -> str:
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    answer = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"


def write_sbom(path: Path) -> None:
    """The wheels of docker/requirements/runtime.txt: all that is in the image beside the base and our own packages.

    Raises:
        NotThereError: the tool cannot be installed here.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    words = [str(own_env.program("cyclonedx-py")), "requirements", "docker/requirements/runtime.txt"]
    words += ["--output-reproducible", "-o", str(path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)


def main(words: Sequence[str]) -> int:
    begin = builder()
    if begin is None:
        print("SKIPPED: there is no docker, podman or buildah here to build an image with.")
    else:
        whole = [*begin, "-f", DOCKERFILE, "-t", NAME, "--build-arg", f"REVISION={revision()}", *words, "."]
        print(" ".join(whole), file=sys.stderr)
        status = subprocess.run(whole, cwd=ROOT, check=False).returncode
        if status:
            return status
    try:
        write_sbom(SBOM)
    except own_env.NotThereError as reason:
        print(f"SKIPPED: no list of what is in it: {reason}")
    else:
        count = len(json.loads(SBOM.read_text(encoding="utf-8"))["components"])
        print(f"{count} wheels are listed in {SBOM.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

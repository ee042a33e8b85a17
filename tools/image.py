"""``make image``: build etl-data-pipeline with docker, podman or buildah, and list its contents.

The list, a CycloneDX document with the hash of every wheel, is written to .cache/image/sbom.cdx.json. Arguments go to
the build, as in ``ARGS="--build-arg EXTRAS=lakehouse"``. ``CA`` names a file of certificates, such
as that of a proxy which inspects TLS.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, it finds only its own folder
from tools import isolated

ROOT = Path(__file__).resolve().parent.parent
SBOM = ROOT / ".cache" / "image" / "sbom.cdx.json"


def builder() -> list[str] | None:
    """The first words of a build, with the first engine that is installed and answers."""
    if shutil.which("docker") and _succeeds("docker", "info"):
        return ["docker", "build"]
    if shutil.which("podman") and _succeeds("podman", "info"):
        return ["podman", "build", "--layers"]
    return ["buildah", "bud", "--layers"] if shutil.which("buildah") else None


def _succeeds(*words: str) -> bool:
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def secret_of(ca: str) -> list[str]:
    """The words that pass certificates to a build; none for an empty name.

    Raises:
        SystemExit: the file cannot be read, or is not PEM.

    """
    if not ca:
        return []
    file = Path(ca).expanduser().resolve()
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:  # SSLError is one
        sys.exit(f"CA={ca}: no certificates in PEM can be read from {file}: {error}.")
    return ["--secret", f"id=ca,src={file}"]


def revision() -> str:
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return result.stdout.strip() or "unknown"


def extras_of(arguments: Sequence[str]) -> list[str]:
    """The extras that a build installs: of ``--build-arg EXTRAS=…``, in one word or two."""
    said = (word.removeprefix("--build-arg=") for word in arguments)
    return [extra for word in said if word.startswith("EXTRAS=") for extra in word.removeprefix("EXTRAS=").split()]


def requirements_of(extras: Sequence[str]) -> str:
    """What is installed with these extras, a line each; the file of an extra repeats lines of runtime.txt."""
    entries: dict[str, None] = {}
    for name in ("runtime", *extras):
        text = (ROOT / "docker" / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        entries |= dict.fromkeys(text.replace("\\\n", "").splitlines())
    return "\n".join(entries) + "\n"


def write_sbom(path: Path, extras: Sequence[str] = ()) -> None:
    """List the wheels of docker/requirements: the image has only them, the base and our own packages.

    Raises:
        UnavailableError: the tool cannot be installed.

    """
    path.parent.mkdir(parents=True, exist_ok=True)
    words = [str(isolated.program("cyclonedx-py")), "requirements", "-", "--output-reproducible", "-o", str(path)]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True, input=requirements_of(extras).encode())


def main(arguments: Sequence[str]) -> int:
    engine = builder()
    if engine is None:
        print("SKIPPED: no docker, podman or buildah to build an image with.")
    else:
        words = [*engine, "-f", "docker/data-pipeline.Dockerfile", "-t", "etl-data-pipeline"]
        words += [*secret_of(os.environ.get("CA", "")), "--build-arg", f"REVISION={revision()}", *arguments, "."]
        print(" ".join(words), file=sys.stderr)
        if status := subprocess.run(words, cwd=ROOT, check=False).returncode:
            return status
    try:
        write_sbom(SBOM, extras_of(arguments))
    except isolated.UnavailableError as reason:
        print(f"SKIPPED: the contents are not listed: {reason}")
        return 0
    count = len(json.loads(SBOM.read_text(encoding="utf-8"))["components"])
    print(f"{count} wheels are listed in {SBOM.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A real build and real runs, by buildah and podman, on a stand-in for python:3.11-slim.

No registry is asked: the stand-in is made from Debian's packages, with pip left as the official image has it. Pip's
settings of this machine are mounted while building, and its certificates given as a user gives those of a proxy.
"""

import configparser
import dataclasses
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tools import image as image_tool

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / ".cache" / "containers"
BASE = "docker.io/library/python:3.11-slim"
PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
# Debian marks its Python as managed by apt, and has no `python`.
LIKE_THE_OFFICIAL_ONE = "rm -f /usr/lib/python3*/EXTERNALLY-MANAGED; ln -sf python3 /usr/bin/python"
NEEDED = ("buildah", "podman", "runc", "mmdebstrap")
OWNER = 12345  # no user of this machine or of the image


@dataclasses.dataclass(frozen=True)
class Engine:
    """buildah and podman with a store of their own below .cache."""

    volumes: tuple[str, ...]
    ca: tuple[str, ...]

    def command(self, program, *words):
        return [program, "--root", str(STORE / "storage"), "--runroot", str(STORE / "run"), *map(str, words)]

    def buildah(self, *words, check=True):
        answer = subprocess.run(self.command("buildah", *words), capture_output=True, text=True, check=False)
        assert answer.returncode == 0 or not check, answer.stderr[-3000:]
        return answer

    def build(self, context, tag, *words, file="docker/data-pipeline.Dockerfile", check=True):
        """Build a context; the answer's stdout and stderr show each step, and which were cached."""
        own = context / f"{file}.dockerignore"
        ignored = ["--ignorefile", own] if own.exists() else []
        return self.buildah(
            "bud", "--isolation", "chroot", "--network", "host", "--pull-never", "--layers", "--force-rm",
            *self.volumes, *self.ca, *ignored, "-f", context / file, "-t", tag, *words, context,
            check=check,
        )  # fmt: skip

    def run_words(self, image, *words, options=(), network="none", temporary=True):
        """A run as restricted as in the cluster: only /tmp is writable, no capabilities, no network, little memory."""
        return self.command(
            "podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc", "run", *(["--rm"] if temporary else []),
            "--pull", "never", "--ulimit", "nofile=20000:20000", "--ulimit", "nproc=20000:20000",
            "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges",
            "--memory", "256m", "--network", network, *options, image, *words,
        )  # fmt: skip

    def run(self, image, *words, **settings):
        whole = self.run_words(image, *words, **settings)
        return subprocess.run(whole, capture_output=True, text=True, check=False)

    def podman(self, *words):
        return subprocess.run(
            self.command("podman", "--cgroup-manager", "cgroupfs", "--runtime", "runc", *words),
            capture_output=True,
            text=True,
            check=False,
        )

    def layers(self, image):
        """Sizes in bytes, of the tar archives as they are, the base's first."""
        said = json.loads(self.buildah("inspect", "--type", "image", image).stdout)
        return [layer["size"] for layer in json.loads(said["Manifest"])["layers"]]

    def config(self, image):
        return json.loads(self.buildah("inspect", "--type", "image", image).stdout)["OCIv1"]["config"]


def ca_of_pip():
    """The certificates with which pip reaches its index here: its setting `cert`, or OpenSSL's variable."""
    words = [sys.executable, "-m", "pip", "config", "get", "global.cert"]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return os.environ.get("PIP_CERT") or said or os.environ.get("SSL_CERT_FILE", "")


def mounts_of_pip(folder):
    """Volumes with which pip finds the same packages in a build as here: its settings, and the folders they name."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    settings = {}
    for line in listed.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in ("global", ":env:"):
            settings[key] = " ".join(shlex.split(value))
    settings.pop("cert", None)
    written = configparser.RawConfigParser()
    written["global"] = {key: value for key, value in settings.items() if value}
    file = folder / "pip.conf"
    with file.open("w") as stream:
        written.write(stream)
    places = set()
    for word in [word for value in settings.values() for word in value.split()]:
        if word.startswith("/"):
            places.add(Path(word))
        elif word.startswith("file:"):
            # An index in a folder may name files beside it.
            places.add(Path(unquote(urlsplit(word).path)).parent)
    named = [f"{place}:{place}:ro" for place in sorted(places) if place.exists() and place.parent != place]
    return tuple(word for volume in [f"{file}:/etc/pip.conf:ro", *named] for word in ("--volume", volume))


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no image is built here: {', '.join(missing)} missing (apt-get install {' '.join(NEEDED)})")
    if os.geteuid() != 0:
        pytest.skip("no image is built here: buildah's chroot isolation with a store of its own needs root")
    STORE.mkdir(parents=True, exist_ok=True)
    engine = Engine(mounts_of_pip(tmp_path_factory.mktemp("pip")), tuple(image_tool.secret_of(ca_of_pip())))
    try:
        ensure_base(engine)
        yield engine
    finally:
        # Layers stay for the next run; a mount would prevent `make clean` from deleting them.
        engine.buildah("rm", "--all", check=False)
        subprocess.run(["umount", str(STORE / "storage" / "overlay")], capture_output=True, check=False)


def ensure_base(engine):
    """The stand-in; skips where this machine cannot build or run it, which is no fault of our image."""
    try:
        if engine.buildah("inspect", "--type", "image", BASE, check=False).returncode != 0:
            build_base(engine)
    except AssertionError as error:
        pytest.skip(f"no image is built here: buildah cannot work: {error}")
    answer = engine.run(BASE, "true")
    if answer.returncode:
        pytest.skip(f"no image is built here: podman cannot run one: {answer.stderr.strip()[-300:]}")


def build_base(engine):
    archive = STORE / "base.tar"
    words = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(archive)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"no image is built here: Debian's packages cannot be fetched: {answer.stderr.strip()[-300:]}")
    container = engine.buildah("from", "scratch").stdout.strip()
    engine.buildah("add", "-q", container, archive, "/")
    engine.buildah("run", "--isolation", "chroot", container, "sh", "-c", LIKE_THE_OFFICIAL_ONE)
    engine.buildah("commit", "-q", "--rm", container, BASE)
    archive.unlink()


@pytest.fixture(scope="session")
def image(engine):
    engine.build(ROOT, "etl-data-pipeline")
    return "localhost/etl-data-pipeline"


@pytest.fixture(scope="session")
def lakehouse_image(engine, image):
    """Only the extra is installed again: the rest is of the other image's layers."""
    engine.build(ROOT, "etl-data-pipeline-lakehouse", "--build-arg", "EXTRAS=lakehouse")
    return "localhost/etl-data-pipeline-lakehouse"


@pytest.fixture(scope="session")
def sandbox_image(engine, image):
    engine.build(ROOT, "etl-data-pipeline-sandbox", "--target", "sandbox")
    return "localhost/etl-data-pipeline-sandbox"


@pytest.fixture(scope="session")
def airflow_image(engine):
    """Airflow with the jobs; the image without them is the same up to the last layer."""
    engine.build(ROOT, "etl-airflow-with-jobs", "--target", "with-jobs", file="docker/airflow.Dockerfile")
    return "localhost/etl-airflow-with-jobs"


def opened(folder):
    """Let other users into a folder; only the owner may enter pytest's."""
    for one in (folder, *folder.parents):
        if one.stat().st_mode & 0o001 == 0:
            one.chmod(0o755)


@pytest.fixture
def context(tmp_path):
    """The files of a build, in a folder that a test may change."""
    folder = tmp_path / "context"
    shutil.copytree(ROOT / "docker", folder / "docker")
    for path in sorted((ROOT / "packages").iterdir()):
        leave = shutil.ignore_patterns("tests", "__pycache__", "*.egg-info")
        shutil.copytree(path, folder / "packages" / path.name, ignore=leave)
    shutil.copy(ROOT / ".dockerignore", folder)
    return folder

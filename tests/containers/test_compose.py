"""The files of Compose run by Docker's daemon and Compose, from Debian's packages."""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

import pytest

from packages.etl_core.tests.support.postgresql import postgresql_server
from tests.containers.conftest import OWNER, ROOT, STORE, opened
from tools import debian, isolated

pytestmark = pytest.mark.long
PACKAGES = {
    "docker.io": ["/usr/sbin/dockerd"],
    "docker-cli": ["/usr/bin/docker"],
    "docker-compose": ["/usr/libexec/docker/cli-plugins/docker-compose"],
    "containerd": ["/usr/bin/containerd", "/usr/bin/containerd-shim-runc-v2"],
}
# Change nothing of this machine's network: no default bridge, no rules, no forwarding.
APART = ("--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--userland-proxy=false")


class Docker:
    """A separate daemon with its store below .cache, and its client."""

    def __init__(self, programs: Path, place: Path) -> None:
        plugins = place / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        (plugins / "docker-compose").symlink_to(programs / "docker-compose")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        path = os.pathsep.join([str(programs), kept["PATH"], "/usr/sbin"])
        host = f"unix://{place}/docker.sock"
        self.environment = {**kept, "PATH": path, "DOCKER_HOST": host, "DOCKER_CONFIG": str(place / "config")}
        places = (f"--data-root={STORE}/docker", f"--exec-root={place}/exec", f"--pidfile={place}/pid")
        words = [str(programs / "dockerd"), *places, f"--host={host}", *APART]
        self.daemon = subprocess.Popen(words, env=self.environment, stderr=subprocess.PIPE, text=True)
        assert self.daemon.stderr is not None
        self.words, self.said = self.daemon.stderr, []
        for line in self.words:
            self.said.append(line)
            if "API listen on" in line:
                break
        self.reading = threading.Thread(target=self.said.extend, args=[self.words])
        self.reading.start()

    def run(self, *words, cwd=None):
        whole = [str(shutil.which("docker", path=self.environment["PATH"])), *map(str, words)]
        return subprocess.run(whole, env=self.environment, cwd=cwd, capture_output=True, text=True, check=False)

    def compose(self, folder, *words, files=("docker/compose.yaml",)):
        return self.run("compose", *(word for file in files for word in ("-f", file)), *words, cwd=folder)

    def load(self, engine, image):
        """Have an image of buildah, as `docker compose build` would have made it."""
        with tempfile.TemporaryDirectory(dir=STORE) as folder:
            archive = f"{folder}/image.tar"
            engine.buildah("push", "-q", image, f"docker-archive:{archive}:{image.removeprefix('localhost/')}:latest")
            loaded = self.run("load", "-i", archive)
        assert loaded.returncode == 0, loaded.stderr

    def end(self):
        self.daemon.terminate()
        self.daemon.wait(60)
        self.reading.join()
        self.words.close()


@pytest.fixture(scope="session")
def docker(engine):
    try:
        programs = debian.unpack(PACKAGES, STORE.parent / "docker")
    except isolated.UnavailableError as reason:
        pytest.skip(f"Compose is not run: {reason}")
    with tempfile.TemporaryDirectory() as place:  # the paths of pytest's folders are too long for a socket
        docker = Docker(programs, Path(place))
        try:
            if docker.daemon.poll() is not None or docker.run("version").returncode:
                pytest.skip(f"Compose is not run: dockerd does not start: {''.join(docker.said[-2:])}")
            yield docker
        finally:
            docker.end()


@pytest.fixture(scope="session")
def loaded(docker, engine, image, sandbox_image):
    for one in (image, sandbox_image):
        docker.load(engine, one)


@pytest.fixture
def checkout(loaded, context):
    data = context / "data"
    data.mkdir()
    os.chown(data, OWNER, OWNER)
    opened(data)
    return context


def test_compose_runs_the_demo_and_its_files_belong_to_the_given_user(docker, checkout):
    try:
        ran = docker.compose(checkout, "run", "--rm", "--user", f"{OWNER}:{OWNER}", "demo")
    finally:
        gone = docker.compose(checkout, "--profile", "demo", "down")

    assert ran.returncode == 0, ran.stderr
    fact = json.loads(ran.stdout)
    assert (fact["status"], fact["proved"], fact["closed"]) == ("completed", 20, True)
    parts = list((checkout / "data").glob("raw/dataset=*/**/*.csv"))
    assert len(parts) >= 20
    assert {part.stat().st_uid for part in parts} == {OWNER}
    assert gone.returncode == 0, gone.stderr
    assert docker.run("ps", "--all", "--quiet").stdout == ""


def test_compose_passes_arguments_and_settings_to_a_job_without_privileges(docker, checkout):
    (checkout / ".env").write_text("LAKE_URL=./data/below\n")
    as_owner = ("run", "--rm", "--user", f"{OWNER}:{OWNER}")
    try:
        asked = docker.compose(checkout, *as_owner, "job", "run", "status")
        docker.environment["LAKE_URL"] = "./data/elsewhere"
        handed_on = docker.compose(checkout, *as_owner, "-e", "LAKE_URL", "job", "run", "status")
        shown = docker.compose(checkout, *as_owner, "--entrypoint", "cat", "job", "/proc/self/status")
        written = docker.compose(checkout, *as_owner, "--entrypoint", "touch", "job", "/app/x")
    finally:
        docker.environment.pop("LAKE_URL", None)
        docker.compose(checkout, "down")

    assert (asked.returncode, handed_on.returncode) == (3, 3)
    assert "file:///app/data/below has no run yet" in asked.stderr
    assert "file:///app/data/elsewhere has no run yet" in handed_on.stderr
    assert "CapEff:\t0000000000000000" in shown.stdout
    assert "NoNewPrivs:\t1" in shown.stdout
    assert "Read-only file system" in written.stderr


# PostgreSQL's image cannot be had: this machine's own server has its place, reached by a socket in a mounted folder.
STAND_IN = """
x-ours: &ours
  environment:
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN: "{url}"
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC: "{url_async}"
    AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE: "False"
  volumes: ["{folder}:/postgresql"]
services:
  postgres:
    image: etl-airflow-with-jobs
    entrypoint: [sleep]
    command: [infinity]
    stop_signal: SIGKILL
    healthcheck: {{test: [CMD, test, -S, /postgresql/.s.PGSQL.5432]}}
    volumes: ["{folder}:/postgresql"]
  setup: *ours
  api-server: {{<<: *ours, ports: !reset []}}
  scheduler: *ours
  dag-processor: *ours
  triggerer: *ours
"""


def test_compose_runs_airflow_which_makes_a_year(docker, engine, airflow_image, tmp_path):
    docker.load(engine, airflow_image)
    files = (ROOT / "docker/compose.airflow.yaml", tmp_path / "stand-in.yaml")
    with postgresql_server() as address:
        url, _, folder = address.partition("host=")
        Path(folder).chmod(0o711)  # its users are not of this machine
        url = url.partition(":")[2] + "host=/postgresql"
        drivers = {"url": f"postgresql+psycopg2:{url}", "url_async": f"postgresql+asyncpg:{url}"}
        files[1].write_text(STAND_IN.format(folder=folder, **drivers))
        try:
            started = docker.compose(ROOT, "up", "--detach", "--no-build", "--wait", files=files)
            logs = "" if started.returncode == 0 else docker.compose(ROOT, "logs", "--tail", 40, files=files).stdout
            assert started.returncode == 0, started.stderr[-3000:] + logs
            code = Path(__file__).with_name("in_api_server.py").read_text()
            ran = docker.compose(ROOT, "exec", "-T", "api-server", "python", "-c", code, files=files)
            shown = docker.compose(ROOT, "exec", "-T", "scheduler", "sh", "-c", "id -u; touch /opt/x", files=files)
        finally:
            gone = docker.compose(ROOT, "down", "--volumes", files=files)

    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["health"] == dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy")
    assert found["import_errors"] == 0
    assert found["dags"] == ["agency_files", "customers_daily", "open_payments_releases", "open_payments_year"]
    assert (found["state"], set(found["tasks"].values())) == ("success", {"success"}), found
    assert {"dataset.ingest", "marts", "report", "check_year"} <= set(found["tasks"])
    assert shown.stdout == "10001\n"
    assert "Read-only file system" in shown.stderr
    assert gone.returncode == 0, gone.stderr
    assert docker.run("ps", "--all", "--quiet").stdout == ""

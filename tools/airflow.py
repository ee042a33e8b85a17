"""Airflow on this machine: ``airflow.py start``, ``airflow.py install``, ``airflow.py lock``.

start    its four processes on loopback and the sandbox as the source, until Ctrl-C; everything below data/airflow
install  only the environment, .cache/airflow/env, with the versions of constraints-airflow.txt
lock     resolve these versions again, from the dependency group ``airflow`` of packages/orchestration
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, it finds only its own folder
from tools import demo, isolated, lock

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".cache" / "airflow" / "env"
CONSTRAINTS = ROOT / "constraints-airflow.txt"
OURS = ("packages/etl_core", "packages/orchestration")
DAGS = ROOT / "packages" / "orchestration" / "src" / "orchestration" / "dags"
HEADER = "# Resolved by `tools/airflow.py lock`. Do not edit.\n"
# `airflow standalone` is not used: its log servers listen on all interfaces, and SIGTERM leaves its processes behind.
PROCESSES = {
    "api-server": (),
    "scheduler": ("--skip-serve-logs",),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
}
USER = "admin"
_PR_SET_CHILD_SUBREAPER = 36


def uv(*words: str) -> None:
    certificates = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.cert"], capture_output=True, text=True, check=False
    ).stdout.strip()
    environment = os.environ | {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), "UV_DEFAULT_INDEX": lock.package_index()}
    if certificates:
        environment["SSL_CERT_FILE"] = certificates
    subprocess.run([str(isolated.program("uv")), *words], cwd=ROOT, env=environment, check=True)


def resolve() -> None:
    groups = tomllib.loads((ROOT / OURS[1] / "pyproject.toml").read_text())["dependency-groups"]
    wanted = ROOT / ".cache" / "airflow" / "requirements.in"
    wanted.parent.mkdir(parents=True, exist_ok=True)
    wanted.write_text("\n".join(groups["airflow"]) + "\n")
    options = ("--extra", "kubernetes", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate")
    uv("pip", "compile", "-q", str(wanted), f"{OURS[0]}/pyproject.toml", *options, "-o", str(CONSTRAINTS))
    CONSTRAINTS.write_text(HEADER + CONSTRAINTS.read_text())


def install() -> Path:
    """The folder of the environment's programs; without a change it takes no time."""
    metadata = [(ROOT / one / "pyproject.toml").read_text() for one in OURS]
    facts = json.dumps([sys.version, str(ROOT), CONSTRAINTS.read_text(), *metadata])
    isolated.once(ENVIRONMENT, hashlib.sha256(facts.encode()).hexdigest(), _install)
    return ENVIRONMENT / "bin"


def _install() -> None:
    uv("venv", "-q", "--clear", "--python", sys.executable, str(ENVIRONMENT))
    into = ("pip", "install", "-q", "--python", str(ENVIRONMENT / "bin" / "python"))
    uv(*into, "-r", str(CONSTRAINTS))
    uv(*into, "--no-deps", *(word for one in OURS for word in ("-e", one)))


def settings(home: Path, port: int, dags: Path = DAGS) -> dict[str, str]:
    """The variables of an Airflow that only this machine reaches."""
    address = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "AIRFLOW__DATA_PIPELINE__PROGRAM": str(demo.BIN / "data-pipeline"),
        # The processes agree on these; they are of this start alone.
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(48),
        "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(48),
    }


class Airflow:
    """The four processes. Whatever they leave behind becomes a child of this process, and is ended with them."""

    def __init__(self, bin_folder: Path, home: Path, environment: Mapping[str, str]) -> None:
        self._bin = bin_folder
        self._environment = environment
        self.home = home
        self.url = environment["AIRFLOW__API__BASE_URL"]
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        self._before = descendants_of(os.getpid())
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / "setup.log").open("ab") as log:
            migrate = [str(self._bin / "airflow"), "db", "migrate"]
            subprocess.run(migrate, env=self._environment, stdout=log, stderr=log, check=True)
        for name in PROCESSES:
            self.start(name)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str) -> None:
        # In a session of its own: Ctrl-C is for this process, which ends them in order.
        with (self.home / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [str(self._bin / "airflow"), name, *PROCESSES[name]],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def wait_until_healthy(self, seconds: float = 180) -> None:
        """Raises ``TimeoutError`` or, if one of them ended, ``RuntimeError`` with the last lines of its log."""
        deadline = time.monotonic() + seconds
        while not self.is_healthy():
            if ended := [name for name, process in self.running.items() if process.poll() is not None]:
                said = (self.home / f"{ended[0]}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"Airflow's {ended[0]} ended: {said}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"Airflow is not healthy after {seconds:g} s; its logs are in {self.home}")
            time.sleep(0.5)

    def is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/monitor/health", timeout=5) as answer:
                health = json.load(answer)
        except OSError:
            return False
        return all(
            (health.get(name) or {}).get("status") == "healthy" for name in ("scheduler", "dag_processor", "triggerer")
        )

    def password(self) -> str:
        text = (self.home / "simple_auth_manager_passwords.json.generated").read_text()
        found: dict[str, str] = json.loads(text)
        return found[USER]

    def processes(self) -> set[int]:
        """The four, and whatever they have started or left behind."""
        return descendants_of(os.getpid()) - self._before

    def stop(self, seconds: float = 20) -> set[int]:
        """End everything: the four, then whatever they left; the process ids of what was left."""
        four, self.running = list(self.running.values()), {}
        for process in four:
            process.terminate()
        deadline = time.monotonic() + seconds
        for process in four:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        left = self.processes()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            ended_by = time.monotonic() + 5
            while self.processes() and time.monotonic() < ended_by:
                time.sleep(0.05)
        for process in four:
            process.wait(5)
        return left


def descendants_of(ancestor: int) -> set[int]:
    """Processes below this one that have not ended."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    found: set[int] = set()
    while more := {pid for pid, parent in parents.items() if parent in {ancestor, *found}} - found:
        found |= more
    return found


def start(place: Path, port: int) -> int:
    bin_folder = install()
    with demo.sandbox("0.01", "0.1") as source:
        environment = os.environ | settings(place / "home", port)
        environment |= {"OPEN_PAYMENTS_URL": source, "LAKE_URL": str(place / "lake"), "LOG_LEVEL": "info"}
        environment["AIRFLOW__DATA_PIPELINE__LAKE_URL"] = environment["LAKE_URL"]
        print("starting Airflow; this takes about half a minute", file=sys.stderr)
        with Airflow(bin_folder, place / "home", environment) as airflow:
            airflow.wait_until_healthy()
            print(
                f"Airflow listens on {airflow.url}. Sign in as {USER} with the password {airflow.password()}\n"
                f"DAGs are paused. Trigger open_payments_year with the year {demo.YEAR}: the source is a sandbox, the\n"
                f"lake is {os.path.relpath(place / 'lake')}. Unpausing also starts the newest year by schedule, which\n"
                "it lacks: that run fails. Ctrl-C stops everything.",
                file=sys.stderr,
            )
            with contextlib.suppress(KeyboardInterrupt):
                while all(process.poll() is None for process in airflow.running.values()):
                    time.sleep(0.5)
            print("stopping", file=sys.stderr)
            if left := airflow.stop():
                print(f"{len(left)} processes that were left behind have been ended", file=sys.stderr)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "install", "lock"])
    parser.add_argument("--port", type=int, default=8080, help="start: of the API server (default 8080)")
    parser.add_argument("--place", default=str(ROOT / "data" / "airflow"), help="start: folder of its home and lake")
    given = parser.parse_args()
    if given.action == "lock":
        resolve()
    elif given.action == "install":
        install()
    else:
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT is ignored where a shell started it in the background
            signal.signal(number, signal.default_int_handler)
        return start(Path(given.place).resolve(), given.port)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The four real processes with a real PostgreSQL: backfill, kills, mark failed, clear, and both places."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from packages.etl_core.tests.support.postgresql import postgresql_server
from sandbox.cluster import Cluster, ClusterSettings
from tools import airflow, demo

pytestmark = pytest.mark.long
YEAR_DAG, INGEST = "open_payments_year", "dataset.ingest"
# Of one wait, on a machine that others use too.
SECONDS = 240
FAST = {
    "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "1",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "AIRFLOW__DATA_PIPELINE__POLL_SECONDS": "0.3",
}

HOLDS_A_DAG_RUN = """
    SELECT 1 FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE relation = 'dag_run'::regclass AND mode = 'RowShareLock' AND state = 'idle in transaction'
"""


def eventually(what: str, holds: Callable[[], Any], every: float = 0.25) -> Any:
    """What ``holds`` returns once it is true."""
    deadline = time.monotonic() + SECONDS
    while not (found := holds()):
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(every)
    return found


class Api:
    """Airflow's REST API, as its UI uses it."""

    def __init__(self, url: str, password: str) -> None:
        self._url = url
        self._token = ""
        self._token = self("POST", "/auth/token", username=airflow.USER, password=password)["access_token"]

    def __call__(self, method: str, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            f"{self._url}{path}", method=method, data=json.dumps(body).encode() if body else None
        )
        request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error

    def runs(self, dag: str) -> list[dict[str, Any]]:
        return sorted(self("GET", f"/api/v2/dags/{dag}/dagRuns")["dag_runs"], key=lambda run: run["run_after"])

    def tasks(self, dag: str, run: str) -> dict[str, dict[str, Any]]:
        found = self("GET", f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances")
        return {one["task_id"]: one for one in found["task_instances"]}

    def trigger(self, dag: str, run: str, **conf: Any) -> None:
        self("POST", f"/api/v2/dags/{dag}/dagRuns", dag_run_id=run, logical_date=None, conf=conf)

    def mark(self, dag: str, run: str, task: str, state: str) -> None:
        self("PATCH", f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/{task}", new_state=state)

    def clear(self, dag: str, run: str, task: str) -> None:
        path = f"/api/v2/dags/{dag}/clearTaskInstances"
        self("POST", path, dag_run_id=run, task_ids=[task], dry_run=False, only_failed=False, reset_dag_runs=True)

    def unpause(self, dag: str) -> None:
        eventually(f"{dag} is parsed", lambda: self._is_known(dag))
        self("PATCH", f"/api/v2/dags/{dag}", is_paused=False)

    def _is_known(self, dag: str) -> bool:
        return any(one["dag_id"] == dag for one in self("GET", "/api/v2/dags")["dags"])


class World:
    """A running Airflow, and what its jobs reach."""

    def __init__(self, services: airflow.Airflow, source: Any, cluster: Cluster, bucket: Any, database: str) -> None:
        self.services, self.source, self.cluster, self.bucket = services, source, cluster, bucket
        self.database = database
        self.api = Api(services.url, services.password())

    def stall(self) -> None:
        """The next download hangs until the faults are cleared or its client is gone."""
        self.source.fault("stall", count=1, match="/download", params={"seconds": 600.0})

    def stalled(self, *words: str) -> int:
        """The process of the job that hangs in the download."""
        eventually("the download hangs", lambda: any(fault["fired"] for fault in self.source.faults()))
        (job,) = eventually(f"{words} runs", lambda: self.jobs("run_pipeline", *words))
        return int(job)

    def jobs(self, *words: str) -> list[int]:
        """Processes of ``data-pipeline`` below this one that have these words in their command."""
        found = []
        for pid in airflow.descendants_of(os.getpid()):
            with contextlib.suppress(OSError):
                line = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
                if any(word.endswith("data-pipeline") for word in line[:2]) and not set(words) - set(line):
                    found.append(pid)
        return found

    def kill_scheduler(self) -> None:
        """Within a transaction that holds a DAG run, the worst moment: workers of a dead scheduler keep it open."""
        scheduler = self.services.running["scheduler"]
        with psycopg.connect(self.database, autocommit=True) as database:
            eventually("the scheduler holds a DAG run", lambda: self._stopped_within(scheduler.pid, database))
        scheduler.kill()
        scheduler.wait()

    @staticmethod
    def _stopped_within(scheduler: int, database: psycopg.Connection[Any]) -> bool:
        os.kill(scheduler, signal.SIGSTOP)
        eventually("it is stopped", lambda: stat_of(scheduler)[0] == "T", every=0)
        if database.execute(HOLDS_A_DAG_RUN).fetchone():
            return True
        os.kill(scheduler, signal.SIGCONT)
        return False


def stat_of(pid: int) -> list[str]:
    """Of a process: its state, its parent and more."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def parent_of(pid: int) -> int:
    return int(stat_of(pid)[1])


@pytest.fixture(scope="module")
def world(airflow_bin, jobs, source, bucket, tmp_path_factory) -> Iterator[World]:
    place = tmp_path_factory.mktemp("airflow")
    pods = {name: jobs[name] for name in jobs if not name.startswith("AIRFLOW")}
    images = {"etl-data-pipeline": [str(demo.BIN / "data-pipeline")]}
    accounts = ("default", "data-pipeline-runner")
    cluster_settings = ClusterSettings(
        images=images, base_environment=pods, namespaces=("data-pipeline",), service_accounts=accounts
    )
    bundles = [
        {
            "name": path.parent.name,
            "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
            "kwargs": {"path": str(path)},
        }
        for path in (airflow.DAGS, Path(__file__).parent / "dags")
    ]
    with postgresql_server() as database, Cluster(cluster_settings) as cluster:
        # As docs/airflow-on-eks.md has it, but shorter.
        with psycopg.connect(database) as connection:
            connection.execute("ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '15s'")
        settings = airflow.settings(place / "home", free_port()) | FAST | {
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps(bundles),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql:", "postgresql+psycopg2:"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": database.replace("postgresql:", "postgresql+asyncpg:"),
            "AIRFLOW__DATA_PIPELINE__ENV_FROM": "",
            "KUBECONFIG": str(cluster.kubeconfig(place / "kubeconfig")),
        }  # fmt: skip
        services = airflow.Airflow(airflow_bin, place / "home", {**jobs, **settings})
        with services:
            services.wait_until_healthy(SECONDS)
            yield World(services, source, cluster, bucket, database)
            services.stop(SECONDS / 4)  # workers of the killed scheduler are left, and ended
            assert services.processes() == set()
            assert cluster.bugs == []


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_only_the_api_server_listens_and_only_on_loopback(world):
    port = int(world.services.url.rpartition(":")[2])
    assert listening(world.services.processes()) == {("0100007F", port)}


def listening(processes: set[int]) -> set[tuple[str, int]]:
    """Address and port of every listening socket of these processes."""
    sockets = set()
    for folder in (Path(f"/proc/{pid}/fd") for pid in processes):
        with contextlib.suppress(OSError):
            for one in folder.iterdir():
                with contextlib.suppress(OSError):
                    sockets.add(str(one.readlink()))
    inodes = {one[8:-1] for one in sockets if one.startswith("socket:[")}
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and words[9] in inodes:
                address, _, port = words[1].partition(":")
                found.add((address, int(port, 16)))
    return found


def test_a_backfill_of_two_years_survives_a_killed_worker_and_a_killed_scheduler(world):
    world.api.unpause(YEAR_DAG)
    # The last passed date starts at once; of its year the source has nothing, which no further try would change.
    (scheduled,) = eventually("the scheduled run fails", lambda: ended(world, "failed"))
    assert {one["try_number"] for name, one in world.api.tasks(YEAR_DAG, scheduled).items() if name == INGEST} == {1}

    world.stall()
    dates = {"from_date": "2024-07-01T00:00:00Z", "to_date": "2025-07-03T00:00:00Z"}
    conf = {"dataset": "general-payments"}
    world.api("POST", "/api/v2/backfills", dag_id=YEAR_DAG, **dates, dag_run_conf=conf, max_active_runs=1)

    job = world.stalled("2023")
    world.source.clear_faults()
    os.kill(parent_of(parent_of(job)), signal.SIGKILL)
    eventually("the job of a killed worker ends", lambda: job not in world.jobs())

    first = next(run["dag_run_id"] for run in world.api.runs(YEAR_DAG) if run["run_type"] == "backfill")
    eventually("the next try ends", lambda: world.api.tasks(YEAR_DAG, first)[INGEST]["state"] == "success")
    world.stall()
    world.stalled("2024")
    world.kill_scheduler()
    world.source.clear_faults()
    world.services.start("scheduler")

    first, second = eventually("both years are made", lambda: two(ended(world, "success")))
    assert world.api.tasks(YEAR_DAG, first)[INGEST]["try_number"] == 2
    assert world.api.tasks(YEAR_DAG, second)["check_year"]["state"] == "success"
    manifests = [key for key in world.bucket.listed("metadata/curated/") if key.endswith(".json")]
    assert {key.split("/")[3] for key in manifests} == {"year=2023", "year=2024"}


def ended(world: World, state: str) -> list[str]:
    return [run["dag_run_id"] for run in world.api.runs(YEAR_DAG) if run["state"] == state]


def two(found: list[str]) -> list[str]:
    return found if len(found) == 2 else []


def test_marking_a_task_failed_ends_its_process(world):
    world.stall()
    world.api.unpause("probe_process")
    world.api.trigger("probe_process", "marked", run_id="marked")
    job = world.stalled("marked")

    world.api.mark("probe_process", "marked", "ingest", "failed")

    eventually("the job ends", lambda: job not in world.jobs())
    world.source.clear_faults()
    assert world.api.tasks("probe_process", "marked")["ingest"]["state"] == "failed"


def test_on_a_cluster_a_stopped_and_a_cleared_task_adopt_their_job_and_one_marked_failed_cancels_it(world):
    world.stall()
    world.api.unpause("probe_kubernetes")
    world.api.trigger("probe_kubernetes", "pod", run_id="pod")
    (job,) = eventually("there is a Job", world.cluster.jobs)
    world.stalled("pod")

    os.kill(world.api.tasks("probe_kubernetes", "pod")["ingest"]["pid"], signal.SIGTERM)
    adopted(world, job, 2)
    world.api.clear("probe_kubernetes", "pod", "ingest")
    adopted(world, job, 3)

    world.api.mark("probe_kubernetes", "pod", "ingest", "failed")
    eventually("the Job and its pod are gone", lambda: not world.cluster.jobs() and not world.cluster.pods())
    world.source.clear_faults()

    world.api.clear("probe_kubernetes", "pod", "ingest")
    eventually("a fourth try succeeds", lambda: attempt(world)[0] == "success")
    found = world.api("GET", "/api/v2/dags/probe_kubernetes/dagRuns/pod/taskInstances/ingest/xcomEntries/manifest")
    assert "run_id=pod/manifest.json" in found["value"]
    assert world.cluster.calls["get pods/log"] == 0


def adopted(world: World, job: dict[str, Any], number: int) -> None:
    """That try runs, and the Job is still the one of before."""
    eventually(f"try {number} runs", lambda: attempt(world) == ("running", number))
    eventually("it adopts", lambda: world.cluster.calls["create jobs"] == number)
    assert [one["metadata"]["uid"] for one in world.cluster.jobs()] == [job["metadata"]["uid"]]


def attempt(world: World) -> tuple[str, int]:
    one = world.api.tasks("probe_kubernetes", "pod")["ingest"]
    return one["state"], one["try_number"]

"""The place ``kubernetes``, against the stand-in cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

from etl_core.errors import StoppedError
from etl_core.kube.client import Cluster as Client
from etl_core.kube.observe import phase_of_job
from etl_core.retry import Retry
from etl_core.stop import Stop
from etl_core.testing import MemoryStore
from orchestration.kubernetes import KubernetesPlace, body_of
from orchestration.pods import pod_of
from orchestration.settings import Settings
from sandbox.cluster import Cluster, ClusterSettings, Instant

INGEST = ["run_pipeline", "--dataset", "general-payments", "--year", "2023", "--run-id", "r"]
STAGE = ["stage", "--run-id", "r"]
IDENTITY = {"dag-run": "open_payments_year scheduled__2024-07-02T06:00:00+00:00", "task": "dataset.ingest 0"}
POD = pod_of("run_pipeline", Settings(env_from=""))


class World:
    """A cluster whose pods end as ``ends`` says, and a lake."""

    def __init__(self, **settings: Any) -> None:
        self.ends = Instant(0)
        accounts = ("default", "data-pipeline-runner")
        fixed: dict[str, Any] = {"namespaces": ("data-pipeline",), "service_accounts": accounts}
        self.cluster = Cluster(ClusterSettings(**{**fixed, "instant": lambda _pod: self.ends, **settings}))
        self.pool, self.store, self.stop = urllib3.PoolManager(), MemoryStore(), Stop()

    def place(self, on_poll: Callable[[], None] = lambda: None) -> KubernetesPlace:
        def sleep(_seconds: float) -> None:
            on_poll()
            self.stop.sleep(0.01)

        client = Client(self.cluster.url, "data-pipeline", pool=self.pool, retry=Retry(), user_agent="test")
        return KubernetesPlace(client, self.store, identity=IDENTITY, pod=POD, sleep=sleep, poll_seconds=0.01)

    def commit(self, status: str = "completed") -> None:
        self.store.put("metadata/runs/run_id=r/plan.json", b"{}")
        self.store.put("metadata/runs/run_id=r/manifest.json", json.dumps({"status": status, "rows": 7}).encode())

    @property
    def created(self) -> int:
        return self.cluster.calls["create jobs"]


@pytest.fixture
def world(request):
    world = World(**getattr(request, "param", {}))
    with world.cluster:
        yield world
    world.pool.clear()
    assert world.cluster.bugs == []


def test_what_a_job_came_to_is_read_from_the_lake(world):
    world.commit()

    outcome = world.place().run(INGEST)

    assert (outcome.status, outcome.fact["rows"]) == (0, 7)
    assert outcome.fact["kubernetes_job"].startswith("af-run-pipeline-")
    assert world.cluster.calls["get pods/log"] == 0


def test_a_job_that_says_it_succeeded_without_a_commit_has_not(world):
    outcome = world.place().run(INGEST)

    assert (outcome.verdict, "has no commit of it" in outcome.why) == ("default", True)


def test_a_step_that_commits_nothing_of_its_own_succeeds_with_its_job(world):
    assert world.place().run(STAGE).verdict == "success"


@pytest.mark.parametrize(
    ("status", "verdict"), [(1, "default"), (2, "fail"), (3, "fail"), (4, "retry"), (137, "default")]
)
def test_a_job_fails_with_the_status_of_its_container(world, status, verdict):
    world.ends = Instant(status)

    outcome = world.place().run(STAGE)

    assert (outcome.status, outcome.verdict) == (status, verdict)
    assert world.created == 1, "Airflow alone decides on another try"


def test_a_second_try_adopts_the_running_job_and_replaces_an_ended_one(world):
    world.ends = Instant(0, seconds=60)
    first = world.place(world.stop.request)
    with pytest.raises(StoppedError):
        first.run(STAGE)  # the worker was told to end: nothing is deleted
    world.stop.reset()
    (running,) = world.cluster.jobs()

    with pytest.raises(StoppedError):
        world.place(world.stop.request).run(STAGE)
    world.stop.reset()
    assert [job["metadata"]["uid"] for job in world.cluster.jobs()] == [running["metadata"]["uid"]]

    first.cancel()
    world.ends = Instant(4)
    assert world.place().run(STAGE).status == 4
    world.ends = Instant(0)
    assert world.place().run(STAGE).status == 0
    (ended,) = world.cluster.jobs()
    assert phase_of_job(ended) == "succeeded"


def test_cancel_deletes_the_job_and_a_second_one_finds_nothing(world):
    world.ends = Instant(0, seconds=60)
    place = world.place(world.stop.request)
    with pytest.raises(StoppedError):
        place.run(STAGE)
    world.stop.reset()

    place.cancel()
    place.cancel()

    assert world.cluster.until(lambda: not world.cluster.jobs() and not world.cluster.pods())


@pytest.mark.parametrize(("committed", "verdict"), [(True, "success"), (False, "default")])
def test_a_job_that_is_gone_is_done_if_the_lake_has_its_commit(world, committed, verdict):
    world.ends = Instant(0, seconds=60)

    def somebody_deletes_it() -> None:
        if committed:
            world.commit()
        place.cancel()

    place = world.place(somebody_deletes_it)

    assert place.run(INGEST).verdict == verdict


@pytest.mark.parametrize(
    ("world", "reason"),
    [({"instant": None}, "image_pull"), ({"denies": {"pods": "not here"}}, "refused")],
    indirect=["world"],
)
def test_what_never_starts_for_good_fails_at_once_and_leaves_nothing(world, reason):
    outcome = world.place().run(STAGE)

    assert (outcome.verdict, outcome.why.partition(":")[0]) == ("fail", reason)
    assert world.cluster.until(lambda: not world.cluster.jobs())


def test_the_name_follows_from_the_task_the_command_and_the_image():
    one, again = body_of(STAGE, IDENTITY, POD), body_of(STAGE, IDENTITY, POD)
    others = [
        body_of(["stage", "--run-id", "other"], IDENTITY, POD),
        body_of(STAGE, {**IDENTITY, "task": "dataset.ingest 1"}, POD),
        body_of(STAGE, IDENTITY, pod_of("run_pipeline", Settings(image="etl:2", env_from=""))),
    ]

    assert one == again
    assert len({body["metadata"]["name"] for body in (one, *others)}) == 4
    assert one["spec"]["backoffLimit"] == 0
    (container,) = one["spec"]["template"]["spec"]["containers"]
    assert "livenessProbe" in container
    assert one["metadata"]["annotations"]["openpayments.io/dag-run"] == IDENTITY["dag-run"]

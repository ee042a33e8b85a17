"""A year spread over Jobs whose pods are real processes, on a stand-in API server, with failures in all parts."""

import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sandbox.cluster import Cluster, ClusterSettings
from tests.end_to_end.conftest import World
from tests.end_to_end.programs import container

IMAGE = "etl-data-pipeline"
FAN_OUT = ("fan_out", "--", "--year", "2024", "--poll-interval", "0.2")
PATH = {"PATH": str(Path(sys.executable).parent)}


@dataclass(frozen=True)
class Fleet:
    """A world and a cluster beside it."""

    world: World
    cluster: Cluster

    def start(self, *words, **environment):
        return self.world.start(*FAN_OUT, *words, **environment)

    def run(self, *words, **environment):
        return self.world.run(*FAN_OUT, *words, **environment)

    def reasons(self):
        (manifest,) = self.world.manifests()
        return Counter(one["reason"] for one in manifest["slices"] if one["verdict"] in ("failed", "missing"))

    def until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.02)

    def fetched(self):
        """How often the rows of each window were asked for, by the question."""
        asked = (one for one in self.world.downloads() if one["rows_returned"])
        return Counter(one["target"].partition("&fresh=")[0] for one in asked)


@pytest.fixture
def fleet(world, tmp_path, request):
    settings: dict[str, Any] = {"pod_start_seconds": 0.05, "service_accounts": ("default", "data-pipeline-worker")}
    settings |= getattr(request, "param", {})
    settings = {"images": {IMAGE: [sys.executable, "-m", "data_pipeline"]}, **settings}
    with Cluster(ClusterSettings(base_environment=PATH, start=container, **settings)) as cluster:
        environment = {**world.environment, "KUBECONFIG": str(cluster.kubeconfig(tmp_path / "kubeconfig"))}
        yield Fleet(replace(world, environment=environment), cluster)
        assert not cluster.bugs


SHAPES = [("--shape", "per-company"), ("--shape", "packed", "--pods", "3")]
pytestmark = pytest.mark.timeout(300)
# Windows of 60,000 rows: the first of these has two, so that pods share a slice.
LARGE = {"company_rows": {"100000000053": 61_000, "100000000054": 30, "100000000055": 4_000}, "first_companies": None}


@pytest.mark.parametrize("world", [LARGE], indirect=True, ids=["a slice of two windows"])
@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_either_shape_leaves_what_one_process_leaves(fleet, shape):
    world = fleet.world
    alone = replace(world, lake=world.lake.parent / "alone", environment={**world.environment, "LAKE_URL": "alone"})
    assert alone.pipeline().status == 0
    ended = fleet.run(*shape)
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    assert ended.fact["closed"]
    world.assert_equals_truth()

    def parts(of):
        return {
            company: [(part["key"], part["records"], part["content_hash"]) for part in audit["parts"]]
            for company, audit in of.slices().items()
        }

    assert parts(world) == parts(alone)
    assert not fleet.cluster.jobs(), "a Job whose audit was seen is removed"


@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_run_again_it_creates_nothing(fleet, shape):
    assert fleet.run(*shape).status == 0
    files, calls = fleet.world.files(), fleet.cluster.calls
    again = fleet.run(*shape)
    assert (again.status, again.fact["status"]) == (0, "already done"), again.stderr
    assert fleet.world.files() == files
    assert fleet.cluster.calls - calls == {"list jobs": 1}, "it looks for Jobs of a submitter that died"


@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_a_submitter_killed_is_followed_by_another_that_goes_on(fleet, shape):
    for looks in (1, 4):
        submitter = fleet.start(*shape, "--streams", "4")
        # The Jobs go on without it: the second may find nothing left to look at.
        fleet.until(
            lambda looks=looks, one=submitter: fleet.cluster.calls["list jobs"] >= looks or one.poll() is not None
        )
        submitter.send_signal(signal.SIGKILL)
        submitter.communicate()
    ended = fleet.run(*shape, "--streams", "4")
    assert ended.status == 0, ended.stderr
    assert ended.fact["status"] in ("completed", "already done")
    fleet.world.assert_equals_truth()
    assert set(fleet.fetched().values()) == {1}, "a window was fetched twice"


@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_two_submitters_at_once_share_the_work(fleet, shape):
    both = [fleet.start(*shape) for _ in range(2)]
    ended = [(process.communicate(timeout=200), process.returncode) for process in both]
    assert [status for _, status in ended] == [0, 0], ended
    fleet.world.assert_equals_truth()
    assert set(fleet.fetched().values()) == {1}
    assert len({name for name, *_ in fleet.world.slices().items()}) == 12


@pytest.mark.parametrize("world", [{"latency_seconds": 0.1}], indirect=True, ids=["slow"])
def test_the_ceiling_holds_over_all_pods(fleet):
    ended = fleet.run("--shape", "packed", "--pods", "3", "--streams", "4")
    assert ended.status == 0, ended.stderr
    assert fleet.cluster.peak_pods == 3
    assert fleet.world.source.summary()["max_concurrent"] <= 4


def test_a_block_met_by_one_pod_stops_all_of_them(fleet):
    fleet.world.source.fault("waf_403", after=8, match="/download")
    ended = fleet.run("--shape", "per-company", "--streams", "4")
    assert ended.status == 4, ended.stderr
    asked = fleet.world.source.summary()["requests"]
    again = fleet.run("--shape", "per-company", "--streams", "4")
    assert again.status == 4
    assert "not_before.json" in again.stderr
    assert fleet.world.source.summary()["requests"] - asked <= 6, "the submitter may plan; no pod may ask"
    fleet.world.assert_equals_truth()


@pytest.mark.parametrize("world", [{"latency_seconds": 0.2, "first_companies": 40}], indirect=True, ids=["slow"])
def test_a_storm_met_by_one_pod_holds_all_of_them_within_seconds(fleet):
    fleet.world.source.fault("http_429", count=1, after=30, match="/download", params={"retry_after": 8})
    ended = fleet.run("--shape", "packed", "--pods", "4", "--streams", "4", "--trust-count")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    ledger = fleet.world.source.ledger()
    (storm,) = (one for one in ledger if one["status"] == 429)
    # Each pod reads the notice every 2 s; what it then has under way may end.
    early = [one for one in ledger if storm["ended"] + 3 < one["started"] < storm["ended"] + 7.5]
    assert not early, "a pod asked before the moment that another was told"
    fleet.world.assert_equals_truth()


def test_disruptions_are_no_tries(fleet):
    fleet.cluster.fault("disrupted", count=5)
    ended = fleet.run("--shape", "packed", "--pods", "1")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    fleet.world.assert_equals_truth()


FAILURES = {
    "image_pull": (("--image", "no-such-image"), 3),
    "configuration": (("--env-from", "configmap/no-such-map"), 3),
    "exit_3": (("--env", "LAKE_URL=another-lake"), 3),
}


@pytest.mark.parametrize(("reason", "asked"), FAILURES.items(), ids=list(FAILURES))
@pytest.mark.parametrize("world", [{"first_companies": 2}], indirect=True, ids=["2 companies"])
def test_what_cannot_work_becomes_a_diagnosis_in_manifest_and_report(fleet, reason, asked):
    words, status = asked
    ended = fleet.run("--shape", "per-company", "--pending-check-after", "0.5", *words)
    assert ended.status == status, ended.stderr
    assert fleet.reasons() == {reason: 2}
    assert reason in ended.stderr
    shown = fleet.world.run("status", "--", "--run-id", ended.fact["run_id"], "--json")
    assert shown.fact["failed_by_reason"] == {reason: 2}


@pytest.mark.parametrize("world", [{"first_companies": 2}], indirect=True, ids=["2 companies"])
def test_out_of_memory_is_tried_again_and_named(fleet):
    fleet.cluster.fault("oom_killed")
    ended = fleet.run("--shape", "per-company")
    assert ended.status == 3, ended.stderr
    assert fleet.reasons() == {"out_of_memory": 2}
    assert "--memory" in ended.stderr
    fleet.cluster.clear_faults()
    ended = fleet.run("--shape", "per-company")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr


@pytest.mark.parametrize("fleet", [{"quota_jobs": 2}], indirect=True, ids=["room for two Jobs"])
def test_a_full_namespace_is_waited_out(fleet):
    ended = fleet.run("--shape", "per-company")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    assert fleet.cluster.peak_pods <= 2


@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_an_api_server_that_fails_in_every_way_is_waited_out(fleet, shape):
    for name in ("http_409", "http_410", "http_429", "http_500", "http_503", "reset", "lost_answer"):
        fleet.cluster.fault(name, probability=0.05)
    ended = fleet.run(*shape)
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    fleet.world.assert_equals_truth()
    assert set(fleet.fetched().values()) == {1}


@pytest.mark.parametrize("world", [{"first_companies": 2}], indirect=True, ids=["2 companies"])
def test_a_storm_of_refusals_by_the_api_server_is_waited_out_by_time_and_not_by_tries(fleet):
    fleet.cluster.fault("http_429", count=10, retry_after=1, match="create jobs")
    ended = fleet.run("--shape", "packed")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr


@pytest.mark.parametrize("world", [{"latency_seconds": 0.3}], indirect=True, ids=["slow"])
def test_ctrl_c_leaves_the_jobs_alone_or_sweeps_them_away(fleet):
    submitter = fleet.start("--shape", "per-company", "--on-interrupt", "detach")
    fleet.until(lambda: fleet.cluster.calls["create jobs"] >= 4)
    submitter.send_signal(signal.SIGINT)
    _, stderr = submitter.communicate(timeout=60)
    assert submitter.returncode == 130, stderr
    assert fleet.cluster.jobs()
    submitter = fleet.start("--shape", "per-company", "--on-interrupt", "cancel")
    looked = fleet.cluster.calls["list jobs"]
    fleet.until(lambda: fleet.cluster.calls["list jobs"] > looked + 1)
    submitter.send_signal(signal.SIGINT)
    _, stderr = submitter.communicate(timeout=60)
    assert submitter.returncode == 130, stderr
    assert (fleet.cluster.jobs(), fleet.cluster.pods()) == ([], [])
    ended = fleet.run("--shape", "per-company")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    fleet.world.assert_equals_truth()


def test_cancel_removes_every_job_of_the_release_from_any_machine(fleet):
    submitter = fleet.start("--shape", "per-company")
    fleet.until(lambda: fleet.cluster.calls["create jobs"] >= 2)
    submitter.send_signal(signal.SIGKILL)
    submitter.communicate()
    ended = fleet.run("--cancel")
    assert (ended.status, ended.fact["status"]) == (0, "cancelled"), ended.stderr
    assert (fleet.cluster.jobs(), fleet.cluster.pods()) == ([], [])


def test_the_manifests_printed_are_the_jobs_that_are_created(fleet):
    process = fleet.start("--shape", "per-company", "--print")
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 0, stderr
    printed = json.loads(stdout)
    assert (printed["kind"], len(printed["items"])) == ("List", 12)
    assert not fleet.cluster.calls, "printing asks no cluster"


def examined(fleet):
    """The doctor's fact, what it said, its status."""
    found = fleet.world.doctor("cluster")
    return found.fact["cluster_checks"]["failed"], found.stderr, found.status


@pytest.mark.parametrize("fleet", [{"denied": ("create jobs", "list events")}], indirect=True, ids=["few rights"])
def test_doctor_names_the_rights_that_are_missing(fleet):
    failed, said, status = examined(fleet)
    assert status == 3, said
    assert "create jobs, list events" in said
    assert set(failed) >= {"allowed", "dry_run", "image"}


@pytest.mark.parametrize("fleet", [{"service_accounts": ("default",)}], indirect=True, ids=["no account"])
def test_doctor_says_why_no_pod_can_be_made_and_waits_for_none(fleet):
    failed, said, status = examined(fleet)
    assert status == 3, said
    assert failed == ["image"]
    assert 'serviceaccount "data-pipeline-worker" not found' in said
    assert "no pod of it ended within" not in said


@pytest.mark.parametrize(
    ("fleet", "status"),
    [({"quota_jobs": 2000, "quota_pods": 110}, "passed"), ({"quota_jobs": 2000, "quota_pods": 0}, "failed")],
    indirect=["fleet"],
    ids=["room", "no room"],
)
def test_doctor_reads_a_quota_as_a_real_server_writes_it(fleet, status):
    failed, said, _ = examined(fleet)
    assert "count/jobs.batch: 0 of 2k used" in said or status == "failed"
    assert ("quota" in failed) is (status == "failed"), said
    assert "Traceback" not in said


# What a real cluster does and the documentation does not say.
AS_SEEN = {"sidecars": ("a-proxy",), "count_seconds": 0.5, "scheduler_seconds": 0.3, "quota_jobs": 2000}


@pytest.mark.parametrize("world", [{"first_companies": 3}], indirect=True, ids=["3 companies"])
@pytest.mark.parametrize("fleet", [AS_SEEN], indirect=True, ids=["in a mesh"])
@pytest.mark.parametrize("shape", [SHAPES[0], ("--shape", "packed", "--pods", "2")], ids=["per company", "packed"])
def test_a_proxy_beside_the_workers_does_not_keep_a_fan_out_waiting(fleet, shape):
    ended = fleet.run(*shape)
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    fleet.world.assert_equals_truth()
    assert fleet.cluster.jobs() == []
    failed, said, status = examined(fleet)
    assert (failed, status) == ([], 0), said


@pytest.mark.parametrize("world", [{"first_companies": 1}], indirect=True, ids=["1 company"])
@pytest.mark.parametrize("fleet", [AS_SEEN], indirect=True, ids=["in a mesh"])
def test_a_worker_s_exit_code_is_reported_though_its_pod_continues(fleet):
    ended = fleet.run("--shape", "per-company", "--pending-check-after", "1", "--env", "LAKE_URL=another-lake")
    assert ended.status == 3, ended.stderr
    assert fleet.reasons() == {"exit_3": 1}


@pytest.mark.parametrize("world", [{"first_companies": 3}], indirect=True, ids=["3 companies"])
@pytest.mark.parametrize("fleet", [AS_SEEN], indirect=True, ids=["in a mesh"])
def test_a_failed_index_beside_one_that_succeeded_ends_a_packed_job_in_a_mesh(fleet):
    fleet.world.source.fault("header_drift", match="100000000053")
    ended = fleet.run("--shape", "packed", "--pods", "2", "--pending-check-after", "1")
    assert (ended.status, ended.fact["proved"], ended.fact["failed"]) == (3, 2, 1), ended.stderr


REFUSALS = {
    "minimum": ({"minimum": {"memory": "1Gi"}}, "refused", "minimum memory usage per Container is 1Gi"),
    "maximum": ({"maximum": {"cpu": "100m"}}, "refused", "must be less than or equal to cpu limit of 100m"),
    "limits": ({"must_specify": ("limits.cpu",)}, "refused", "must specify limits.cpu"),
    "webhook": ({"denies": {"pods": "no owner"}}, "refused", "denied the request: no owner"),
    "program": ({"images": {IMAGE: ["no-such-program"]}}, "configuration", "StartError"),
}


@pytest.mark.parametrize("world", [{"first_companies": 1}], indirect=True, ids=["1 company"])
@pytest.mark.parametrize(("fleet", "reason", "said"), list(REFUSALS.values()), indirect=["fleet"], ids=list(REFUSALS))
def test_what_the_cluster_will_always_refuse_is_reported_at_once(fleet, reason, said):
    ended = fleet.run("--shape", "per-company", "--pending-check-after", "0.5")
    assert ended.status == 3, ended.stderr
    assert fleet.reasons() == {reason: 1}
    assert said in ended.stderr


@pytest.mark.parametrize("world", [{"first_companies": 1}], indirect=True, ids=["1 company"])
@pytest.mark.parametrize("fault", ["pull_limit", "pod_sandbox", "volume_mount", "webhook_500"])
def test_what_passes_is_waited_for(fleet, fault):
    fleet.cluster.fault(fault, count=1, seconds=2)
    ended = fleet.run("--shape", "per-company", "--pending-check-after", "0.5")
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    if fault != "webhook_500":
        assert {"pull_limit": "image_pull"}.get(fault, fault) in ended.stderr
    assert "lost: " not in ended.stderr


@pytest.mark.parametrize("world", [{"first_companies": 1}], indirect=True, ids=["1 company"])
@pytest.mark.parametrize("fleet", [{"denies": {"jobs": "no owner"}}], indirect=True, ids=["denied"])
def test_a_job_denied_by_a_webhook_brings_no_advice_on_rights(fleet):
    ended = fleet.run("--shape", "per-company")
    assert ended.status == 3, ended.stderr
    assert "denied the request: no owner" in ended.stderr
    assert "Grant that right" not in ended.stderr


HALF_IMPORTED = {"first_companies": 4, "scale": 0.02}


@pytest.mark.parametrize("world", [HALF_IMPORTED], indirect=True, ids=["4 companies"])
@pytest.mark.parametrize("shape", SHAPES, ids=["per company", "packed"])
def test_a_slice_that_grew_under_its_release_is_proved_anew_by_the_pods(fleet, shape):
    world = fleet.world
    world.source.republish(2024, imported_share=0.985)
    first = fleet.run(*shape, "--trust-count")
    assert first.status in (0, 4), first.stderr
    before = {company: audit["records"] for company, audit in world.slices().items()}
    world.source.finish_import(2024)
    for _ in range(2):
        ended = fleet.run(*shape, "--trust-count")
        if ended.fact.get("closed"):
            break
    assert (ended.status, ended.fact["status"]) == (0, "completed"), ended.stderr
    world.assert_equals_truth()
    assert {company: audit["records"] for company, audit in world.slices().items()} != before


REAL_SKEW = {"scale": 0.004, "first_companies": 200}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("world", [REAL_SKEW], indirect=True, ids=["200 companies"])
@pytest.mark.parametrize("shape", [SHAPES[0], ("--shape", "packed", "--pods", "6")], ids=["per company", "packed"])
def test_a_year_closes_though_submitters_and_pods_die_and_source_and_cluster_fail(fleet, shape):
    for name in ("http_500", "http_429", "reset", "lost_answer", "http_410"):
        fleet.cluster.fault(name, probability=0.03)
    for name in ("http_500", "cut_body", "stall", "error_row"):
        fleet.world.source.fault(name, probability=0.01)
    dice, killed = random.Random(7), 0
    started = 0
    submitter = fleet.start(*shape, "--streams", "6", SOURCE_FIRST_WAIT_SECONDS="0.05")
    disrupted: set[str] = set()
    seen: set[str] = set()
    while submitter.poll() is None:
        running = [pod["metadata"]["name"] for pod in fleet.cluster.pods() if pod["status"].get("phase") == "Running"]
        for name in running:
            if name not in seen:
                seen.add(name)
                started += 1
                if dice.random() < 1 / 3 and len(disrupted) < 80:
                    disrupted.add(name)
                    fleet.cluster.disrupt(name)
        if killed < 2 and len(fleet.world.slices()) > 40 * (killed + 1):
            killed += 1
            submitter.send_signal(signal.SIGKILL)
            submitter.communicate()
            submitter = fleet.start(*shape, "--streams", "6", SOURCE_FIRST_WAIT_SECONDS="0.05")
        time.sleep(0.05)
    _, stderr = submitter.communicate()
    assert submitter.returncode == 0, stderr
    assert (killed, len(fleet.world.slices())) == (2, 200)
    assert disrupted
    (manifest,) = fleet.world.manifests()
    assert manifest["status"] == "completed"
    assert manifest["closure"]["closed"]
    fleet.world.assert_equals_truth()


@pytest.mark.parametrize("world", [{"first_companies": 2}], indirect=True, ids=["2 companies"])
@pytest.mark.parametrize("fleet", [{"service_accounts": ("default",)}], indirect=True, ids=["no account"])
def test_a_service_account_that_is_not_there_is_no_reason_to_wait(fleet):
    ended = fleet.run("--shape", "packed", "--pending-check-after", "0.5")
    assert ended.status == 3, ended.stderr
    assert fleet.reasons() == {"configuration": 2}
    assert "data-pipeline-worker" in ended.stderr


@pytest.mark.parametrize("world", [{"first_companies": 2}], indirect=True, ids=["2 companies"])
def test_two_lakes_in_one_namespace_share_no_job_and_two_addresses_of_one_lake_do(fleet):
    world = fleet.world
    link = world.lake.parent / "the-same-lake"
    world.lake.mkdir(exist_ok=True)
    link.symlink_to(world.lake)
    shape = ("--shape", "per-company")
    addresses = [str(world.lake), str(link), str(world.lake.parent / "another-lake")]
    started = [fleet.start(*shape, LAKE_URL=url) for url in addresses]
    ended = [(one.communicate(timeout=200)[1], one.returncode) for one in started]
    assert [status for _, status in ended] == [0, 0, 0], ended
    assert set(fleet.fetched().values()) == {2}, "once for each lake"
    assert not fleet.cluster.jobs()
    again = fleet.run(*shape)
    assert (again.status, again.fact["status"]) == (0, "already done"), again.stderr

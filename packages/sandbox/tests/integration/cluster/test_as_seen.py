"""What was seen on a real cluster and the documentation does not say; the words are those of Kubernetes 1.36."""

from __future__ import annotations

import pytest
from kubernetes.client import ApiException

from sandbox.cluster import Instant

SLEEP = "import time; time.sleep(600)"
EXIT = "import sys; sys.exit({})"
ONCE = {"backoffLimit": 0}


def conditions(pod):
    return {one["type"]: one["status"] for one in pod["status"]["conditions"]}


def container(pod, name="main"):
    return next(one for one in pod["status"]["containerStatuses"] if one["name"] == name)


def test_a_sidecar_is_sorted_before_the_container_and_keeps_the_pod_and_the_job(start):
    bench = start(sidecars=("a-proxy",))
    bench.create("a", EXIT.format(3), **ONCE)
    bench.until(lambda: bench.pods("a") and "terminated" in container(bench.pod("a")).get("state", {}))
    pod = bench.pod("a")
    assert [one["name"] for one in pod["status"]["containerStatuses"]] == ["a-proxy", "main"]
    assert (pod["status"]["phase"], conditions(pod)["Ready"]) == ("Running", "False")
    assert "running" in container(pod, "a-proxy")["state"]
    status = bench.status("a")
    assert (status["active"], status["ready"], status.get("failed")) == (1, 0, None)
    bench.core.delete_namespaced_pod(pod["metadata"]["name"], "etl")
    assert [reason for _, reason in bench.ended("a")] == ["BackoffLimitExceeded"] * 2
    assert bench.pods("a") == []


@pytest.mark.parametrize("code", [0, 3])
def test_an_ended_pod_is_counted_later_and_has_a_finalizer_until_then(start, code):
    bench = start(instant=Instant(code), count_seconds=0.3)
    bench.create("a", **ONCE)
    bench.until(lambda: bench.status("a").get("uncountedTerminatedPods"))
    status, word = bench.status("a"), "failed" if code else "succeeded"
    assert status["uncountedTerminatedPods"] == {word: [bench.pod("a")["metadata"]["uid"]]}
    assert (status["ready"], status.get("active"), status.get("failed"), status.get("succeeded")) == (0, *[None] * 3)
    assert bench.pod("a")["metadata"]["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    bench.ended("a")
    assert (bench.status("a")["uncountedTerminatedPods"], bench.status("a")[word]) == ({}, 1)
    assert len(bench.pods("a")) == 1
    assert "finalizers" not in bench.pod("a")["metadata"]


def test_an_evicted_pod_is_gone_once_it_is_counted_and_the_job_says_nothing(start):
    bench = start(retry_seconds=3600, retry_seconds_max=3600, instant=Instant(seconds=3600), count_seconds=0.1)
    ignore = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]}
    bench.create("a", podFailurePolicy=ignore)
    bench.until(lambda: bench.status("a").get("ready"))
    bench.cluster.disrupt(bench.pod("a")["metadata"]["name"], "tainted")
    bench.until(lambda: bench.pods("a") == [])
    status = bench.status("a")
    assert (status["ready"], status["terminating"]) == (0, 0)
    assert not {"active", "failed", "succeeded", "conditions"} & status.keys()
    assert len(bench.messages("SuccessfulCreate")) == 1


def test_a_pod_has_no_condition_until_the_scheduler_looks(start):
    bench = start(scheduler_seconds=0.3, instant=Instant(seconds=3600))
    bench.create("a")
    bench.until(lambda: bench.pods("a"))
    assert bench.pod("a")["status"] == {"phase": "Pending", "conditions": []}
    bench.until(lambda: bench.status("a").get("ready"))
    wanted = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    assert conditions(bench.pod("a")) == dict.fromkeys(wanted, "True")


@pytest.mark.parametrize(
    ("fault", "reason"), [("pod_sandbox", "FailedCreatePodSandBox"), ("volume_mount", "FailedMount")]
)
def test_only_events_say_what_container_creating_waits_for(endless, fault, reason):
    endless.cluster.fault(fault, count=1, seconds=0.3)
    endless.create("a")
    endless.until(lambda: endless.messages(reason))
    pod = endless.pod("a")
    assert container(pod)["state"] == {"waiting": {"reason": "ContainerCreating"}}
    assert reason not in str(pod["status"])
    endless.until(lambda: endless.status("a").get("ready"))


def test_a_pull_limit_passes(endless):
    endless.cluster.fault("pull_limit", count=1, seconds=0.3)
    endless.create("a")
    endless.until(lambda: any("toomanyrequests" in text for text in endless.messages("Failed")))
    assert container(endless.pod("a"))["state"]["waiting"]["reason"] == "ImagePullBackOff"
    endless.until(lambda: endless.status("a").get("ready"))


def test_a_program_that_does_not_exist_is_a_start_error(bench):
    bench.create("a", container={"command": ["no-such-program"]}, **ONCE)
    bench.ended("a")
    ended = container(bench.pod("a"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["startedAt"][:4]) == (128, "StartError", "1970")
    assert (bench.pod("a")["status"]["phase"], bench.status("a")["failed"]) == ("Failed", 1)


def test_a_container_killed_without_its_memory_is_an_error(bench):
    bench.cluster.fault("killed", count=1)
    bench.create("a", SLEEP, **ONCE)
    bench.ended("a")
    ended = container(bench.pod("a"))["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "Error")


REFUSED = [
    ({"minimum": {"memory": "32Mi"}}, "is forbidden: minimum memory usage per Container is 32Mi, but request is 16Mi"),
    ({"maximum": {"cpu": "8"}}, 'Invalid value: "9": must be less than or equal to cpu limit of 8'),
    ({"maximum": {"memory": "16Mi"}}, "maximum memory usage per Container is 16Mi, but limit is 1Gi"),
    ({"must_specify": ("limits.cpu",)}, "is forbidden: failed quota: stand-in: must specify limits.cpu for: main"),
    ({"denies": {"pods": "no owner"}}, 'admission webhook "policy.stand-in" denied the request: no owner'),
]


@pytest.mark.parametrize(("settings", "text"), REFUSED)
def test_a_pod_that_breaks_a_rule_is_an_event_of_its_job(start, settings, text):
    bench = start(instant=Instant(), **settings)
    resources = {"requests": {"cpu": "9", "memory": "16Mi"}, "limits": {"memory": "1Gi"}}
    bench.create("a", container={"resources": resources})
    bench.until(lambda: bench.messages("FailedCreate"))
    assert text in bench.messages("FailedCreate")[0]
    assert bench.pods("a") == []


def test_a_job_can_be_denied_by_a_webhook(start):
    bench = start(denies={"jobs": "no owner"})
    with pytest.raises(ApiException, match="denied the request: no owner") as refused:
        bench.create("a")
    assert refused.value.status == 403

"""The Job controller, held to what the documentation of Kubernetes says of it."""

from __future__ import annotations

import json
import time

import pytest
import urllib3

from sandbox.cluster import Instant

NAMESPACE = "etl"
EXIT = "import sys; sys.exit({})"
COMPLETE = [("SuccessCriteriaMet", "CompletionsReached"), ("Complete", "CompletionsReached")]


def failed(reason):
    return [("FailureTarget", reason), ("Failed", reason)]


def index_of(pod):
    return int(pod["metadata"]["annotations"]["batch.kubernetes.io/job-completion-index"])


def test_a_job_is_complete_when_its_pod_has_succeeded(bench):
    bench.create("a")
    assert bench.ended("a") == COMPLETE
    status = bench.status("a")
    assert (status["succeeded"], status.get("failed"), status["ready"], status["terminating"]) == (1, None, 0, 0)
    assert status["startTime"] <= status["completionTime"]
    pod = bench.pod("a")
    (owner,) = pod["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "a", bench.job("a")["metadata"]["uid"])
    labels = pod["metadata"]["labels"]
    assert labels["job-name"] == labels["batch.kubernetes.io/job-name"] == "a"
    assert labels["controller-uid"] == labels["batch.kubernetes.io/controller-uid"] == owner["uid"]
    assert len(pod["metadata"]["name"]) == len("a-") + 5


def test_as_many_pods_run_as_parallelism_says(endless):
    endless.create("a", parallelism=3, completions=8)
    endless.until(lambda: endless.status("a")["ready"] == 3)
    assert endless.status("a")["active"] == 3
    assert len(endless.pods("a")) == endless.cluster.peak_pods == 3


def test_all_completions_are_reached(instant):
    instant.create("a", parallelism=3, completions=8)
    assert instant.ended("a") == COMPLETE
    assert instant.status("a")["succeeded"] == len(instant.pods("a")) == 8
    assert instant.cluster.peak_pods <= 3


@pytest.mark.parametrize("limit", [0, 2])
def test_a_job_fails_when_its_retries_are_used_up(bench, limit):
    bench.create("a", EXIT.format(4), backoffLimit=limit)
    assert bench.ended("a") == failed("BackoffLimitExceeded")
    assert bench.status("a")["failed"] == len(bench.pods("a")) == limit + 1
    assert "completionTime" not in bench.status("a")


def test_retries_wait_longer_each_time(start):
    bench = start(retry_seconds=3600, instant=Instant(1))
    bench.create("a")
    bench.until(lambda: bench.status("a").get("failed") == 1)
    assert not bench.cluster.until(lambda: len(bench.pods("a")) > 1, 0.2)


def test_an_indexed_job_has_a_pod_for_each_index(bench):
    code = "import os; print(os.environ['JOB_COMPLETION_INDEX'])"
    bench.create("a", code, completions=4, parallelism=2, completionMode="Indexed")
    assert bench.ended("a") == COMPLETE
    assert (bench.status("a")["completedIndexes"], bench.status("a")["succeeded"]) == ("0-3", 4)
    for index, pod in enumerate(sorted(bench.pods("a"), key=index_of)):
        assert pod["metadata"]["labels"]["batch.kubernetes.io/job-completion-index"] == str(index)
        assert pod["metadata"]["name"].startswith(f"a-{index}-")
        assert bench.core.read_namespaced_pod_log(pod["metadata"]["name"], NAMESPACE) == f"{index}\n"


def test_a_bad_index_costs_the_others_nothing(start):
    bench = start(instant=lambda pod: Instant(int(index_of(pod) in {2, 5, 6})))
    more = {"completions": 8, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
    bench.create("a", **more)
    assert bench.ended("a") == failed("FailedIndexes")
    status = bench.status("a")
    assert (status["completedIndexes"], status["failedIndexes"]) == ("0,1,3,4,7", "2,5,6")
    assert (status["succeeded"], status["failed"]) == (5, 6)


def test_too_many_failed_indexes_end_the_job(start):
    bench = start(instant=lambda pod: Instant(int(index_of(pod) < 3), 0 if index_of(pod) < 3 else 3600))
    more = {"completions": 8, "parallelism": 8, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    bench.create("a", maxFailedIndexes=2, **more)
    assert bench.ended("a") == failed("MaxFailedIndexesExceeded")
    assert bench.status("a")["failedIndexes"] == "0-2"
    assert bench.status("a")["terminating"] == 0


def rules(*given):
    return {"rules": list(given)}


def on_exit(action, *values, operator="In"):
    return {"action": action, "onExitCodes": {"operator": operator, "values": list(values)}}


DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


def test_the_first_rule_that_fits_decides(bench):
    policy = rules(DISRUPTED, on_exit("Count", 4), on_exit("FailJob", 2, 3, 4))
    bench.create("a", EXIT.format(4), backoffLimit=1, podFailurePolicy=policy)
    bench.create("b", EXIT.format(3), backoffLimit=1, podFailurePolicy=policy)
    assert bench.ended("a") == failed("BackoffLimitExceeded")
    assert bench.ended("b") == failed("PodFailurePolicy")
    name = bench.pod("b")["metadata"]["name"]
    message = f"Container main for pod etl/{name} failed with exit code 3 matching FailJob rule at index 2"
    assert {one["message"] for one in bench.status("b")["conditions"]} == {message}


def test_not_in_means_every_other_failure(bench):
    policy = rules(on_exit("FailJob", 4, operator="NotIn"))
    bench.create("a", EXIT.format(1), podFailurePolicy=policy)
    bench.create("b", EXIT.format(4), podFailurePolicy=policy, backoffLimit=0)
    assert bench.ended("a") == failed("PodFailurePolicy")
    assert bench.ended("b") == failed("BackoffLimitExceeded")


def test_an_index_can_fail_at_once(start):
    bench = start(instant=lambda pod: Instant(3 if index_of(pod) == 1 else 0))
    more = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 5}
    bench.create("a", podFailurePolicy=rules(on_exit("FailIndex", 3)), **more)
    assert bench.ended("a") == failed("FailedIndexes")
    assert len(bench.pods("a")) == 3


def test_an_ignored_disruption_is_no_failure(endless):
    endless.create("a", podFailurePolicy=rules(DISRUPTED), backoffLimit=0)
    endless.until(lambda: endless.status("a").get("ready"))
    first = endless.pod("a")["metadata"]["name"]
    endless.cluster.disrupt(first)
    endless.until(lambda: endless.status("a").get("ready") and endless.pod("a")["metadata"]["name"] != first)
    assert endless.status("a").get("failed") is None


def test_without_a_rule_a_disruption_uses_up_a_retry(endless):
    endless.create("a", backoffLimit=0)
    endless.until(lambda: endless.status("a").get("ready"))
    endless.cluster.disrupt(endless.pod("a")["metadata"]["name"])
    assert endless.ended("a") == failed("BackoffLimitExceeded")


STUBBORN = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"


def test_a_successor_waits_for_the_end_of_its_predecessor(bench):
    bench.create("a", STUBBORN, podReplacementPolicy="Failed", pod={"terminationGracePeriodSeconds": 600})
    bench.says("a", "up")
    bench.core.delete_namespaced_pod(bench.pod("a")["metadata"]["name"], NAMESPACE)
    assert bench.status("a")["terminating"] == 1
    assert not bench.cluster.until(lambda: len(bench.pods("a")) == 2, 0.3)
    assert bench.status("a").get("failed") is None


def test_a_deadline_ends_all_pods_first_and_the_job_after_them(bench):
    bench.create("a", STUBBORN, activeDeadlineSeconds=1, pod={"terminationGracePeriodSeconds": 1})
    bench.until(lambda: bench.status("a").get("conditions"))
    assert [one["type"] for one in bench.status("a")["conditions"]] == ["FailureTarget"]
    assert bench.status("a")["terminating"] == 1
    assert bench.ended("a") == failed("DeadlineExceeded")
    assert bench.status("a")["failed"] == 1


def test_a_finished_job_goes_with_its_pods_after_its_time_to_live(instant):
    instant.create("a", ttlSecondsAfterFinished=0)
    instant.create("b", ttlSecondsAfterFinished=3600)
    instant.until(lambda: instant.job("a") is None)
    assert instant.pods("a") == []
    assert instant.ended("b") == COMPLETE


def test_a_suspended_job_has_no_pods(endless):
    endless.create("a", suspend=True)
    assert [one["type"] for one in endless.status("a")["conditions"]] == ["Suspended"]
    assert "startTime" not in endless.status("a")
    assert not endless.cluster.until(lambda: endless.pods("a"), 0.2)


def test_a_missing_service_account_is_an_event(instant):
    instant.create("a", pod={"serviceAccountName": "worker"})
    instant.until(lambda: instant.messages("FailedCreate"))
    assert 'serviceaccount "worker" not found' in instant.messages("FailedCreate")[0]
    assert instant.pods("a") == []


def test_a_job_over_the_quota_of_pods_waits_with_events_and_without_a_condition(start):
    bench = start(instant=Instant(seconds=3600), quota_pods=1)
    bench.create("a")
    bench.until(lambda: bench.status("a").get("ready"))
    bench.create("b")
    bench.until(lambda: bench.messages("FailedCreate"))
    assert (
        "is forbidden: exceeded quota: stand-in, requested: pods=1, used: pods=1" in bench.messages("FailedCreate")[0]
    )
    assert "conditions" not in bench.status("b")
    bench.delete("a")
    bench.until(lambda: bench.status("b").get("ready"))


def test_a_finished_pod_can_be_deleted_and_is_still_counted(bench):
    bench.create("a")
    bench.ended("a")
    bench.core.delete_namespaced_pod(bench.pod("a")["metadata"]["name"], NAMESPACE)
    assert bench.pods("a") == []
    assert bench.status("a")["succeeded"] == 1


def test_many_jobs_are_listed_in_pages_while_they_end(instant):
    for number in range(300):
        instant.create(f"j{number:03}", labels={"run": "1"})
    instant.until(lambda: all(job["status"].get("completionTime") for job in instant.cluster.jobs()))
    found, token = [], None
    for _ in range(4):
        page = instant.batch.list_namespaced_job(NAMESPACE, label_selector="run=1", limit=100, _continue=token)
        found += page.items
        token = page.metadata._continue
        if not token:
            break
    assert len(found) == 300


@pytest.mark.long
def test_ten_thousand_jobs_take_a_time_that_grows_with_their_number_only(instant):
    def seconds(first, last):
        begun = time.monotonic()
        for number in range(first, last):
            body = json.dumps(instant.body(f"j{number:05}", ttlSecondsAfterFinished=3600))
            answer = pool.request("POST", f"{instant.cluster.url}/apis/batch/v1/namespaces/{NAMESPACE}/jobs", body=body)
            assert answer.status == 201
        return time.monotonic() - begun

    pool = urllib3.PoolManager()
    early = seconds(0, 2_500)
    seconds(2_500, 7_500)
    late = seconds(7_500, 10_000)
    assert late < 4 * early
    instant.until(lambda: not any(pod["status"]["phase"] == "Pending" for pod in instant.cluster.pods()))
    query = f"{instant.cluster.url}/apis/batch/v1/namespaces/{NAMESPACE}/jobs?limit=500"
    found, token = 0, ""
    for _ in range(21):
        page = pool.request("GET", f"{query}&continue={token}").json()
        found += sum("completionTime" in job["status"] for job in page["items"])
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert found == 10_000

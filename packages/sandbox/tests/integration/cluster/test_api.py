"""The API as the official client meets it: objects, lists, deletions, refusals, faults."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import urllib3
from kubernetes.client.exceptions import ApiException

NAMESPACE = "etl"


def refused(call: Any, *args: Any, **options: Any) -> tuple[int, str, str]:
    """Code, reason and message of the Status that a call gets."""
    with pytest.raises(ApiException) as caught:
        call(*args, **options)
    status = json.loads(caught.value.body or "")
    assert (status["kind"], status["apiVersion"], status["status"]) == ("Status", "v1", "Failure")
    assert status["code"] == caught.value.status
    return status["code"], status["reason"], status["message"]


def ask(bench, method, path, body=None, **headers):
    address = urlsplit(bench.cluster.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def test_a_created_job_comes_back_with_what_the_server_adds(endless):
    created = endless.create("a")
    job = endless.batch.read_namespaced_job("a", NAMESPACE)
    assert (job.metadata.uid, job.kind, job.api_version) == (created.metadata.uid, "Job", "batch/v1")
    assert job.metadata.creation_timestamp.tzinfo is not None
    assert (job.spec.parallelism, job.spec.completions, job.spec.backoff_limit) == (1, 1, 6)
    assert (job.spec.completion_mode, job.spec.suspend) == ("NonIndexed", False)
    assert job.spec.template.spec.termination_grace_period_seconds == 30
    labels = job.spec.template.metadata.labels
    assert (labels["batch.kubernetes.io/job-name"], labels["app.kubernetes.io/name"]) == ("a", "py")


def test_stored_objects_have_the_shape_that_kubernetes_publishes(start):
    bench = start()
    bench.create("a", "import sys; sys.exit(3)", backoffLimit=0, completions=2, parallelism=2, completionMode="Indexed")
    bench.ended("a")
    (job,) = bench.cluster.jobs()
    bench.create("b", pod={"serviceAccountName": "nobody"})
    bench.until(lambda: bench.messages("FailedCreate"))
    kubernetes_validate.validate({"kind": "Job", "apiVersion": "batch/v1", **job}, "1.31", strict=True)
    for pod in bench.cluster.pods():
        kubernetes_validate.validate({"kind": "Pod", "apiVersion": "v1", **pod}, "1.31", strict=True)
    for path, kind in (("pods", "PodList"), ("events", "EventList")):
        found = json.loads(ask(bench, "GET", f"/api/v1/namespaces/etl/{path}")[2])
        assert found["kind"] == kind
        assert found["items"]
        assert "kind" not in found["items"][0]  # as in earnest: only the list has one


def test_a_dry_run_checks_everything_and_stores_nothing(endless):
    body = endless.body("a")
    made = endless.batch.create_namespaced_job(NAMESPACE, body, dry_run="All")
    assert made.metadata.uid
    assert endless.cluster.jobs() == []
    code, reason, _ = refused(endless.batch.create_namespaced_job, NAMESPACE, endless.body("A"), dry_run="All")
    assert (code, reason) == (422, "Invalid")
    endless.create("a")
    assert refused(endless.batch.create_namespaced_job, NAMESPACE, body, dry_run="All")[:2] == (409, "AlreadyExists")


JOBS = "/apis/batch/v1/namespaces/etl/jobs"


def test_an_unknown_field_is_refused_with_its_place(endless):
    body = endless.body("a", backofLimit=3, container={"comand": ["x"]})
    status, _, answer = ask(endless, "POST", f"{JOBS}?fieldValidation=Strict", body)
    told = json.loads(answer)
    assert (status, told["reason"]) == (400, "BadRequest")
    assert 'unknown field "spec.backofLimit"' in told["message"]
    assert 'unknown field "spec.template.spec.containers[0].comand"' in told["message"]
    assert endless.cluster.jobs() == []


def test_a_name_is_taken_until_its_job_is_gone(endless):
    first = endless.create("a")
    code, reason, message = refused(endless.create, "a")
    assert (code, reason, message) == (409, "AlreadyExists", 'jobs.batch "a" already exists')
    endless.delete("a")
    assert endless.create("a").metadata.uid != first.metadata.uid


def test_lists_are_selected_by_labels(endless):
    for name, run in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "3")):
        endless.create(name, labels={"run": run, name: ""})
    endless.create("e")
    for selector, expected in (
        ("run=1", "ab"),
        ("run==1,a", "a"),
        ("run in (1, 3)", "abd"),
        ("run,c", "c"),
        ("run in (1,2),b", "b"),
        ("", "abcde"),
    ):
        found = endless.batch.list_namespaced_job(NAMESPACE, label_selector=selector).items
        assert "".join(job.metadata.name for job in found) == expected, selector
    for selector in ("run in 1", "run!=1", "!run"):
        assert refused(endless.batch.list_namespaced_job, NAMESPACE, label_selector=selector)[0] == 400
    assert refused(endless.batch.list_namespaced_job, NAMESPACE, field_selector="metadata.name=c")[0] == 400


def test_events_are_selected_by_what_they_are_about(start):
    bench = start(service_accounts=())
    for name in "ab":
        bench.create(name)
    bench.until(lambda: len(bench.messages("FailedCreate")) >= 2)
    found = bench.core.list_namespaced_event(NAMESPACE, field_selector="involvedObject.name=b").items
    assert {event.involved_object.name for event in found} == {"b"}


def test_pages_go_on_where_the_last_one_ended_whatever_has_gone_or_come(endless):
    for number in range(7):
        endless.create(f"j{number}", suspend=True)
    page = endless.batch.list_namespaced_job(NAMESPACE, limit=3)
    names = [job.metadata.name for job in page.items]
    endless.delete("j2")
    endless.delete("j5")
    endless.create("j9", suspend=True)
    while page.metadata._continue:
        page = endless.batch.list_namespaced_job(NAMESPACE, limit=3, _continue=page.metadata._continue)
        names += [job.metadata.name for job in page.items]
    assert names == ["j0", "j1", "j2", "j3", "j4", "j6", "j9"]


def test_a_token_that_is_too_old_is_gone(start):
    bench = start(continue_seconds=0)
    for name in "ab":
        bench.create(name, suspend=True)
    page = bench.batch.list_namespaced_job(NAMESPACE, limit=1)
    asked = {"limit": 1, "_continue": page.metadata._continue}
    assert refused(bench.batch.list_namespaced_job, NAMESPACE, **asked)[:2] == (410, "Expired")


def test_background_deletion_takes_the_pods_after_the_job(bench):
    bench.create("a", "import time; print('up', flush=True); time.sleep(600)")
    bench.says("a", "up")
    bench.delete("a")
    assert bench.job("a") is None
    bench.until(lambda: bench.pods("a") == [])


def test_a_deletion_that_would_leave_pods_behind_is_refused(endless):
    endless.create("a")
    for policy in (None, "Orphan"):
        options = {"propagation_policy": policy} if policy else {}
        assert refused(endless.batch.delete_namespaced_job, "a", NAMESPACE, **options)[0] == 405
    assert endless.job("a")
    body = {"propagationPolicy": "Background"}
    endless.batch.delete_namespaced_job("a", NAMESPACE, body=body)
    assert endless.job("a") is None


def test_a_collection_is_deleted_by_label(endless):
    for name in "abc":
        endless.create(name, labels={"run": "2" if name == "c" else "1"})
    endless.batch.delete_collection_namespaced_job(NAMESPACE, label_selector="run=1", propagation_policy="Background")
    endless.until(lambda: len(endless.cluster.pods()) == 1)
    assert [job["metadata"]["name"] for job in endless.cluster.jobs()] == ["c"]
    endless.core.delete_collection_namespaced_pod(NAMESPACE, label_selector="job-name=none")
    (pod,) = endless.cluster.pods()
    endless.core.delete_collection_namespaced_pod(NAMESPACE, label_selector="batch.kubernetes.io/job-name in (c)")
    endless.until(lambda: pod["metadata"]["name"] not in [one["metadata"]["name"] for one in endless.cluster.pods()])


def test_what_is_not_there_is_not_found(endless):
    assert refused(endless.batch.read_namespaced_job, "a", NAMESPACE) == (404, "NotFound", 'jobs.batch "a" not found')
    assert refused(endless.core.read_namespaced_pod_log, "a", NAMESPACE)[2] == 'pods "a" not found'
    assert refused(endless.core.list_node)[0] == 404
    assert refused(endless.core.create_namespaced_pod, NAMESPACE, {"metadata": {"name": "a"}})[0] == 405
    assert refused(endless.batch.list_namespaced_job, NAMESPACE, watch=True)[0] == 405


def test_a_full_quota_is_a_403_and_can_be_read(start):
    bench = start(quota_jobs=1, quota_pods=5)
    bench.create("a", suspend=True)
    code, reason, message = refused(bench.create, "b")
    assert (code, reason) == (403, "Forbidden")
    assert "exceeded quota: stand-in, requested: count/jobs.batch=1, used: count/jobs.batch=1, limited" in message
    (quota,) = bench.core.list_namespaced_resource_quota(NAMESPACE).items
    assert quota.status.hard == {"count/jobs.batch": "1", "pods": "5"}
    assert quota.status.used == {"count/jobs.batch": "1", "pods": "0"}


def test_a_right_that_is_denied_is_a_403_and_a_review_says_so(start):
    bench = start(denied=("create jobs", "get pods/log"))
    code, reason, message = refused(bench.create, "a")
    assert (code, reason) == (403, "Forbidden")
    assert 'User "stand-in" cannot create jobs in "etl"' in message
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for verb, resource, sub, allowed in (
        ("create", "jobs", "", False),
        ("list", "jobs", "", True),
        ("get", "pods", "log", False),
    ):
        asked = {"verb": verb, "resource": resource, "subresource": sub, "group": "batch", "namespace": NAMESPACE}
        body = {"kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": asked}}
        status, _, answer = ask(bench, "POST", path, body)
        assert (status, json.loads(answer)["status"]["allowed"]) == (201, allowed)


def test_config_maps_and_secrets_are_those_of_the_settings(start):
    bench = start(config_maps={"c": {"A": "1"}}, secrets={"s": {"KEY": "ü"}})
    assert bench.core.read_namespaced_config_map("c", NAMESPACE).data == {"A": "1"}
    assert bench.core.read_namespaced_secret("s", NAMESPACE).data == {"KEY": "w7w="}
    assert [one.metadata.name for one in bench.core.list_namespaced_service_account(NAMESPACE).items] == ["default"]
    assert refused(bench.core.read_namespaced_service_account, "other", NAMESPACE)[0] == 404


def test_it_says_its_version(start):
    status, _, answer = ask(start(minor_version=33), "GET", "/version")
    assert (status, json.loads(answer)["minor"]) == (200, "33")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("http_409", 409, "Conflict"),
        ("http_410", 410, "Expired"),
        ("http_429", 429, "TooManyRequests"),
        ("http_500", 500, "InternalError"),
        ("http_503", 503, "ServiceUnavailable"),
        ("quota_403", 403, "Forbidden"),
    ],
)
def test_a_fault_refuses_and_does_nothing(endless, name, code, reason):
    endless.cluster.fault(name, count=1, match="create jobs", retry_after=7)
    with pytest.raises(ApiException) as caught:
        endless.create("a")
    assert (caught.value.status, json.loads(caught.value.body or "")["reason"]) == (code, reason)
    assert (caught.value.headers or {}).get("Retry-After") == ("7" if code == 429 else None)
    assert endless.cluster.jobs() == []
    endless.create("a")
    assert endless.cluster.faults()[0]["fired"] == 1


def test_a_reset_happens_before_anything_is_done_and_a_lost_answer_after(endless):
    for name, done in (("reset", False), ("lost_answer", True)):
        endless.cluster.fault(name, count=1, match=f"create jobs POST {JOBS}")
        with pytest.raises(urllib3.exceptions.HTTPError):
            endless.create("a")
        assert (endless.job("a") is not None) == done
    endless.cluster.fault("reset")
    endless.cluster.clear_faults()
    assert refused(endless.create, "a")[:2] == (409, "AlreadyExists")


def test_a_fault_can_be_meant_for_one_object(endless):
    endless.cluster.fault("http_500", match="/jobs?fieldValidation=Strict b")
    endless.create("a")
    assert refused(endless.create, "b")[0] == 500
    with pytest.raises(ValueError, match="no fault 'rain'"):
        endless.cluster.fault("rain")


def test_requests_are_counted_by_verb_and_resource(endless):
    endless.create("a")
    endless.batch.list_namespaced_job(NAMESPACE)
    endless.core.list_namespaced_pod(NAMESPACE)
    endless.until(lambda: "running" in endless.state("a"))
    endless.log("a")
    endless.delete("a")
    expected = {"create jobs": 1, "list jobs": 1, "list pods": 1, "get pods/log": 1, "delete jobs": 1}
    assert endless.cluster.calls == expected

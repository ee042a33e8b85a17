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
    created = endless.create("a", container={"image": "etl@sha256:00"})
    job = endless.batch.read_namespaced_job("a", NAMESPACE)
    assert (job.metadata.uid, job.kind, job.api_version) == (created.metadata.uid, "Job", "batch/v1")
    assert job.metadata.resource_version
    assert job.metadata.creation_timestamp.tzinfo is not None
    assert (job.spec.parallelism, job.spec.completions, job.spec.backoff_limit) == (1, 1, 6)
    assert (job.spec.completion_mode, job.spec.pod_replacement_policy) == ("NonIndexed", "TerminatingOrFailed")
    assert job.spec.selector.match_labels == {"batch.kubernetes.io/controller-uid": job.metadata.uid}
    assert job.spec.template.metadata.labels["batch.kubernetes.io/job-name"] == "a"
    container = job.spec.template.spec.containers[0]
    assert (container.image_pull_policy, container.termination_message_path) == ("IfNotPresent", "/dev/termination-log")


def test_stored_objects_have_the_shape_that_kubernetes_publishes(start):
    bench = start()
    bench.create("a", "import sys; sys.exit(3)", backoffLimit=0, completions=2, parallelism=2, completionMode="Indexed")
    bench.ended("a")
    (job,) = bench.cluster.jobs()
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
    endless.delete("a", dry_run="All")
    assert endless.job("a")


# The client looks at bodies itself; these are sent past it.
JOBS = "/apis/batch/v1/namespaces/etl/jobs"


def test_an_unknown_field_is_refused_strictly_warned_of_or_dropped(endless):
    body = endless.body("a", backofLimit=3, container={"comand": ["x"]})
    status, _, answer = ask(endless, "POST", f"{JOBS}?fieldValidation=Strict", body)
    told = json.loads(answer)
    assert (status, told["reason"]) == (400, "BadRequest")
    assert 'unknown field "spec.backofLimit"' in told["message"]
    assert 'unknown field "spec.template.spec.containers[0].comand"' in told["message"]
    status, headers, _ = ask(endless, "POST", JOBS, body)
    assert status == 201
    assert len(headers.get_all("Warning")) == 2
    assert "backofLimit" not in endless.job("a")["spec"]
    body["metadata"]["name"] = "b"
    assert ask(endless, "POST", f"{JOBS}?fieldValidation=Ignore", body)[1].get_all("Warning") is None


def test_a_field_of_the_wrong_type_is_refused_in_any_case(endless):
    wrong: list[dict[str, Any]] = [{"parallelism": "1"}, {"suspend": 1}, {"backoffLimit": True}]
    for more in [*wrong, {"pod": {"containers": {}}}]:
        status, _, answer = ask(endless, "POST", JOBS, endless.body("a", **more))
        assert (status, json.loads(answer)["reason"]) == (400, "BadRequest")
        assert "cannot unmarshal" in json.loads(answer)["message"]


def test_a_name_is_taken_until_its_job_is_gone(endless):
    first = endless.create("a")
    code, reason, message = refused(endless.create, "a")
    assert (code, reason, message) == (409, "AlreadyExists", 'jobs.batch "a" already exists')
    endless.delete("a", propagation_policy="Background")
    assert endless.create("a").metadata.uid != first.metadata.uid


def test_lists_are_selected_by_labels(endless):
    for name, run in (("a", "1"), ("b", "1"), ("c", "2"), ("d", "3")):
        endless.create(name, labels={"run": run, name: ""})
    endless.create("e")
    for selector, expected in (
        ("run=1", "ab"),
        ("run==1,a", "a"),
        ("run!=1", "cde"),
        ("run in (1, 3)", "abd"),
        ("run notin (1,3),run", "c"),
        ("!run", "e"),
        ("run in (1),!b", "a"),
        ("", "abcde"),
    ):
        found = endless.batch.list_namespaced_job(NAMESPACE, label_selector=selector).items
        assert "".join(job.metadata.name for job in found) == expected, selector
    assert refused(endless.batch.list_namespaced_job, NAMESPACE, label_selector="run in 1")[0] == 400
    found = endless.batch.list_job_for_all_namespaces(field_selector="metadata.name=c").items
    assert [job.metadata.name for job in found] == ["c"]


def test_pages_are_of_one_snapshot(endless):
    for number in range(7):
        endless.create(f"j{number}", suspend=True)
    page = endless.batch.list_namespaced_job(NAMESPACE, limit=3)
    assert page.metadata.remaining_item_count == 4
    endless.delete("j5", propagation_policy="Background")
    endless.create("j9", suspend=True)
    names, versions = [job.metadata.name for job in page.items], {page.metadata.resource_version}
    for _ in range(2):
        page = endless.batch.list_namespaced_job(NAMESPACE, limit=3, _continue=page.metadata._continue)
        names += [job.metadata.name for job in page.items]
        versions.add(page.metadata.resource_version)
    assert names == [f"j{number}" for number in range(7)]
    assert len(versions) == 1
    assert not page.metadata._continue


def test_a_token_that_is_too_old_is_gone(start):
    bench = start(continue_seconds=0)
    for name in "ab":
        bench.create(name, suspend=True)
    page = bench.batch.list_namespaced_job(NAMESPACE, limit=1)
    asked = {"limit": 1, "_continue": page.metadata._continue}
    assert refused(bench.batch.list_namespaced_job, NAMESPACE, **asked)[:2] == (410, "Expired")
    assert refused(bench.batch.list_namespaced_job, NAMESPACE, limit=1, _continue="x")[0] == 400


def test_background_deletion_takes_the_pods_after_the_job(bench):
    bench.create("a", "import time; print('up', flush=True); time.sleep(600)")
    bench.says("a", "up")
    status, _, answer = ask(bench, "DELETE", f"{JOBS}/a?propagationPolicy=Background")
    assert (status, json.loads(answer)["status"]) == (200, "Success")
    assert bench.job("a") is None
    bench.until(lambda: bench.pods("a") == [])


def test_foreground_deletion_keeps_the_job_until_its_pods_are_gone(bench):
    code = "import signal,time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    bench.create("a", code, pod={"terminationGracePeriodSeconds": 600})
    bench.says("a", "up")
    bench.delete("a", propagation_policy="Foreground")
    assert bench.job("a")["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert bench.pod("a")["metadata"]["deletionTimestamp"]
    status, reason, message = refused(bench.create, "a")
    assert (status, reason) == (409, "AlreadyExists")
    assert message.startswith("object is being deleted")
    bench.core.delete_namespaced_pod(bench.pod("a")["metadata"]["name"], NAMESPACE, grace_period_seconds=1)
    bench.until(lambda: bench.job("a") is None)
    assert bench.pods("a") == []


def test_orphans_live_on_and_that_is_the_default_of_this_version(endless):
    for name, options in (("a", {"propagation_policy": "Orphan"}), ("b", {})):
        endless.create(name)
        endless.until(lambda name=name: "running" in endless.state(name))
        endless.delete(name, **options)
        assert endless.job(name) is None
        assert "ownerReferences" not in endless.pod(name)["metadata"]
        assert endless.pod(name)["status"]["phase"] == "Running"
    endless.create("c")
    headers = ask(endless, "DELETE", f"{JOBS}/c")[1]
    assert "child pods are preserved by default" in headers["Warning"]


def test_a_collection_is_deleted_by_label(endless):
    for name in "abc":
        endless.create(name, labels={"run": "2" if name == "c" else "1"})
    endless.batch.delete_collection_namespaced_job(NAMESPACE, label_selector="run=1", propagation_policy="Background")
    endless.until(lambda: len(endless.cluster.pods()) == 1)
    assert [job["metadata"]["name"] for job in endless.cluster.jobs()] == ["c"]


def test_a_deletion_can_be_meant_for_one_uid_only(endless):
    endless.create("a")
    body = {"preconditions": {"uid": "another"}, "propagationPolicy": "Background"}
    assert refused(endless.batch.delete_namespaced_job, "a", NAMESPACE, body=body)[:2] == (409, "Conflict")
    body["preconditions"] = {"uid": endless.job("a")["metadata"]["uid"]}
    endless.delete("a", body=body)
    assert endless.job("a") is None


def test_what_is_not_there_is_not_found(endless):
    assert refused(endless.batch.read_namespaced_job, "a", NAMESPACE) == (404, "NotFound", 'jobs.batch "a" not found')
    assert refused(endless.core.read_namespaced_pod_log, "a", NAMESPACE)[2] == 'pods "a" not found'
    assert refused(endless.batch.create_namespaced_job, "nowhere", endless.body("a"))[0] == 404
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
    assert 'cannot create resource "jobs" in API group "batch" in the namespace "etl"' in message
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


def test_config_maps_and_secrets_are_created_and_read(endless):
    endless.core.create_namespaced_secret(NAMESPACE, {"metadata": {"name": "s"}, "stringData": {"KEY": "ü"}})
    assert endless.core.read_namespaced_secret("s", NAMESPACE).data == {"KEY": "w7w="}
    endless.core.create_namespaced_config_map(NAMESPACE, {"metadata": {"name": "c"}, "data": {"A": "1"}})
    assert endless.core.read_namespaced_config_map("c", NAMESPACE).data == {"A": "1"}
    assert endless.core.read_namespaced_service_account("default", NAMESPACE).metadata.name == "default"
    assert refused(endless.core.read_namespaced_service_account, "other", NAMESPACE)[0] == 404


def test_it_says_its_version_and_that_it_is_ready(start):
    bench = start(minor_version=33)
    status, _, answer = ask(bench, "GET", "/version")
    assert (status, json.loads(answer)["minor"]) == (200, "33")
    assert ask(bench, "GET", "/readyz")[::2] == (200, b"ok")


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
    endless.delete("a", propagation_policy="Background")
    expected = {"create jobs": 1, "list jobs": 1, "list pods": 1, "get pods/log": 1, "delete jobs": 1}
    assert endless.cluster.calls == expected


def test_a_body_that_is_no_json_object_is_a_bad_request(endless):
    for body in ("[1]", "{"):
        address = f"{endless.cluster.url}{JOBS}"
        assert urllib3.request("POST", address, body=body).status == 400

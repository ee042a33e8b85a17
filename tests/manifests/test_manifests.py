"""k8s/: valid for every Kubernetes we support, and agreeing with the code it is for."""

import ipaddress
import json
import re

import pytest
import yaml

from data_pipeline.fan_out.cluster_checks import RIGHTS
from data_pipeline.fan_out.specs import PodOptions, labels_of
from data_pipeline.open_payments.ledger.documents import Release
from data_pipeline.settings import Settings
from etl_core.kube.client import Cluster
from etl_core.kube.jobs import JobSpec, job_body
from etl_core.retry import Retry, RetryPolicy
from tools import k8s_check, k8s_examples
from tools.k8s_check import ROOT, SUPPORTED

FILES = list(k8s_check.whole_files(ROOT))
OBJECTS = [one for path in FILES for one in k8s_check.documents(path.read_text()) if path.parent.name == "base"]


def objects(kind, among=OBJECTS):
    return {one["metadata"]["name"]: one for one in among if one["kind"] == kind}


def rendered(name):
    try:
        return k8s_check.documents(k8s_check.rendered(ROOT / "k8s" / name))
    except k8s_check.SkippedError as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_passes_the_strict_schemas(path, version):
    found = [k8s_check.schema_faults(one, version) for one in k8s_check.documents(path.read_text())]

    assert found
    assert [fault for faults in found for fault in faults] == []


def test_an_invented_field_is_noticed():
    (path,) = [path for path in FILES if path.name == "priorityclass.yaml"]
    (document,) = k8s_check.documents(path.read_text())
    document["preemptionPolice"] = "Never"

    (fault,) = k8s_check.schema_faults(document, SUPPORTED[0])

    assert "preemptionPolice" in fault


@pytest.mark.parametrize("name", k8s_check.RENDERED)
def test_what_kustomize_makes_passes_them_too(name):
    found = rendered(name)

    assert len(found) > 10
    assert [fault for one in found for version in SUPPORTED for fault in k8s_check.schema_faults(one, version)] == []


@pytest.mark.parametrize("name", ["overlays/local", "overlays/eks"])
def test_an_overlay_s_workers_have_the_image_of_its_submitter(name):
    cron = objects("CronJob", rendered(name))["data-pipeline-newest-year"]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert container["image"] != k8s_examples.IMAGE
    assert container["env"] == [{"name": "IMAGE", "value": container["image"]}]
    assert container["args"][container["args"].index("--image") + 1] == "$(IMAGE)"


def test_eks_has_the_image_by_digest_a_role_per_account_and_lets_the_cron_job_go():
    found = rendered("overlays/eks")
    cron = objects("CronJob", found)["data-pipeline-newest-year"]["spec"]
    pod = cron["jobTemplate"]["spec"]["template"]["spec"]
    accounts = objects("ServiceAccount", found)

    assert re.search(r"@sha256:[0-9a-f]{64}$", pod["containers"][0]["image"])
    assert cron["suspend"] is False
    assert pod["nodeSelector"]["capacity"] == "steady"
    assert pod["tolerations"]
    roles = {one["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] for one in accounts.values()}
    assert len(roles) == len(accounts)


@pytest.mark.parametrize("name", ["overlays/local", "overlays/eks"])
def test_every_object_of_an_overlay_lies_in_the_namespace(name):
    apart = {"Namespace", "PriorityClass"}
    found = rendered(name)

    assert {one["metadata"]["namespace"] for one in found if one["kind"] not in apart} == {"data-pipeline"}
    assert {one["metadata"]["labels"]["app.kubernetes.io/part-of"] for one in found} == {"openpayments"}


def test_the_namespace_refuses_pods_that_are_not_hardened():
    (namespace,) = objects("Namespace").values()

    assert {namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{one}"] for one in MODES} == {"restricted"}


MODES = ("enforce", "audit", "warn")


def test_a_failed_monday_is_still_there_to_be_looked_at():
    (cron,) = objects("CronJob").values()

    assert cron["spec"]["failedJobsHistoryLimit"] > 0
    assert "ttlSecondsAfterFinished" not in cron["spec"]["jobTemplate"]["spec"]


def test_every_account_that_a_pod_names_exists_and_none_mounts_a_token_unasked():
    accounts = objects("ServiceAccount")

    assert set(accounts) == {*k8s_examples.ACCOUNTS.values(), k8s_examples.OTHERS}
    assert PodOptions(image="x").service_account in accounts
    assert {one["automountServiceAccountToken"] for one in accounts.values()} == {False}


def test_every_service_account_has_a_role_of_its_own_in_terraform():
    roles = json.loads((ROOT / "terraform/modules/identity/policies/roles.json").read_text())
    trusted = [role["trust"] for role in roles.values() if role["trust"].startswith("data-pipeline-")]

    assert sorted(trusted) == sorted(objects("ServiceAccount"))


class Recorder:
    """A pool that answers everything with an empty list and keeps what was asked."""

    def __init__(self):
        self.asked = []

    def request(self, method, url, **_):
        self.asked.append((method, url.split("?")[0].removeprefix("https://cluster/")))
        return Answer()


class Answer:
    status = 200
    data = b'{"items": [], "metadata": {}}'
    headers: dict[str, str] = {}  # noqa: RUF012 - urllib3's name


def verb_and_resource(method, path):
    """As the API server's authorization names a request."""
    match = re.fullmatch(r"apis?/(?:([a-z]+)/)?v1/namespaces/[^/]+/(.*)", path)
    assert match is not None
    group, rest = match.groups()
    resource, _, name = rest.partition("/")
    if name.endswith("/log"):
        return "get", "", "pods/log"
    verb = {"POST": "create", "GET": "get" if name else "list", "DELETE": "delete" if name else "deletecollection"}
    return verb[method], group or "", resource


def allowed_to_the_submitter():
    (role,) = objects("Role").values()
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_role_of_the_submitter_allows_every_call_it_makes():
    pool = Recorder()
    cluster = Cluster("https://cluster", "data-pipeline", pool=pool, retry=Retry(RetryPolicy(attempts=1)))  # type: ignore[arg-type]
    cluster.create_job(job_body(JobSpec("a", {}, "image", (), "account")))
    cluster.job("a")
    list(cluster.jobs("a=b"))
    list(cluster.pods("a=b"))
    cluster.events("a")
    cluster.delete_job("a")
    cluster.delete_jobs("a=b")
    cluster.delete_pods("a=b")

    assert len(pool.asked) == 8
    assert {verb_and_resource(*one) for one in pool.asked} <= allowed_to_the_submitter()


def test_the_role_of_the_submitter_has_what_the_doctor_asks_for():
    assert set(RIGHTS) <= allowed_to_the_submitter()


def test_nobody_is_allowed_everything_and_the_workers_nothing():
    assert "*" not in {word for one in allowed_to_the_submitter() for word in one}
    (binding,) = objects("RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["data-pipeline-fan-out"]
    assert objects("ClusterRole") == objects("ClusterRoleBinding") == {}


def test_settings_are_settings_of_ours_or_of_boto3():
    known = {name.upper() for name in Settings.model_fields}
    patches = [yaml.safe_load((ROOT / "k8s/overlays" / one / "settings.yaml").read_text()) for one in ("local", "eks")]

    for document in [*objects("ConfigMap").values(), *patches]:
        names = set(document["data"])
        assert {name for name in names - known if not name.startswith("AWS_")} == set()
        ours = {name: value for name, value in document["data"].items() if name in known}
        Settings.from_mapping(ours)
    # Nothing secret may stand in a ConfigMap.
    assert all("KEY" not in name and "TOKEN" not in name for one in patches for name in one["data"])


def labels_of_workers():
    release = Release(
        dataset="general-payments",
        year=2024,
        dataset_id="e6b17c6a",
        distribution_id="9323b84e-0",
        modified="2026-06-30",
        route="catalogue",
    )
    return labels_of(release, "packed")


def selects(policy, labels):
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    return all(labels.get(name) == value for name, value in wanted.items())


def test_workers_reach_names_the_source_and_the_lake_and_nobody_reaches_them():
    policies = objects("NetworkPolicy")
    labels = labels_of_workers()
    ports = {
        port["port"]
        for policy in policies.values()
        if selects(policy, labels)
        for rule in policy["spec"].get("egress", [])
        for port in rule["ports"]
    }

    assert ports == {53, 443}
    assert [policy for policy in policies.values() if "ingress" in policy["spec"]] == []
    assert policies["default-deny"]["spec"]["podSelector"] == {}
    assert policies["default-deny"]["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_submitter_alone_reaches_the_api_server():
    policy = objects("NetworkPolicy")["submitter-to-the-api-server"]

    assert not selects(policy, labels_of_workers())
    (cron,) = objects("CronJob").values()
    assert selects(policy, cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"])


def test_no_pod_of_ours_reaches_the_credentials_of_its_machine():
    policy = objects("NetworkPolicy")["source-and-lake"]
    (rule,) = policy["spec"]["egress"]

    for address in ("169.254.169.254", "fd00:ec2::254"):
        for block in [one["ipBlock"] for one in rule["to"]]:
            inside = ipaddress.ip_address(address) in ipaddress.ip_network(block["cidr"])
            excepted = any(ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in block["except"])
            assert not inside or excepted


def test_a_hundred_workers_of_the_usual_size_fit_the_quota_and_each_fits_the_limits():
    (quota,), (limits,) = objects("ResourceQuota").values(), objects("LimitRange").values()
    hard, (one,) = quota["spec"]["hard"], limits["spec"]["limits"]
    body = job_body(JobSpec("a", {}, "image", (), "account"))
    (container,) = body["spec"]["template"]["spec"]["containers"]
    asked = container["resources"]["requests"]

    assert 101 * cores(asked["cpu"]) <= cores(hard["requests.cpu"])
    assert 101 * mebibytes(asked["memory"]) <= mebibytes(hard["requests.memory"])
    assert 101 * mebibytes(one["defaultRequest"]["ephemeral-storage"]) <= mebibytes(hard["requests.ephemeral-storage"])
    assert int(hard["pods"]) >= 101
    assert cores(asked["cpu"]) <= cores(one["max"]["cpu"])
    scratch = body["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"]
    assert mebibytes(scratch) < mebibytes(one["default"]["ephemeral-storage"])
    # A default limit would hold back every worker, which states none.
    assert "cpu" not in one["default"]


def cores(text):
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def mebibytes(text):
    return float(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


@pytest.mark.long
def test_the_policy_scan_finds_a_pod_that_asks_for_everything(tmp_path):
    body = job_body(JobSpec("a", {}, "image", (), "account"))
    body["metadata"]["namespace"] = "data-pipeline"
    container = body["spec"]["template"]["spec"]["containers"][0]
    container["securityContext"] = {"privileged": True}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(body))
    (tmp_path / "data-pipeline.Dockerfile").write_text("FROM scratch\n")
    try:
        _, found = k8s_check.policy_findings(tmp_path)
    except k8s_check.SkippedError as reason:
        pytest.skip(str(reason))

    assert [one for one in found if one.startswith("CKV_K8S_16 ")]

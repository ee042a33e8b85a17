"""k8s/: valid for every supported Kubernetes, and consistent with the code."""

import ipaddress
import json
import re
from pathlib import PurePosixPath

import pytest
import yaml

from data_pipeline.fan_out.cluster_checks import RIGHTS, ClusterDoctor
from data_pipeline.fan_out.specs import HEARTBEAT, labels_of
from data_pipeline.jobs import fan_out
from data_pipeline.open_payments.ledger.documents import Release
from data_pipeline.registry import Registry
from data_pipeline.settings import Settings
from etl_core.kube.client import Cluster
from etl_core.kube.describe import JobSpec, PodOptions, job_body
from etl_core.retry import Retry
from tests.manifests import kubernetes
from tests.manifests.kubernetes import ROOT, SUPPORTED, documents, schema_faults
from tools import k8s_examples

SPEC = JobSpec("a", {}, (), PodOptions("image", "account"), user_id=10001, annotation_prefix="example.org")
FILES = list(kubernetes.complete_files())
OBJECTS = [one for path in FILES for one in documents(path.read_text()) if path.parent.name == "base"]


def objects(kind, among=OBJECTS):
    return {one["metadata"]["name"]: one for one in among if one["kind"] == kind}


def rendered(name):
    return documents(kubernetes.rendered(name))


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_passes_the_strict_schemas(path, version):
    found = [schema_faults(one, version) for one in documents(path.read_text())]

    assert found
    assert [fault for faults in found for fault in faults] == []


def test_an_unknown_field_is_found():
    (path,) = [path for path in FILES if path.name == "priorityclass.yaml"]
    (document,) = documents(path.read_text())
    document["preemptionPolice"] = "Never"

    (fault,) = schema_faults(document, SUPPORTED[0])

    assert "preemptionPolice" in fault


@pytest.mark.parametrize("name", kubernetes.RENDERED)
def test_everything_that_kustomize_renders_passes_the_strict_schemas(name):
    found = rendered(name)

    assert len(found) > 10
    assert [fault for one in found for version in SUPPORTED for fault in schema_faults(one, version)] == []


@pytest.mark.parametrize("name", ["overlays/local", "overlays/eks"])
def test_an_overlay_s_workers_have_the_image_of_its_submitter(name):
    cron = objects("CronJob", rendered(name))["data-pipeline-newest-year"]
    (container,) = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert container["image"] != k8s_examples.IMAGE
    assert {"name": "IMAGE", "value": container["image"]} in container["env"]
    assert container["args"][container["args"].index("--image") + 1] == "$(IMAGE)"


def test_the_eks_overlay_has_an_image_digest_a_role_per_account_and_an_active_cron_job():
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


def test_every_job_gives_a_sign_of_life_and_is_ended_without_one():
    every = [one for path in FILES for one in documents(path.read_text()) if one["kind"] in ("Job", "CronJob")]
    of_overlays = [one for name in ("overlays/local", "overlays/eks") for one in rendered(name)]
    pods = [one["spec"].get("jobTemplate", one)["spec"]["template"]["spec"] for one in every if "spec" in one]
    pods += [one["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in objects("CronJob", of_overlays).values()]
    assert len(pods) > 30
    for pod in pods:
        if pod.get("containers", [{}])[0].get("image") is None:
            continue  # a patch of an overlay, which is tested as rendered
        (container,) = pod["containers"]
        (path,) = [one["value"] for one in container["env"] if one["name"] == HEARTBEAT]
        assert path in container["livenessProbe"]["exec"]["command"]
        assert container["volumeMounts"][0]["mountPath"] == str(PurePosixPath(path).parent)
        # A container that a probe ended is tried again: its status must not end the Job.
        assert pod["restartPolicy"] == "Never"


@pytest.mark.parametrize("name", ["overlays/local", "overlays/eks"])
def test_every_object_of_an_overlay_is_in_the_namespace(name):
    apart = {"Namespace", "PriorityClass"}
    found = rendered(name)

    assert {one["metadata"]["namespace"] for one in found if one["kind"] not in apart} == {"data-pipeline"}
    assert {one["metadata"]["labels"]["app.kubernetes.io/part-of"] for one in found} == {"openpayments"}


def test_the_namespace_requires_hardened_pods():
    (namespace,) = objects("Namespace").values()

    assert {namespace["metadata"]["labels"][f"pod-security.kubernetes.io/{one}"] for one in MODES} == {"restricted"}


MODES = ("enforce", "audit", "warn")


def test_failed_jobs_of_a_cron_job_are_kept():
    for cron in objects("CronJob").values():
        assert cron["spec"]["failedJobsHistoryLimit"] > 0
        assert "ttlSecondsAfterFinished" not in cron["spec"]["jobTemplate"]["spec"]


@pytest.mark.parametrize(
    ("name", "secret", "variable"),
    [
        ("data-pipeline-customers", "data-pipeline-crm", "API_TOKEN"),
        ("data-pipeline-agency-files", "data-pipeline-database", "DATABASE_URL"),
    ],
)
def test_what_is_secret_comes_from_a_secret_and_is_in_no_manifest(name, secret, variable):
    (container,) = objects("CronJob")[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]

    assert container["envFrom"][-1] == {"secretRef": {"name": secret}}
    assert not [path for path in FILES if variable in path.read_text()]


def test_every_service_account_of_a_pod_exists_and_mounts_no_token_by_default():
    accounts = objects("ServiceAccount")

    examples = filter(None, map(k8s_examples.example_of, map(Registry().load, Registry().names())))
    unknown = {example.service_account for example in examples} - accounts.keys()
    assert not unknown, f"add {unknown} to k8s/base/serviceaccounts.yaml, and to the overlays"
    (option,) = [one for one in fan_out.command.params if one.name == "service_account"]
    assert option.default in accounts
    assert {one["automountServiceAccountToken"] for one in accounts.values()} == {False}


def test_every_service_account_has_a_role_of_its_own_in_terraform():
    roles = json.loads((ROOT / "terraform/modules/identity/policies/roles.json").read_text())
    trusted = [role["trust"] for role in roles.values() if role["trust"].startswith("data-pipeline-")]

    assert sorted(trusted) == sorted(objects("ServiceAccount"))


class Recorder:
    """A pool that answers every request with an empty list and records it."""

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
    return allowed_by(role)


def allowed_by(role):
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


# Every method that sends a request, and how it is called here.
CALLS = {
    "create_job": (job_body(SPEC),),
    "job": ("a",),
    "jobs": ("a=b",),
    "pods": ("a=b",),
    "events": ("a",),
    "log": ("a",),
    "delete_job": ("a",),
    "delete_jobs": ("a=b",),
    "delete_pod": ("a",),
    "delete_pods": ("a=b",),
}


def client_of(pool):
    return Cluster("https://cluster", "data-pipeline", pool=pool, user_agent="etl/1.0", retry=Retry())


def rights_of_the_code():
    pool = Recorder()
    cluster = client_of(pool)
    for name, arguments in CALLS.items():
        getattr(cluster, name)(*arguments)
    ClusterDoctor(cluster, SPEC.pod, name="a", sleep=lambda _: None).quota()
    return {verb_and_resource(*one) for one in pool.asked}


def test_the_role_of_the_submitter_allows_exactly_the_calls_of_the_code():
    methods = {name for name in vars(Cluster) if not name.startswith("_")}
    assert methods - {"request"} == CALLS.keys()  # other requests need no right of a role, but for the quota's

    assert allowed_to_the_submitter() == rights_of_the_code()


def test_the_doctor_checks_every_right_that_a_fan_out_cannot_do_without():
    assert set(RIGHTS) == rights_of_the_code() - {("list", "", "resourcequotas")}


# What Airflow's operator calls of a cluster: it creates or adopts a Job, follows it, and cancels it.
CALLS_OF_AIRFLOW = ("create_job", "job", "pods", "events", "delete_job")


def test_airflow_may_do_in_our_namespace_exactly_what_its_operator_does():
    kinds = {one["kind"]: one for one in documents(kubernetes.rendered("airflow"))}
    assert [fault for one in kinds.values() for version in SUPPORTED for fault in schema_faults(one, version)] == []
    assert kinds.keys() == {"ServiceAccount", "Role", "RoleBinding"}
    pool = Recorder()
    for name in CALLS_OF_AIRFLOW:
        getattr(client_of(pool), name)(*CALLS[name])

    assert allowed_by(kinds["Role"]) == {verb_and_resource(*one) for one in pool.asked}
    assert kinds["Role"]["metadata"]["namespace"] == kinds["RoleBinding"]["metadata"]["namespace"] == "data-pipeline"
    account, (subject,) = kinds["ServiceAccount"]["metadata"], kinds["RoleBinding"]["subjects"]
    assert (subject["namespace"], subject["name"]) == (account["namespace"], account["name"])
    assert kinds["RoleBinding"]["roleRef"]["name"] == kinds["Role"]["metadata"]["name"]
    said = json.loads((ROOT / "terraform/modules/identity/policies/roles.json").read_text())["airflow"]
    assert (said["namespace"], said["trust"]) == (account["namespace"], account["name"])
    assert account["annotations"]["eks.amazonaws.com/role-arn"].endswith("role/data-pipeline-dev-airflow")


def test_the_chart_s_values_name_the_account_of_airflow_and_no_secret():
    page = (ROOT / "docs/airflow-on-eks.md").read_text()
    blocks = [yaml.safe_load(one) for one in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    for values, executor, runs_tasks in zip(
        blocks, ("LocalExecutor", "KubernetesExecutor"), ("scheduler", "workers"), strict=True
    ):
        assert values["executor"] == executor
        assert values[runs_tasks]["serviceAccount"] == {"create": False, "name": "airflow-jobs"}
    (values, _) = blocks
    assert values["postgresql"] == {"enabled": False}
    assert values["data"]["metadataSecretName"]
    assert values["config"]["data_pipeline"]["place"] == "kubernetes"
    assert "password" not in json.dumps(blocks).lower()


def test_no_role_allows_everything_and_workers_have_none():
    assert "*" not in {word for one in allowed_to_the_submitter() for word in one}
    (binding,) = objects("RoleBinding").values()
    assert [subject["name"] for subject in binding["subjects"]] == ["data-pipeline-fan-out"]
    assert objects("ClusterRole") == objects("ClusterRoleBinding") == {}


def test_config_maps_have_only_known_settings_and_no_secrets():
    known = {name.upper() for name in Settings.model_fields}
    patches = [yaml.safe_load((ROOT / "k8s/overlays" / one / "settings.yaml").read_text()) for one in ("local", "eks")]

    for document in [*objects("ConfigMap").values(), *patches]:
        names = set(document["data"])
        assert {name for name in names - known if not name.startswith("AWS_")} == set()
        ours = {name: value for name, value in document["data"].items() if name in known}
        Settings.from_mapping(ours)
    # A ConfigMap must have no secrets.
    assert all("KEY" not in name and "TOKEN" not in name for one in patches for name in one["data"])


def labels_of_workers():
    release = Release(
        dataset="general-payments",
        year=2024,
        dataset_id="e6b17c6a",
        distribution_id="9323b84e-0",
        modified="2026-06-30",
    )
    return labels_of("0123456789ab", release, "packed")


def selects(policy, labels):
    wanted = policy["spec"]["podSelector"].get("matchLabels", {})
    return all(labels.get(name) == value for name, value in wanted.items())


def test_workers_reach_only_dns_and_https_and_accept_no_connection():
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


def test_only_the_submitter_reaches_the_api_server():
    policy = objects("NetworkPolicy")["submitter-to-the-api-server"]

    assert not selects(policy, labels_of_workers())
    labels = {
        name: cron["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
        for name, cron in objects("CronJob").items()
    }
    assert [name for name in labels if selects(policy, labels[name])] == ["data-pipeline-newest-year"]


def test_no_pod_reaches_the_credentials_of_its_node():
    policy = objects("NetworkPolicy")["source-and-lake"]
    (rule,) = policy["spec"]["egress"]

    for address in ("169.254.169.254", "fd00:ec2::254"):
        for block in [one["ipBlock"] for one in rule["to"]]:
            inside = ipaddress.ip_address(address) in ipaddress.ip_network(block["cidr"])
            excepted = any(ipaddress.ip_address(address) in ipaddress.ip_network(one) for one in block["except"])
            assert not inside or excepted


def test_a_hundred_default_workers_fit_the_quota_and_each_fits_the_limits():
    (quota,), (limits,) = objects("ResourceQuota").values(), objects("LimitRange").values()
    hard, (one,) = quota["spec"]["hard"], limits["spec"]["limits"]
    body = job_body(SPEC)
    (container,) = body["spec"]["template"]["spec"]["containers"]
    asked = container["resources"]["requests"]

    assert 101 * cores(asked["cpu"]) <= cores(hard["requests.cpu"])
    assert 101 * mebibytes(asked["memory"]) <= mebibytes(hard["requests.memory"])
    assert 101 * mebibytes(one["defaultRequest"]["ephemeral-storage"]) <= mebibytes(hard["requests.ephemeral-storage"])
    assert int(hard["pods"]) >= 101
    assert cores(asked["cpu"]) <= cores(one["max"]["cpu"])
    scratch = body["spec"]["template"]["spec"]["volumes"][0]["emptyDir"]["sizeLimit"]
    assert mebibytes(scratch) < mebibytes(one["default"]["ephemeral-storage"])
    # Without a default, Kubernetes takes the maximum: the file says what workers, which set no limit, get.
    assert one["default"]["cpu"] == one["max"]["cpu"] == "8"


def cores(text):
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def mebibytes(text):
    return float(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]

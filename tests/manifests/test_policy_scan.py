"""Checkov's scan of everything that is applied or built."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from etl_core.kube.describe import JobSpec, PodOptions, job_body
from tests.manifests.kubernetes import RENDERED, ROOT, rendered
from tools import checkov, isolated

pytestmark = pytest.mark.long

# Rules we do not follow: where, by a pattern, and why.
EXCEPTIONS = {
    "CKV_K8S_11": (".", "No CPU limit: it would slow a job beside an idle processor; requests share a busy one."),
    "CKV_K8S_15": (r"^Job\.|overlays-local", "A version's tag does not move; overlays/local loads its image."),
    "CKV_K8S_35": (
        "overlays-local|customers|agency-files|get-s3-files|load-warehouse",
        "Settings come from the environment, a CRM's token and a database's address, too; boto3 reads keys there.",
    ),
    "CKV_K8S_38": ("newest-year|fan-out", "These pods create Jobs; only they mount a token."),
    "CKV_K8S_43": (
        r"^Job\.|overlays-local",
        "Examples and overlays/local have a tag; a test requires a digest on eks.",
    ),
    "CKV2_K8S_6": (r"^Job\.|^Pod\.", "Examples are scanned beside the base, whose policies select all our pods."),
    "CKV_DOCKER_2": (".", "Jobs end: nothing polls their health. The sandbox's check is in compose.yaml."),
    "CKV_DOCKER_7": ("FROM", "The tag, 3.11-slim, is in an argument, which checkov does not read."),
}


def findings(folder):
    try:
        failed = checkov.scan(folder, "kubernetes", "dockerfile")["failed_checks"]
    except isolated.UnavailableError as reason:
        pytest.skip(str(reason))
    return [(one["check_id"], f"{one['resource']} in {Path(one['file_path']).name}") for one in failed]


def is_excepted(check, where):
    return check in EXCEPTIONS and re.search(EXCEPTIONS[check][0], where) is not None


def test_the_scan_finds_only_exceptions_that_have_a_reason(tmp_path):
    for name in RENDERED[1:]:
        (tmp_path / f"{name.replace('/', '-')}.yaml").write_text(rendered(name))
    shutil.copy(ROOT / "docker" / "data-pipeline.Dockerfile", tmp_path)

    assert [one for one in findings(tmp_path) if not is_excepted(*one)] == []


def test_the_scan_finds_a_privileged_pod(tmp_path):
    body = job_body(JobSpec("a", {}, (), PodOptions("image", "account"), 10001, "example.org"))
    body["metadata"]["namespace"] = "data-pipeline"
    (container,) = body["spec"]["template"]["spec"]["containers"]
    container["securityContext"] = {"privileged": True}
    (tmp_path / "bad.yaml").write_text(yaml.safe_dump(body))
    (tmp_path / "data-pipeline.Dockerfile").write_text("FROM scratch\n")

    assert "CKV_K8S_16" in {check for check, _ in findings(tmp_path)}

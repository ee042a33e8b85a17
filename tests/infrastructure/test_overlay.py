"""From Terraform's outputs to the eks overlay: nothing is copied by hand."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.infrastructure import sources
from tools import overlay

ROOT = Path(__file__).resolve().parents[2]
EKS = ROOT / "k8s" / "overlays" / "eks"
OUTPUTS = json.loads((Path(__file__).parent / "outputs.json").read_text())
DIGEST = "sha256:" + "ab" * 32


def test_the_committed_patch_is_what_the_command_writes_of_the_example_s_outputs():
    assert (EKS / overlay.NAME).read_text() == overlay.written(OUTPUTS, overlay.NO_DIGEST)


def test_one_command_writes_it(tmp_path):
    words = [sys.executable, "tools/overlay.py", "write", str(tmp_path), "--digest", DIGEST]
    done = subprocess.run(words, cwd=ROOT, input=json.dumps(OUTPUTS), capture_output=True, text=True, check=True)
    assert done.stdout == ""
    settings, *others = yaml.safe_load_all((tmp_path / overlay.NAME).read_text())
    accounts, crons = ([one for one in others if one["kind"] == kind] for kind in ("ServiceAccount", "CronJob"))
    assert settings["data"]["LAKE_URL"] == OUTPUTS["lake_url"]["value"]
    roles = OUTPUTS["service_accounts"]["value"]
    assert {account["metadata"]["name"] for account in accounts} == set(roles)
    for account in accounts:
        assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == roles[account["metadata"]["name"]]
    assert [cron["metadata"]["name"] for cron in crons] == list(overlay.CRON_JOBS)
    for cron in crons:
        container = cron["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        assert container["image"] == f"{OUTPUTS['image_repository']['value']}@{DIGEST}"


def test_every_output_it_reads_is_put_out_by_dev_and_prod_and_read_from_the_platform():
    for environment in ("dev", "prod"):
        text = (sources.TERRAFORM / "environments" / environment / "outputs.tf").read_text()
        assert set(OUTPUTS) <= set(re.findall(r'^output "(\w+)"', text, re.MULTILINE))


def test_the_service_accounts_are_those_the_roles_trust_and_the_base_has():
    trusted = {said["trust"] for said in sources.roles().values() if said["trust"].startswith("data-pipeline-")}
    text = (ROOT / "k8s" / "base" / "serviceaccounts.yaml").read_text()
    assert trusted == set(overlay.ACCOUNTS)
    assert trusted <= {one["metadata"]["name"] for one in yaml.safe_load_all(text)}


@pytest.mark.parametrize(
    ("outputs", "digest", "words"),
    [
        ({}, DIGEST, "there is no output"),
        ({**OUTPUTS, "service_accounts": {"value": {}}}, DIGEST, "no role for data-pipeline-fan-out"),
        (OUTPUTS, "latest", "is no digest"),
    ],
)
def test_what_is_missing_is_said(outputs, digest, words):
    with pytest.raises(overlay.OutputsError, match=words):
        overlay.written(outputs, digest)


def test_the_overlay_builds_with_it():
    if shutil.which("kubectl") is None:
        pytest.skip("SKIPPED: there is no kubectl here")
    done = subprocess.run(["kubectl", "kustomize", str(EKS)], capture_output=True, text=True, check=False)
    if "unknown command" in done.stderr:
        pytest.skip("SKIPPED: this kubectl has no kustomize")
    assert done.returncode == 0, done.stderr
    made = {(one["kind"], one["metadata"]["name"]): one for one in yaml.safe_load_all(done.stdout)}
    assert made["ConfigMap", overlay.SETTINGS]["data"]["LAKE_URL"] == OUTPUTS["lake_url"]["value"]
    image = f"{OUTPUTS['image_repository']['value']}@{overlay.NO_DIGEST}"
    pods = [made["CronJob", one]["spec"]["jobTemplate"]["spec"]["template"]["spec"] for one in overlay.CRON_JOBS]
    assert {pod["containers"][0]["image"] for pod in pods} == {image}
    (pod, *_) = pods
    assert {"name": "IMAGE", "value": image} in pod["containers"][0]["env"], "workers run the submitter's own image"

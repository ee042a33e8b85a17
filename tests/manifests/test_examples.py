"""k8s/examples and the CronJob: arguments that the jobs accept, limits, hardening."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
import yaml

from data_pipeline.registry import Job, Registry
from data_pipeline.settings import Settings
from etl_core.errors import EXIT_STATUSES
from etl_core.kube.describe import pod_failure_policy
from tests.manifests import kubernetes
from tests.manifests.kubernetes import ROOT
from tools import k8s_examples

BODIES = {Path(path).stem: yaml.safe_load(text) for path, text in k8s_examples.files().items()}
del BODIES["kustomization"]
JOBS = {name: body.get("spec", {}).get("jobTemplate", body) for name, body in BODIES.items()}
PODS = {name: job["spec"]["template"]["spec"] for name, job in JOBS.items()}
LOCAL = yaml.safe_load((ROOT / "k8s/overlays/local/cronjob.yaml").read_text())["spec"]["jobTemplate"]
CRONS = {name for name, body in BODIES.items() if body["kind"] == "CronJob"}
ARGS = {
    name: pod["containers"][0]["args"] for name, pod in {**PODS, "local": LOCAL["spec"]["template"]["spec"]}.items()
}


def test_every_job_has_an_example_unless_it_says_that_it_has_none():
    run = {args[1] for args in ARGS.values()}
    without = {name for name in Registry().names() if k8s_examples.example_of(Registry().load(name)) is None}

    assert run == set(Registry().names()) - without
    assert without == {"build", "fan_out_worker"}


def test_the_local_overlay_gives_its_job_arguments_that_it_takes():
    _, name, _, *args = ARGS["local"]

    with Registry().load(name).module.command.make_context(name, args):
        pass


@pytest.mark.parametrize("name", ["status", "run-pipeline"])
def test_the_documented_command_sets_the_image_of_an_example(name):
    page = (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8")
    image = "registry.example/etl-data-pipeline@sha256:" + "ab" * 32
    (line,) = re.findall(r"^kubectl (set image .+) \| kubectl create -f -", page, re.MULTILINE)
    words = line.replace("$IMAGE", image).replace("status", name).split()

    made = subprocess.run([kubernetes.kubectl(), *words], cwd=ROOT, capture_output=True, text=True, check=True)

    (job,) = kubernetes.documents(made.stdout)
    assert job["spec"]["template"]["spec"]["containers"][0]["image"] == image
    assert kubernetes.schema_faults(job, kubernetes.SUPPORTED[0]) == []


def job_with(**module: object) -> Job:
    return Job("my_job", lambda argv: 0, "Mine", SimpleNamespace(**module))


def test_a_job_whose_example_lacks_a_required_option_is_told_what_to_write():
    command = click.Command("x", params=[click.Option(["--strange"], required=True)])

    for example in ({}, {"KUBERNETES": {"args": ["--other", "1"]}}):
        with pytest.raises(ValueError, match=r"jobs/my_job.py: .*--(strange|other).* Write KUBERNETES = "):
            k8s_examples.example_of(job_with(command=command, **example))

    found = k8s_examples.example_of(job_with(command=command, KUBERNETES={"args": ["--strange", "1"]}))
    assert found == k8s_examples.Example(["--strange", "1"], "data-pipeline-metadata")


def test_a_job_without_a_click_command_is_started_without_arguments_unless_it_names_some():
    for module, args, account in [
        ({}, ["run", "my_job"], "data-pipeline-metadata"),
        (
            {"KUBERNETES": {"args": ["--agency-id", "7"], "service_account": "other"}},
            ["run", "my_job", "--", "--agency-id", "7"],
            "other",
        ),
    ]:
        example = k8s_examples.example_of(job_with(**module))
        assert example is not None
        assert (k8s_examples.arguments(job_with(), example), example.service_account) == (args, account)


@pytest.mark.parametrize("name", JOBS)
def test_every_job_has_time_limits_and_the_pod_failure_policy(name):
    spec, pod = JOBS[name]["spec"], JOBS[name]["spec"]["template"]["spec"]

    assert pod["restartPolicy"] == "Never"
    assert spec["backoffLimit"] > 0
    # A CronJob's history limits remove its Jobs.
    assert spec.get("ttlSecondsAfterFinished", 0) > 0 or name in CRONS
    assert pod["activeDeadlineSeconds"] > 0
    assert pod["terminationGracePeriodSeconds"] == 60 > Settings().grace_seconds
    assert spec["podFailurePolicy"] == pod_failure_policy(indexed=False)
    assert spec["template"]["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"


def test_permanent_failures_end_a_job_and_disruptions_do_not_count_as_retries():
    ignore, fail = pod_failure_policy(indexed=False)["rules"]

    assert ignore == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    assert {status.code for status in EXIT_STATUSES} >= {1, 4, 130, 143}


@pytest.mark.parametrize("pod", PODS.values(), ids=PODS)
def test_every_pod_is_hardened(pod):
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [volume["emptyDir"].keys() for volume in pod["volumes"]] == [{"sizeLimit"}]
    assert container["volumeMounts"][0]["mountPath"] == "/tmp"
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert "memory" in container["resources"]["limits"]
    settings, *secrets = container["envFrom"]
    assert settings == {"configMapRef": {"name": "data-pipeline-settings"}}
    known = {f"data-pipeline-{name}" for name in ("crm", "database", "warehouse")}
    assert [one["secretRef"]["name"] for one in secrets] in ([], *([name] for name in known))
    submits = container["args"][1] == "fan_out"
    assert pod["automountServiceAccountToken"] is submits


@pytest.mark.parametrize("name", sorted(CRONS))
def test_a_cron_job_forbids_concurrency_and_its_name_leaves_room_for_a_job_s(name):
    cron = BODIES[name]

    assert len(cron["metadata"]["name"]) <= 52
    assert cron["spec"]["concurrencyPolicy"] == "Forbid"
    assert cron["spec"]["timeZone"] == "Etc/UTC"
    assert cron["spec"]["startingDeadlineSeconds"] > 60
    # Applying the base must not download a whole year.
    assert cron["spec"]["suspend"] is True

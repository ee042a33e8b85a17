"""Manifests that follow from the code: ``k8s_examples.py check`` or ``k8s_examples.py write``.

k8s/examples/ has a Job for every job of the registry, k8s/base/cronjob.yaml the fan-out of the newest year. Their
bodies come from ``etl_core.kube.jobs``, as those of the fan-out's own workers do: what the exit-status table says
a failed pod means, and how a pod is hardened, is written down once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from data_pipeline import __version__
from data_pipeline.registry import Job, Registry
from etl_core.kube.jobs import SPEC_DIGEST, JobSpec, PodOptions, job_body

ROOT = Path(__file__).resolve().parent.parent
K8S = Path("k8s")
NAMESPACE = "data-pipeline"
SETTINGS = "data-pipeline-settings"
IMAGE = f"etl-data-pipeline:{__version__}"
HEADER = "# Made by `tools/k8s_examples.py write`, not by hand.\n"

# Of a job that names none: it reads, or writes what describes a run.
DEFAULT_ACCOUNT = "data-pipeline-metadata"
SUBMITTER = "data-pipeline-fan-out"


@dataclass(frozen=True)
class Example:
    """How the Kubernetes example of a job is run: its module's ``KUBERNETES``, or without one no arguments."""

    args: list[str]
    service_account: str


def example_of(job: Job) -> Example | None:
    """The example of a job; None if its ``KUBERNETES`` is None.

    Raises:
        ValueError: the job requires options that its example lacks; the message says what to write.

    """
    given = getattr(job.module, "KUBERNETES", {})
    if given is None:
        return None
    example = Example(given.get("args", []), given.get("service_account", DEFAULT_ACCOUNT))
    command = getattr(job.module, "command", None)
    if isinstance(command, click.Command):
        try:
            command.make_context(job.name, list(example.args))
        except click.UsageError as error:
            what = 'KUBERNETES = {"args": ["--option", "sample value"]}'
            raise ValueError(
                f"jobs/{job.name}.py: its Kubernetes example does not run: {error.format_message()} Write {what}"
                " below JOB, with a sample value for each option that the job requires."
            ) from error
    return example


def arguments(job: Job, example: Example) -> list[str]:
    return ["run", job.name, *(["--", *example.args] if example.args else [])]


def body_of(name: str, component: str, account: str, args: list[str]) -> dict[str, Any]:
    """A Job as the fan-out would make it, without the digest by which it knows its own."""
    submits = account == SUBMITTER
    spec = JobSpec(
        name=name,
        identity={},
        args=tuple(args),
        pod=PodOptions(
            image=IMAGE,
            service_account=account,
            env={"IMAGE": IMAGE} if "$(IMAGE)" in args else {},
            env_from=(f"configmap/{SETTINGS}",),
            # A submitter follows a whole year; its pod may be replaced at any time and goes on.
            timeout_hours=24 if submits else 6,
        ),
        labels={"app.kubernetes.io/name": "data-pipeline", "app.kubernetes.io/component": component},
    )
    body = job_body(spec)
    del body["metadata"]["annotations"][SPEC_DIGEST]
    body["metadata"] = {key: value for key, value in body["metadata"].items() if value}
    body["metadata"]["namespace"] = NAMESPACE
    pod = body["spec"]["template"]["spec"]
    if submits:
        pod["automountServiceAccountToken"] = True
        pod["priorityClassName"] = "data-pipeline-submitter"
    return body


def cron_job() -> dict[str, Any]:
    fan_out = Registry().load("fan_out")
    example = example_of(fan_out) or Example([], SUBMITTER)
    job = body_of("", "fan-out", example.service_account, arguments(fan_out, example))
    labels = job["metadata"]["labels"]
    # The limits of its history clean up: by the hour, Monday's failure would be gone before anybody is awake.
    del job["spec"]["ttlSecondsAfterFinished"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "data-pipeline-newest-year", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            # Each Monday, before Washington is awake: CMS publishes in June and January, and mends in between.
            "schedule": "17 6 * * 1",
            "timeZone": "Etc/UTC",
            # Applying the base downloads nothing; overlays/eks lets it go.
            "suspend": True,
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 3600,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 5,
            "jobTemplate": {"metadata": {"labels": labels}, "spec": job["spec"]},
        },
    }


def as_yaml(document: dict[str, Any], *comments: str) -> str:
    lines = "".join(f"# {comment}\n" for comment in comments)
    return HEADER + lines + yaml.dump(document, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Writes a value that occurs twice twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the base class's
        return True


def files() -> Iterator[tuple[Path, str]]:
    """Path below the root, and text."""
    registry = Registry()
    names = []
    for job in map(registry.load, registry.names()):
        example = example_of(job)
        if example is None:
            continue
        name = job.name.replace("_", "-")
        names.append(f"{name}.yaml")
        component = "fan-out" if job.name == "fan_out" else name
        body = body_of(f"data-pipeline-{name}", component, example.service_account, arguments(job, example))
        yield K8S / "examples" / f"{name}.yaml", as_yaml(body, f"{job.description}.")
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": names,
    }
    yield K8S / "examples" / "kustomization.yaml", as_yaml(kustomization, "All of them, for checks: apply one file.")
    yield K8S / "base" / "cronjob.yaml", as_yaml(cron_job(), "The newest program year, fanned out.")


def faults(root: Path) -> list[str]:
    """What is there and should not be so, a sentence each."""
    wanted = dict(files())
    there = {path.relative_to(root) for path in (root / K8S / "examples").glob("*")}
    found = [f"{path} belongs to no job" for path in sorted(there - wanted.keys())]
    for path, text in wanted.items():
        if not (root / path).exists() or (root / path).read_text(encoding="utf-8") != text:
            found.append(f"{path} is not what the code says")
    return found


def write(root: Path) -> None:
    wanted = dict(files())
    for path in (root / K8S / "examples").glob("*.yaml"):
        if path.relative_to(root) not in wanted:
            path.unlink()
    for path, text in wanted.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def main() -> None:
    if sys.argv[1:] == ["write"]:
        write(ROOT)
        return
    found = faults(ROOT)
    if found:
        sys.exit("\n".join([*found, "run `.venv/bin/python tools/k8s_examples.py write`"]))


if __name__ == "__main__":
    main()

"""Checks that a fan-out can work on a cluster.

The last checks run in a pod: only a node knows whether it can pull the image, and only a pod sees
lake and source as the workers do.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_pipeline.doctor.checks import (
    Check,
    CheckFailedError,
    CheckSkippedError,
    Finding,
    outcome_of,
    require,
    run_checks,
    summary_of,
)
from data_pipeline.fan_out import specs
from data_pipeline.fan_out.room import needs_of, room
from etl_core.errors import PermanentError
from etl_core.json_text import parse_json
from etl_core.kube.describe import JobSpec, job_body
from etl_core.kube.diagnose import diagnose
from etl_core.kube.observe import exit_code, phase_of_job

if TYPE_CHECKING:
    from collections.abc import Callable

    from etl_core.kube.client import Cluster
    from etl_core.kube.describe import PodOptions

OLDEST = (1, 31)  # podFailurePolicy for everybody; packed runs need what became stable with 1.33
# Verb, group and resource of everything a submitter does.
RIGHTS = (
    ("create", "batch", "jobs"),
    ("get", "batch", "jobs"),
    ("list", "batch", "jobs"),
    ("delete", "batch", "jobs"),
    ("deletecollection", "batch", "jobs"),
    ("list", "", "pods"),
    ("delete", "", "pods"),
    ("deletecollection", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
)
POLLS, POLL_SECONDS = 90, 2.0
LABELS = {"app.kubernetes.io/name": "data-pipeline", "app.kubernetes.io/component": "doctor"}

# fmt: off
CLUSTER_CHECKS: tuple[Check, ...] = (
    Check("reachable", "Does the API server answer, and is it new enough?",
          "Set KUBECONFIG to a reachable cluster of Kubernetes 1.31 or newer; packed runs need 1.33."),
    Check("allowed", "Has this user the rights that a fan-out needs?",
          "Bind the role of k8s/base to this user or service account."),
    Check("quota", "Has the namespace's quota room for one more Job and its pod?",
          "Raise the quota, wait, or lower --max-in-flight.", required=False),
    Check("dry_run", "Does the API server accept a Job of the fan-out (dry run)?",
          "An admission policy or an old server refuses it: see its message."),
    Check("image", "Does a pod start with the image?",
          "See the message: correct --image or --service-account, or give the nodes access to the registry."),
    Check("workers_lake", "Does a worker's lake pass its checks?",
          "Give the workers its address and rights: --env LAKE_URL=…, --env-from, their service account."),
    Check("workers_source", "Does the source answer a worker?",
          "Let pods reach it (NetworkPolicy, proxy), or set --env OPEN_PAYMENTS_URL=….", required=False),
)
# fmt: on


def examine(
    cluster: Cluster, options: PodOptions, *, sleep: Callable[[float], None], say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """Run the checks, calling ``say`` with each finding; the fact and the exit code."""
    name = f"op-doctor-{uuid.uuid4().hex[:10]}"
    findings = ClusterDoctor(cluster, options, name=name, sleep=sleep).examine(say)
    status, code = outcome_of(findings)
    return {"status": status, "cluster_checks": summary_of(findings), "cluster": cluster.url}, code


class ClusterDoctor:
    """One method per check, named by its id: returns what it found, or raises."""

    def __init__(self, cluster: Cluster, options: PodOptions, *, name: str, sleep: Callable[[float], None]) -> None:
        self._cluster = cluster
        self._options = options
        self._name = name
        self._sleep = sleep
        self._pod: dict[str, Any] | None = None
        self._fact: dict[str, Any] = {}
        self._created = False
        self._full: list[str] = []

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """Run all checks; one Job with one pod is created and deleted again."""
        try:
            return run_checks(CLUSTER_CHECKS, self, say)
        finally:
            if self._created:
                self._cluster.delete_job(self._name)

    def reachable(self) -> str:
        said = self._cluster.request("GET", "/version")
        version = (int(str(said.get("major", 0))), int(str(said.get("minor", "0")).rstrip("+")))
        words = f"{self._cluster.url} is Kubernetes {version[0]}.{version[1]}, namespace {self._cluster.namespace}."
        return require(version >= OLDEST, found=words, otherwise=f"{words[:-1]}; 1.31 is the oldest supported.")

    def allowed(self) -> str:
        missing = [f"{verb} {resource}" for verb, group, resource in RIGHTS if not self._may(verb, group, resource)]
        return require(
            not missing, found=f"all {len(RIGHTS)} rights are there.", otherwise=f"not allowed: {', '.join(missing)}."
        )

    def quota(self) -> str:
        try:
            found = self._cluster.request("GET", f"/api/v1/namespaces/{self._cluster.namespace}/resourcequotas")
        except PermanentError as error:
            raise CheckSkippedError(f"no right to read quotas: {error}") from error
        enough, self._full = room(found.get("items", []), needs_of(self._options))
        return require(
            not self._full,
            found=f"{'; '.join(enough) or 'no quota on Jobs, pods, CPU or memory'}.",
            otherwise=f"no room: {'; '.join(self._full)}.",
        )

    def dry_run(self) -> str:
        self._cluster.create_job(self._body(), dry_run=True)
        return "accepted."

    def image(self) -> str:
        if self._full:
            raise CheckSkippedError("a quota has no room for its pod.")
        self._created = self._cluster.create_job(self._body())
        for _ in range(POLLS):
            self._pod = next(iter(self._cluster.pods(f"batch.kubernetes.io/job-name={self._name}")), self._pod or {})
            job = self._cluster.job(self._name) or {}
            why = diagnose(self._cluster, self._name, job, [self._pod] if self._pod else [])
            if not why.started and not why.temporary:
                raise CheckFailedError(why.detail)
            # A container beside ours may keep the pod, and with it the Job, open.
            if phase_of_job(job) in ("succeeded", "failed") or exit_code(self._pod) is not None:
                break
            self._sleep(POLL_SECONDS)
        else:
            raise CheckFailedError(f"no pod of it ended within {POLLS * POLL_SECONDS:.0f} s. {why}")
        if not self._pod:
            raise CheckFailedError(str(why))
        self._fact = self._fact_of(str(self._pod["metadata"]["name"]))
        return f"{self._options.image} ran."

    def workers_lake(self) -> str:
        return self._as_workers_see("lake_checks")

    def workers_source(self) -> str:
        return self._as_workers_see("source_checks")

    def _as_workers_see(self, what: str) -> str:
        if not self._fact:
            raise CheckSkippedError("no pod ran.")
        found = self._fact.get(what)
        if not isinstance(found, dict):
            raise CheckFailedError(f"the pod's doctor ended with: {str(self._fact.get('message', self._fact))[:300]}.")
        if found.get("no_answer"):
            raise CheckFailedError(f"no answer to {', '.join(found['no_answer'])}.")
        return require(
            not found.get("failed"),
            found=f"{found.get('passed')} checks passed.",
            otherwise=f"failed: {', '.join(found['failed'])}.",
        )

    def _fact_of(self, pod: str) -> dict[str, Any]:
        """The JSON object that the pod's ``doctor`` ended with."""
        for line in reversed(self._cluster.log(pod).splitlines()):
            try:
                fact = parse_json(line)
            except ValueError:
                continue
            if isinstance(fact, dict) and fact.get("job") == "doctor" and "lake" in fact:
                return fact
        raise CheckFailedError(f"pod {pod} started and printed no fact; is {self._options.image} this tool's image?")

    def _may(self, verb: str, group: str, resource: str) -> bool:
        name, _, sub = resource.partition("/")
        asked = {"namespace": self._cluster.namespace, "verb": verb, "group": group, "resource": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked | ({"subresource": sub} if sub else {})},
        }
        said = self._cluster.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(said.get("status", {}).get("allowed"))

    def _body(self) -> dict[str, Any]:
        env = {"LOG_FORMAT": "json", **self._options.env}
        return job_body(
            JobSpec(
                name=self._name,
                identity={"doctor": self._name},
                args=("doctor",),
                pod=replace(self._options, env=env, retries=0, timeout_hours=1 / 6),
                user_id=specs.USER_ID,
                annotation_prefix=specs.PREFIX,
                labels={**LABELS, specs.UNIT: "doctor"},
                ttl_seconds=600,
            )
        )

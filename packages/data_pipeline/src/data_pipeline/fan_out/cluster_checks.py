"""Asks a cluster, before anything is spent, whether a fan-out can work there.

The last questions are asked by a pod: only a node can say whether it gets the image, and only a
pod what lake and source look like from where the workers are.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

from data_pipeline.doctor.checks import (
    Assumption,
    Finding,
    NoError,
    NotAskedError,
    either,
    examine_each,
    status_of,
    summary_of,
    word_for,
)
from data_pipeline.fan_out import specs
from etl_core.errors import NotFoundError, PermanentError
from etl_core.kube.diagnosis import explain_job, phase_of_job
from etl_core.kube.jobs import JobSpec, job_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_pipeline.fan_out.specs import PodOptions
    from etl_core.kube.client import Cluster

OLDEST = (1, 31)  # podFailurePolicy for everybody; packed runs need what became stable with 1.33
# Verb, group and resource of everything a submitter does.
RIGHTS = (
    ("create", "batch", "jobs"),
    ("get", "batch", "jobs"),
    ("list", "batch", "jobs"),
    ("delete", "batch", "jobs"),
    ("deletecollection", "batch", "jobs"),
    ("list", "", "pods"),
    ("deletecollection", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
)
LOOKS, LOOK_EVERY_SECONDS = 90, 2.0
LABEL = {"app.kubernetes.io/name": "data-pipeline", "app.kubernetes.io/component": "doctor"}

# fmt: off
OF_CLUSTER: tuple[Assumption, ...] = (
    Assumption("reachable", "Does the API server answer, and is it new enough?",
               "Set KUBECONFIG to a reachable cluster of Kubernetes 1.31 or newer; packed runs want 1.33."),
    Assumption("allowed", "May we do what a fan-out does?",
               "Bind the role of k8s/base to this user or service account."),
    Assumption("service_account", "Is there the workers' service account?",
               "kubectl apply -k k8s/overlays/…, or name another with --service-account."),
    Assumption("quota", "Has the namespace room for one more Job and its pod?",
               "Raise the quota, or wait; with a smaller --max-in-flight less is needed.", required=False),
    Assumption("dry_run", "Does the server take a Job of ours (a dry run)?",
               "An admission policy or an old server refuses it: see what it said."),
    Assumption("image", "Does a pod start with the image?",
               "Correct --image, or let the nodes reach and read the registry."),
    Assumption("workers_lake", "Does the lake hold what is assumed of it, as a worker sees it?",
               "Give the workers its address and rights: --env LAKE_URL=…, --env-from, their service account."),
    Assumption("workers_source", "Does the source answer a worker?",
               "Let pods reach it (NetworkPolicy, proxy), or say --env OPEN_PAYMENTS_URL=….", required=False),
)
# fmt: on


def examine(
    cluster: Cluster, options: PodOptions, *, sleep: Callable[[float], None], say: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    """The fact of an examination, and its exit status; each finding is said as soon as there is one."""
    name = f"op-doctor-{uuid.uuid4().hex[:10]}"
    findings = ClusterDoctor(cluster, options, name=name, sleep=sleep).examine(say)
    status = status_of(findings)
    return {"status": word_for(status), "of_cluster": summary_of(findings), "cluster": cluster.url}, status


class ClusterDoctor:
    """A method an assumption, under its id: gives a sentence of what was found, or raises."""

    def __init__(self, cluster: Cluster, options: PodOptions, *, name: str, sleep: Callable[[float], None]) -> None:
        self._cluster = cluster
        self._options = options
        self._name = name
        self._sleep = sleep
        self._pod: dict[str, Any] | None = None
        self._said: dict[str, Any] = {}
        self._created = False

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """All findings; one Job with one pod is created and deleted again."""
        try:
            return examine_each(OF_CLUSTER, self, say)
        finally:
            if self._created:
                self._cluster.delete_job(self._name)

    def reachable(self) -> str:
        said = self._cluster.ask("GET", "/version")
        version = (int(str(said.get("major", 0))), int(str(said.get("minor", "0")).rstrip("+")))
        words = f"{self._cluster.url} is Kubernetes {version[0]}.{version[1]}, namespace {self._cluster.namespace}."
        return either(version >= OLDEST, words, f"{words[:-1]}; 1.31 is the oldest that will do.")

    def allowed(self) -> str:
        missing = [f"{verb} {resource}" for verb, group, resource in RIGHTS if not self._may(verb, group, resource)]
        return either(not missing, f"all {len(RIGHTS)} rights are there.", f"not allowed: {', '.join(missing)}.")

    def service_account(self) -> str:
        name = self._options.service_account
        path = f"/api/v1/namespaces/{self._cluster.namespace}/serviceaccounts/{name}"
        try:
            self._cluster.ask("GET", path)
        except NotFoundError:
            raise NoError(f"the namespace {self._cluster.namespace} has no service account {name}.") from None
        except PermanentError as error:
            raise NotAskedError(f"it may not be looked at: {error}") from error
        return f"{name}."

    def quota(self) -> str:
        try:
            found = self._cluster.ask("GET", f"/api/v1/namespaces/{self._cluster.namespace}/resourcequotas")
        except PermanentError as error:
            raise NotAskedError(f"quotas may not be looked at: {error}") from error
        full: list[str] = []
        room: list[str] = []
        for quota in found.get("items", []):
            status = quota.get("status", {})
            for what in ("count/jobs.batch", "pods"):
                hard = status.get("hard", {}).get(what)
                if hard is not None:
                    left = int(hard) - int(status.get("used", {}).get(what, 0))
                    (room if left > 0 else full).append(f"{left} more {what}")
        return either(not full, f"{', '.join(room) or 'no quota on Jobs or pods'}.", f"{', '.join(full)}.")

    def dry_run(self) -> str:
        self._cluster.create_job(self._body(), dry_run=True)
        return "it does."

    def image(self) -> str:
        self._created = self._cluster.create_job(self._body())
        for number in range(LOOKS):
            self._pod = next(iter(self._cluster.pods(f"batch.kubernetes.io/job-name={self._name}")), self._pod or {})
            job = self._cluster.job(self._name) or {}
            # A pod may be a moment late; one that is refused has only events to tell of it.
            events = self._cluster.events(self._name) if number and not self._pod else []
            why = explain_job(job, [self._pod] if self._pod else [], events)
            if not why.started and not why.temporary:
                raise NoError(why.detail)
            if phase_of_job(job) in ("succeeded", "failed"):
                break
            self._sleep(LOOK_EVERY_SECONDS)
        else:
            raise NoError(f"no pod of it ended within {LOOKS * LOOK_EVERY_SECONDS:.0f} s. {why}")
        if not self._pod:
            raise NoError(str(why))
        self._said = self._fact_of(str(self._pod["metadata"]["name"]))
        return f"{self._options.image} ran."

    def workers_lake(self) -> str:
        return self._as_workers_see("of_lake")

    def workers_source(self) -> str:
        return self._as_workers_see("of_source")

    def _as_workers_see(self, what: str) -> str:
        if not self._said:
            raise NotAskedError("it needs a pod that ran.")
        found = self._said.get(what)
        if not isinstance(found, dict):
            raise NoError(f"the pod's doctor ended with: {str(self._said.get('message', self._said))[:300]}.")
        if found.get("no_answer"):
            raise NoError(f"no answer to {', '.join(found['no_answer'])}.")
        return either(not found.get("not_held"), f"{found.get('held')} hold.", f"not: {', '.join(found['not_held'])}.")

    def _fact_of(self, pod: str) -> dict[str, Any]:
        """The one JSON object that the pod's ``doctor`` ended with."""
        for line in reversed(self._cluster.log(pod).splitlines()):
            try:
                fact = json.loads(line)
            except ValueError:
                continue
            if isinstance(fact, dict) and fact.get("job") == "doctor" and "lake" in fact:
                return fact
        raise NoError(f"pod {pod} started and said nothing of itself; is {self._options.image} this tool's image?")

    def _may(self, verb: str, group: str, resource: str) -> bool:
        name, _, sub = resource.partition("/")
        asked = {"namespace": self._cluster.namespace, "verb": verb, "group": group, "resource": name}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked | ({"subresource": sub} if sub else {})},
        }
        said = self._cluster.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(said.get("status", {}).get("allowed"))

    def _body(self) -> dict[str, Any]:
        options = self._options
        return job_body(
            JobSpec(
                name=self._name,
                identity={"doctor": self._name},
                image=options.image,
                image_pull_policy=options.image_pull_policy,
                args=("doctor",),
                service_account=options.service_account,
                env={"LOG_FORMAT": "json", **options.env},
                env_from=options.env_from,
                labels={**LABEL, specs.UNIT: "doctor"},
                tries=0,
                cpu=options.cpu,
                memory=options.memory,
                try_seconds=600,
                keep_seconds=600,
                queue=options.queue,
            )
        )

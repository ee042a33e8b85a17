"""The place ``kubernetes``: a job as a Kubernetes Job, created or adopted by what it is for.

An Airflow task is retried, cleared and killed; its Job does not depend on it. The name follows from the DAG run, the
task, the command and the image, so every try finds the same Job. What the work came to is read from the lake.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from etl_core.errors import BUG, PERMANENT
from etl_core.kube.describe import JobSpec, digest_annotation, job_body, job_name
from etl_core.kube.diagnose import diagnose
from etl_core.kube.explain import Diagnosis
from etl_core.kube.observe import container_state, phase_of_job
from orchestration.evidence import PROVED_BY_LAKE, evidence_of
from orchestration.outcomes import Outcome, fact_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from etl_core.kube.client import Cluster
    from etl_core.kube.describe import PodOptions
    from etl_core.lake import ObjectStore

PREFIX = "openpayments.io"
USER_ID = 10001  # of the image
HEARTBEAT = "HEARTBEAT_FILE"  # the setting of the jobs
LABELS = {"app.kubernetes.io/name": "data-pipeline", "app.kubernetes.io/managed-by": "airflow"}
JOB_OF_POD = "batch.kubernetes.io/job-name"


def body_of(command: Sequence[str], identity: Mapping[str, str], pod: PodOptions) -> dict[str, Any]:
    """The Job of a command for an Airflow task, which ``identity`` names.

    It has no retries of its own, since Airflow decides on those; disruptions count for none.
    """
    job, *arguments = command
    spec = JobSpec(
        name="",
        identity={**identity, "command": shlex.join(command)},
        args=("run", job, "--", *arguments),
        pod=replace(pod, retries=0),
        user_id=USER_ID,
        annotation_prefix=PREFIX,
        labels={**LABELS, "app.kubernetes.io/component": job.replace("_", "-")},
        annotations={f"{PREFIX}/{name}": value for name, value in identity.items()},
        heartbeat=HEARTBEAT,
    )
    _, digest = digest_annotation(job_body(spec))
    return job_body(replace(spec, name=job_name(f"af-{job}", *identity.values(), digest)))


def outcome_of_failure(why: Diagnosis, pods: Iterable[Mapping[str, Any]]) -> Outcome:
    """How a Job failed: the exit status of its container, or what the cluster did to it."""
    for ended in (container_state(pod).get("terminated") or {} for pod in pods):
        if why.reason == f"exit_{ended.get('exitCode')}":
            # Of a failed container the status keeps the end of its output, with the job's fact: here it says how long
            # to wait and why it failed, it decides nothing.
            return Outcome(int(ended["exitCode"]), fact_in(str(ended.get("message", "")).splitlines()), str(why))
    return Outcome(BUG.code if why.temporary else PERMANENT.code, {}, str(why))


class KubernetesPlace:
    """Runs one job as a Job of a cluster, and follows it to its end."""

    def __init__(
        self,
        cluster: Cluster,
        store: ObjectStore,
        *,
        identity: Mapping[str, str],
        pod: PodOptions,
        sleep: Callable[[float], None],
        poll_seconds: float,
    ) -> None:
        self._cluster = cluster
        self._store = store
        self._identity = identity
        self._pod = pod
        self._sleep = sleep
        self._poll_seconds = poll_seconds
        self.job = ""

    def run(self, command: Sequence[str]) -> Outcome:
        """Create the Job or adopt the running one, poll until it has ended, and say what the lake has.

        A Job of an earlier try that has ended is replaced: the job itself finds out what is left to do. A Job that is
        gone is done if the lake has its commit document; else the next try creates it again.

        Raises:
            PipelineError: the cluster or the lake does not answer, or refuses.

        """
        body = body_of(command, self._identity, self._pod)
        self.job = name = body["metadata"]["name"]
        if phase_of_job(self._cluster.job(name) or {}) in ("succeeded", "failed"):
            self._cluster.delete_job(name)
            while self._cluster.job(name) is not None:
                self._sleep(self._poll_seconds)
        self._cluster.create_job(body)
        while (found := self._cluster.job(name)) is not None:
            phase = phase_of_job(found)
            if phase == "succeeded":
                return self._by_lake(command, succeeded=True)
            pods = list(self._cluster.pods(f"{JOB_OF_POD}={name}"))
            why = diagnose(self._cluster, name, found, pods)
            if phase == "failed":
                return outcome_of_failure(why, pods)
            if not why.started and not why.temporary:
                self._cluster.delete_job(name)
                return Outcome(PERMANENT.code, {}, str(why))
            self._sleep(self._poll_seconds)
        return self._by_lake(command, succeeded=False)

    def cancel(self) -> None:
        """Delete the Job, its pod after it; what that has proved is kept."""
        if self.job:
            self._cluster.delete_job(self.job)

    def _by_lake(self, command: Sequence[str], *, succeeded: bool) -> Outcome:
        """By the commit of its work, where its job makes one; else by whether the Job succeeded."""
        fact = evidence_of(self._store, command)
        is_done = fact is not None if command[0] in PROVED_BY_LAKE else succeeded
        if is_done:
            return Outcome(0, {**(fact or {}), "job": command[0], "kubernetes_job": self.job})
        how = "ended with status 0, but" if succeeded else "was deleted, and"
        return Outcome(BUG.code, {}, f"Job {self.job} {how} {self._store.url} has no commit of its work.")

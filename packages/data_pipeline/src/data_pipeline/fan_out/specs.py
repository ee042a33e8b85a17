"""The Jobs of a fan-out plan: one per company, or one for all bins. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from etl_core.errors import UsageError
from etl_core.kube.describe import LONGEST_NAME, JobSpec, digest_annotation, job_body, job_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from data_pipeline.fan_out.documents import FanOutPlan, Shape
    from data_pipeline.open_payments.ledger.documents import Release
    from data_pipeline.settings import Settings

PREFIX = "openpayments.io"
USER_ID = 10001  # of the image; any user but root will do
UNIT = f"{PREFIX}/unit"
ATTEMPT = f"{PREFIX}/attempt"
RUN = f"{PREFIX}/run-id"
LEAST_GRACE_SECONDS = 60
# What every supported Kubernetes takes as the name of a variable.
_PAIR = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*=")

# The submitter's own settings that its workers need alike. None of them is a secret.
HANDED_ON = (
    "open_payments_url",
    "open_payments_user_agent",
    "source_timeout_seconds",
    "source_attempts",
    "source_first_wait_seconds",
    "log_level",
    "grace_seconds",
)


def handed_on(settings: Settings, lake_url: str) -> dict[str, str]:
    """The environment of a worker, as the submitter has it; ``lake_url`` is absolute."""
    found = {name.upper(): str(getattr(settings, name)) for name in HANDED_ON if getattr(settings, name) != ""}
    return found | {"LAKE_URL": lake_url}


def pairs(texts: Collection[str]) -> dict[str, str]:
    """``KEY=VALUE`` of a command line; raises ``UsageError`` for anything else."""
    for text in texts:
        if not _PAIR.match(text):
            raise UsageError(f"{text!r} is not KEY=VALUE.")
    return dict(text.partition("=")[::2] for text in texts)


@dataclass(frozen=True)
class PodOptions:
    """What every pod of a fan-out has alike."""

    image: str
    image_pull_policy: str = ""
    service_account: str = "data-pipeline-worker"
    queue: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    env_from: tuple[str, ...] = ()
    cpu: str = "500m"
    memory: str = "512Mi"
    tries: int = 3
    try_hours: float = 6.0


def labels_of_year(dataset: str, year: int) -> dict[str, str]:
    """What all Jobs of a year are found by, whatever their release, shape and run."""
    return {
        "app.kubernetes.io/name": "data-pipeline",
        "app.kubernetes.io/component": "fan-out-worker",
        f"{PREFIX}/dataset": dataset,
        f"{PREFIX}/year": str(year),
    }


def labels_of(release: Release, shape: Shape) -> dict[str, str]:
    """What all Jobs of one release and shape are found by, whatever run made them."""
    of_year = labels_of_year(release.dataset, release.year)
    return {**of_year, f"{PREFIX}/release": release.name, f"{PREFIX}/shape": shape}


def selector_of(labels: Mapping[str, str]) -> str:
    """Labels as a label selector."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def units_in(plan: FanOutPlan, digest: str) -> tuple[str, ...]:
    """What there is one Job for each, in the order in which they are begun: the companies, or this very plan."""
    return tuple(_unit(plan, digest, number) for number in range(1 if plan.shape == "packed" else len(plan.bins)))


def _unit(plan: FanOutPlan, digest: str, number: int) -> str:
    return f"packed-{digest[:12]}" if plan.shape == "packed" else plan.bins[number][0].company_id


def spec_of(plan: FanOutPlan, digest: str, number: int, attempt: int, options: PodOptions) -> JobSpec:
    """The Job of the unit at that place of ``units_in``. Its name says what it does, not which run wants it done."""
    packed = plan.shape == "packed"
    index = None if packed else number
    unit = _unit(plan, digest, number)
    release = plan.release
    args = ["run", "fan_out_worker", "--", "--plan", plan.run_id, "--shape", plan.shape, "--digest", digest]
    identity = {
        "dataset": release.dataset,
        "distribution": release.distribution_id,
        "unit": digest if packed else unit,
    }
    share = max(plan.streams) if index is None else plan.streams[index]
    spec = JobSpec(
        name="",
        identity=identity,
        image=options.image,
        image_pull_policy=options.image_pull_policy,
        args=tuple(args if index is None else [*args, "--index", str(index)]),
        service_account=options.service_account,
        user_id=USER_ID,
        annotation_prefix=PREFIX,
        env={"LOG_FORMAT": "json", **options.env, "SOURCE_MAX_STREAMS": str(share)},
        env_from=options.env_from,
        labels={**labels_of(release, plan.shape), UNIT: unit, RUN: as_label(plan.run_id), ATTEMPT: str(attempt)},
        annotations={RUN: plan.run_id, f"{PREFIX}/plan-sha256": digest},
        indexes=len(plan.bins) if packed else None,
        retries=options.tries,
        cpu=options.cpu,
        memory=options.memory,
        attempt_seconds=round(options.try_hours * 3600),
        grace_seconds=_grace(options.env),
        queue=options.queue,
    )
    _, digest_of_spec = digest_annotation(job_body(spec))
    slug = f"op-{release.year}-{plan.shape if packed else unit}"
    return replace(spec, name=job_name(slug, *identity.values(), options.image, digest_of_spec, str(attempt)))


def body_of(plan: FanOutPlan, digest: str, number: int, attempt: int, options: PodOptions) -> dict[str, Any]:
    """The same as the API server takes it."""
    return job_body(spec_of(plan, digest, number, attempt, options))


def _grace(env: Mapping[str, str]) -> int:
    """Seconds until Kubernetes kills a pod it ends: longer than the pod gives its windows under way."""
    try:
        own = math.ceil(float(env.get("GRACE_SECONDS", "0")))
    except (ValueError, OverflowError):  # the worker says so better
        own = 0
    return max(LEAST_GRACE_SECONDS, own + LEAST_GRACE_SECONDS // 2)


def as_label(run_id: str) -> str:
    """A run id as a label; one too long for it, or that ends oddly, by its hash. The annotation has it whole."""
    fits = len(run_id) <= LONGEST_NAME and run_id[-1].isalnum()
    return run_id if fits else hashlib.sha256(run_id.encode()).hexdigest()[:32]

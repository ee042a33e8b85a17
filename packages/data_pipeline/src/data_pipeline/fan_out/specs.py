"""The Jobs of a fan-out plan: one per company, or one for all bins. Pure."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from data_pipeline.lake_layout.ids import encoded_company
from etl_core.kube.describe import LONGEST_NAME, JobSpec, PodOptions, digest_annotation, job_body, job_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from data_pipeline.fan_out.documents import FanOutPlan, Shape
    from data_pipeline.open_payments.ledger.documents import Release
    from data_pipeline.settings import Settings

PREFIX = "openpayments.io"
USER_ID = 10001  # of the image; any user but root will do
UNIT = f"{PREFIX}/unit"
ATTEMPT = f"{PREFIX}/attempt"
RUN = f"{PREFIX}/run-id"
RELEASE = f"{PREFIX}/release"
MIN_GRACE_SECONDS = 60
HEARTBEAT = "HEARTBEAT_FILE"  # the setting

# Settings of the submitter that its workers need, too. None of them is a secret.
WORKER_SETTINGS = (
    "open_payments_url",
    "open_payments_user_agent",
    "source_timeout_seconds",
    "source_attempts",
    "source_first_wait_seconds",
    "log_level",
    "grace_seconds",
)


def worker_env(settings: Settings, lake_url: str) -> dict[str, str]:
    """The environment of a worker, from the submitter's settings; ``lake_url`` is absolute."""
    found = {name.upper(): str(getattr(settings, name)) for name in WORKER_SETTINGS if getattr(settings, name) != ""}
    return found | {"LAKE_URL": lake_url}


def labels_of_year(lake_id: str, dataset: str, year: int) -> dict[str, str]:
    """The labels of all Jobs of a year in one lake, whatever their release, shape and run."""
    return {
        "app.kubernetes.io/name": "data-pipeline",
        "app.kubernetes.io/component": "fan-out-worker",
        f"{PREFIX}/lake": lake_id,
        f"{PREFIX}/dataset": dataset,
        f"{PREFIX}/year": str(year),
    }


def labels_of(lake_id: str, release: Release, shape: Shape) -> dict[str, str]:
    """The labels of all Jobs of one release and shape in one lake, whatever run created them."""
    of_year = labels_of_year(lake_id, release.dataset, release.year)
    return {**of_year, RELEASE: release.name, f"{PREFIX}/shape": shape}


def selector_of(labels: Mapping[str, str]) -> str:
    """Labels as a label selector."""
    return ",".join(f"{name}={value}" for name, value in labels.items())


def units_in(plan: FanOutPlan, digest: str) -> tuple[str, ...]:
    """The units, one Job each, in the order in which they are launched: the companies, or the packed plan itself."""
    return tuple(_unit(plan, digest, number) for number in range(1 if plan.shape == "packed" else len(plan.bins)))


def _unit(plan: FanOutPlan, digest: str, number: int) -> str:
    return f"packed-{digest[:12]}" if plan.shape == "packed" else unit_of_company(plan.bins[number][0].company_id)


def companies_by_unit(plan: FanOutPlan, digest: str) -> dict[str, frozenset[str]]:
    """Whose slices each Job proves."""
    if plan.shape == "packed":
        return dict.fromkeys(units_in(plan, digest), frozenset(unit.company_id for unit in plan.units))
    return {_unit(plan, digest, at): frozenset({own[0].company_id}) for at, own in enumerate(plan.bins)}


def unit_of_company(company_id: str) -> str:
    """The unit of a company's Job, a label: the id as it stands in keys, or its hash where that is too long."""
    return as_label(encoded_company(company_id))


def body_of(plan: FanOutPlan, digest: str, number: int, attempt: int, options: PodOptions) -> dict[str, Any]:
    """The body of the Job for the unit at that place of ``units_in``; its name follows from the work, not the run."""
    packed, release, unit = plan.shape == "packed", plan.release, _unit(plan, digest, number)
    args = ["run", "fan_out_worker", "--", "--plan", plan.run_id, "--shape", plan.shape, "--digest", digest]
    identity = {
        "lake": plan.lake_id,
        "dataset": release.dataset,
        "distribution": release.distribution_id,
        "unit": digest if packed else unit,
    }
    streams = max(plan.streams) if packed else plan.streams[number]
    # The lake's id says which lake it is; two submitters may reach it under two addresses.
    address = {name: value for name, value in options.env.items() if name == "LAKE_URL"}
    env = {name: value for name, value in options.env.items() if name not in address}
    spec = JobSpec(
        name="",
        identity=identity,
        more_env=address,
        args=tuple(args if packed else [*args, "--index", str(number)]),
        pod=replace(
            options,
            env={"LOG_FORMAT": "json", **env, "SOURCE_MAX_STREAMS": str(streams)},
            grace_seconds=_grace(options.env),
        ),
        user_id=USER_ID,
        annotation_prefix=PREFIX,
        heartbeat=HEARTBEAT,
        labels={
            **labels_of(plan.lake_id, release, plan.shape),
            UNIT: unit,
            RUN: as_label(plan.run_id),
            ATTEMPT: str(attempt),
        },
        annotations={RUN: plan.run_id, f"{PREFIX}/plan-sha256": digest},
        indexes=len(plan.bins) if packed else None,
    )
    slug = f"op-{release.year}-{plan.shape if packed else unit}"
    _, spec_digest = digest_annotation(job_body(spec))
    return job_body(replace(spec, name=job_name(slug, *identity.values(), options.image, spec_digest, str(attempt))))


def bodies_of(plan: FanOutPlan, digest: str, options: PodOptions) -> list[dict[str, Any]]:
    """The bodies of all Jobs of a plan, first attempts."""
    return [body_of(plan, digest, number, 1, options) for number in range(len(units_in(plan, digest)))]


def _grace(env: Mapping[str, str]) -> int:
    """Seconds until Kubernetes kills a pod that it stops: more than the worker's own ``GRACE_SECONDS``."""
    try:
        own = math.ceil(float(env.get("GRACE_SECONDS", "0")))
    except (ValueError, OverflowError):  # the worker reports it better
        own = 0
    return max(MIN_GRACE_SECONDS, own + MIN_GRACE_SECONDS // 2)


def as_label(text: str) -> str:
    """A run id or a payer's id in keys as a label value, or its hash where it cannot be one."""
    fits = len(text) <= LONGEST_NAME and text[-1].isalnum()
    return text if fits else hashlib.sha256(text.encode()).hexdigest()[:32]

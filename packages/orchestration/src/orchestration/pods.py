"""What the pod of a job needs, as its Kubernetes example has it: ``pods.json`` is generated from the jobs."""

from __future__ import annotations

import json
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from etl_core.kube.describe import PodOptions
    from orchestration.settings import Settings


def pod_of(job: str, settings: Settings) -> PodOptions:
    """The pod of a job; raises ``ConfigError`` for a job that a Kubernetes Job cannot run."""
    from etl_core.errors import ConfigError
    from etl_core.kube.describe import PodOptions

    text = resources.files("orchestration").joinpath("pods.json").read_text(encoding="utf-8")
    needs: dict[str, Any] | None = json.loads(text).get(job)
    if needs is None:
        raise ConfigError(f"job {job} has no Kubernetes example.", advice="Run it in the place process.")
    return PodOptions(
        image=settings.image,
        service_account=needs["service_account"],
        env={"LOG_FORMAT": "json"},
        env_from=(*filter(None, settings.env_from.split(",")), *needs["env_from"]),
        # Outside a service mesh, whose proxy would outlive the job; without a mesh both do nothing.
        pod_label={"sidecar.istio.io/inject": "false"},
        pod_annotation={"linkerd.io/inject": "disabled"},
        timeout_hours=float(settings.timeout_hours),
        **needs["pod"],
    )

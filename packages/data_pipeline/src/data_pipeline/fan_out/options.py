"""The options of a fan-out besides its selection. The options of its command line are made from these fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from data_pipeline.fan_out.decide import Limits
from etl_core.kube.describe import PodOptions


def default_pod() -> PodOptions:
    """Our image under our service account."""
    return PodOptions(image="etl-data-pipeline", service_account="data-pipeline-worker")


@dataclass(frozen=True)
class FanOutOptions:
    """How a selection is spread over pods."""

    shape: Annotated[
        Literal["auto", "per-company", "packed"], "auto: the cheapest of the shapes that take about the same time."
    ] = "auto"
    pods: Annotated[int | None, (1, None), "packed: number of pods. Default: one per 8 streams."] = None
    namespace: Annotated[str, "Default: that of the kubeconfig's context, else data-pipeline."] = ""
    max_in_flight: Annotated[int | None, (1, None), "Maximum of unfinished Jobs. Default: the streams."] = None
    pod: PodOptions = field(default_factory=default_pod)
    limits: Limits = field(default_factory=Limits)

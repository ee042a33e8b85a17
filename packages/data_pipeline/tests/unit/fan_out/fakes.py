"""Plans and options for the tests of a fan-out."""

from typing import Any

from data_pipeline.fan_out.documents import FanOutPlan, Shape, Unit
from data_pipeline.fan_out.observe import ObservedJob
from etl_core.kube.describe import PodOptions
from etl_core.kube.observe import Phase
from packages.data_pipeline.tests.unit.fakes import a_release

LAKE_ID = "0123456789ab"
A, B, C, D = "101", "102", "103", "104"
OPTIONS = PodOptions("registry.test/etl:1", "worker", env={"LAKE_URL": "s3://lake"})


def a_unit(company_id: str = A, number: int = 1, of: int = 1, rows: int = 10) -> Unit:
    return Unit(company_id=company_id, number=number, of=of, rows=rows)


def a_fan_out(*bins: tuple[Unit, ...], shape: Shape = "per-company", **changes: Any) -> FanOutPlan:
    """A plan of these bins, one stream each."""
    bins = bins or ((a_unit(A, rows=30),), (a_unit(B, rows=20),), (a_unit(C),))
    values: dict[str, Any] = {
        "run_id": "r1",
        "lake_id": LAKE_ID,
        "shape": shape,
        "release": a_release(),
        "streams": (1,) * len(bins),
        "bins": bins,
    }
    return FanOutPlan(**values | changes)


def a_job(unit: str = A, phase: Phase = "running", attempt: int = 1, **changes: Any) -> ObservedJob:
    values: dict[str, Any] = {"started": phase != "waiting", "name": f"op-{unit}-{attempt}"} | changes
    return ObservedJob(unit=unit, attempt=attempt, phase=phase, **values)

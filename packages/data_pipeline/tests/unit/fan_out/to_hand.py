"""Plans and options to hand, for the tests of a fan-out."""

from typing import Any

from data_pipeline.fan_out.documents import FanOutPlan, Shape, Unit
from data_pipeline.fan_out.specs import PodOptions
from packages.data_pipeline.tests.unit.fakes import a_release

A, B, C, D = "101", "102", "103", "104"
OPTIONS = PodOptions(image="registry.test/etl:1", env={"LAKE_URL": "s3://lake"})


def a_unit(company_id: str = A, number: int = 1, of: int = 1, rows: int = 10) -> Unit:
    return Unit(company_id=company_id, number=number, of=of, rows=rows)


def a_fan_out(*bins: tuple[Unit, ...], shape: Shape = "per-company", **changes: Any) -> FanOutPlan:
    """A plan of these bins, one stream each."""
    bins = bins or ((a_unit(A, rows=30),), (a_unit(B, rows=20),), (a_unit(C),))
    values: dict[str, Any] = {
        "run_id": "r1",
        "shape": shape,
        "release": a_release(),
        "streams": (1,) * len(bins),
        "bins": bins,
    }
    return FanOutPlan(**values | changes)

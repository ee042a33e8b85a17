"""The plan of a fan-out in the lake: written once, referred to by its digest."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.fan_out.documents import FanOutPlan
from etl_core.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore


def write_plan(store: ObjectStore, plan: FanOutPlan) -> tuple[FanOutPlan, str]:
    """The plan of this run and shape as it stands in the lake, ours or an earlier submitter's, and its digest."""
    key = lake_layout.fan_out.plan(plan.run_id, plan.shape)
    body = plan.to_bytes()
    if not store.put_new(key, body).created:
        body = store.get(key) or b""
    return FanOutPlan.parse(body, key), _digest(body)


def read_plan(store: ObjectStore, run_id: str, shape: str, digest: str, index: int) -> FanOutPlan:
    """The plan a worker was sent with.

    Raises:
        NotFoundError: the lake has none; the workers may see another lake than the submitter.
        DataError: it is another plan, or has no such bin.

    """
    key = lake_layout.fan_out.plan(run_id, shape)
    body = store.get(key)
    if body is None:
        raise NotFoundError(
            f"{store.url} has no {key}.",
            advice="Workers must see the submitter's lake: give them its address with --env LAKE_URL=….",
        )
    if _digest(body) != digest:
        raise DataError(f"{key} has sha256 {_digest(body)}, this worker was sent with {digest}.")
    plan = FanOutPlan.parse(body, key)
    if index >= len(plan.bins):
        raise DataError(f"{key} has {len(plan.bins)} bins, there is none with the number {index}.")
    return plan


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()

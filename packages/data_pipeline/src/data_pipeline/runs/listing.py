"""The runs of a lake, of all domains, the newest first."""

from __future__ import annotations

import contextlib
import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from data_pipeline import lake_layout
from data_pipeline.runs.pointers import with_moments
from etl_core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from etl_core.lake import ObjectStore


@dataclass(frozen=True)
class ListedRun:
    """A run as its plan and its manifest describe it; ``open`` without a manifest. ``rows`` are proved ones."""

    run_id: str
    begun: str
    status: str
    selection: dict[str, Any]
    rows: int | None


class _Plan(BaseModel):
    """What plans of all domains have."""

    created_at: str = ""
    selection: dict[str, Any] = {}


class _Manifest(BaseModel):
    """What manifests of all domains have."""

    status: str = "open"
    rows: int | None = None


M = TypeVar("M", bound=BaseModel)


def newest_first(store: ObjectStore, domains: Iterable[str]) -> Iterator[tuple[str, datetime]]:
    """The names of the runs of these domains and when each began; lazily, page by page of the listings."""
    folders = map(lake_layout.runs.all_selections, domains)
    return heapq.merge(*(with_moments(store, one) for one in folders), key=lambda run: run[1], reverse=True)


def newest(store: ObjectStore, domains: Iterable[str]) -> str:
    """The run that was begun last; raises ``NotFoundError`` in a lake without one."""
    for run_id, _ in newest_first(store, domains):
        if _read(_Plan, store, lake_layout.runs.plan(run_id)):
            return run_id
    raise NotFoundError(f"{store.url} has no run yet.", advice="Begin one: data-pipeline list shows the jobs.")


def listed(store: ObjectStore, domains: Iterable[str]) -> Iterator[ListedRun]:
    """The runs themselves. A pointer to a plan that was never written is passed over."""
    for run_id, _ in newest_first(store, domains):
        with contextlib.suppress(NotFoundError):
            yield listed_run(store, run_id)


def listed_run(store: ObjectStore, run_id: str) -> ListedRun:
    """One run; raises ``NotFoundError`` if it has no plan that can be read."""
    plan = _read(_Plan, store, lake_layout.runs.plan(run_id))
    if plan is None:
        raise NotFoundError(f"{store.url} has no plan of run {run_id} that can be read.")
    manifest = _read(_Manifest, store, lake_layout.runs.manifest(run_id)) or _Manifest()
    return ListedRun(
        run_id=run_id,
        begun=plan.created_at,
        status=manifest.status,
        selection={name: value for name, value in plan.selection.items() if value is not None},
        rows=manifest.rows,
    )


def _read(kind: type[M], store: ObjectStore, key: str) -> M | None:
    """A document of any domain; None if it is not there, or cannot be read: one damaged run hides no other."""
    try:
        return kind.model_validate_json(store.get(key) or b"")
    except ValidationError:
        return None

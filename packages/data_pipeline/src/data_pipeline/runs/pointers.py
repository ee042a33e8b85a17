"""Pointers: small create-only objects by which a run is found without reading the plans of all.

A pointer is written before what it points to. A process that dies in between leaves one that points
to nothing, which readers skip; plan and manifest stay the only truth. The names in a folder of
pointers sort newest first, so the first page of a listing is enough, however many runs there are.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from data_pipeline import lake_layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from data_pipeline.runs.documents import RunManifest, RunPlan
    from etl_core.documents import Value
    from etl_core.lake import ObjectStore


def hash_of(selection: Value) -> str:
    """A selection's name in keys. Fields at their default are left out, so a new field moves no old selection."""
    asked = selection.model_dump(mode="json", exclude_defaults=True)
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def of_plan(plan: RunPlan) -> tuple[str, ...]:
    """The pointers to a plan, among those of its selection and edition and among all of its domain, and its markers."""
    own = lake_layout.runs.selection(hash_of(plan.selection), plan.edition)
    folders = (own, lake_layout.runs.all_selections(plan.domain))
    domain = (lake_layout.runs.domain(plan.run_id, plan.domain),) if plan.domain else ()
    return (
        *domain,
        *plan.markers,
        *(lake_layout.runs.pointer(folder, plan.created_at, plan.run_id) for folder in folders),
    )


def of_manifest(manifest: RunManifest) -> tuple[str, ...]:
    """The pointers to a manifest, one in each of its folders."""
    return tuple(lake_layout.runs.pointer(one, manifest.finished_at, manifest.run_id) for one in manifest.folders)


def write(store: ObjectStore, keys: Iterable[str]) -> None:
    """Create pointers; one that is there is left."""
    for key in keys:
        store.put_new(key, b"")


def newest_first(store: ObjectStore, folder: str, *, since: datetime | None = None) -> Iterator[str]:
    """The runs that the pointers below a folder name, the newest first; lazily, page by page of the listing."""
    for run_id, at in with_moments(store, folder):
        if since is not None and at < since:
            return
        yield run_id


def with_moments(store: ObjectStore, folder: str) -> Iterator[tuple[str, datetime]]:
    """The same, each with the moment that its pointer has."""
    return filter(None, (lake_layout.runs.run_of_pointer(entry.key) for entry in store.list(folder)))

"""Releases that newer ones replaced: what of them can be removed, in the order in which it is.

A release is replaced once so many later ones are closed. The pointers to its runs go first, so that nobody finds them
any more, the manifest of a run last of it, the release's name last of all: a process that dies leaves what the next one
needs to go on.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import plans, releases
from data_pipeline.open_payments.ledger.documents import NamedRelease
from data_pipeline.runs import pointers
from data_pipeline.runs.plans import all_runs
from etl_core.documents import read
from etl_core.errors import DataError
from etl_core.lake import in_parallel
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Manifest, Plan, Release
    from etl_core.lake import ObjectInfo, ObjectStore

_log = get_logger()


@dataclass(frozen=True)
class OwnRun:
    """A run of a release: its plan or its manifest can be missing, not both."""

    run_id: str
    plan: Plan | None
    manifest: Manifest | None

    @property
    def release(self) -> Release:
        """That the run is of."""
        document = self.manifest or self.plan
        if document is None:
            raise DataError(f"run {self.run_id} has neither plan nor manifest.")
        return document.release


@dataclass(frozen=True)
class OwnRelease:
    """A release with its runs."""

    release: Release
    runs: Sequence[OwnRun] = field(default_factory=tuple)

    @property
    def scope(self) -> str:
        """Its folder in every zone."""
        return lake_layout.open_payments.scope(self.release.dataset, self.release.year, self.release.name)

    @property
    def closed_at(self) -> str:
        """When its newest closed run was planned; empty if none is closed."""
        closed = (one.manifest for one in self.runs if one.manifest is not None and one.manifest.is_closed)
        return max((one.created_at.isoformat() for one in closed), default="")

    @property
    def unfinished(self) -> list[str]:
        """The runs that are not committed: what they left may be taken up."""
        return [one.run_id for one in self.runs if one.manifest is None]


def replaced(own: Sequence[OwnRelease], keep: int) -> list[OwnRelease]:
    """Of the releases of one year those that ``keep`` later closed ones replace, the oldest first."""
    by_age = sorted(own, key=lambda one: (one.release.modified, one.closed_at))
    closed = [number for number, one in enumerate(by_age) if one.closed_at]
    return by_age[: closed[-keep] if len(closed) >= keep else 0]


def old_releases(
    store: ObjectStore, keep: int, is_needed: Callable[[str], bool], before: datetime
) -> dict[str, list[ObjectInfo]]:
    """The objects of each replaced release in the order of removal, by its scope.

    One that is needed, has an unfinished run, or has anything that was written after ``before`` is kept. If a document
    cannot be read, it is not known what it keeps: it is named in the log, and every release is kept.
    """
    try:
        own = _own_releases(store)
    except DataError as error:
        _log.warning("every release is kept: a document cannot be read", error=str(error))
        return {}
    years = defaultdict(list)
    for one in own:
        years[one.release.dataset, one.release.year].append(one)
    found: dict[str, list[ObjectInfo]] = {}
    for one in (old for of_year in years.values() for old in replaced(of_year, keep)):
        objects = list(_objects_of(store, one))
        if one.unfinished:
            _log.warning("a replaced release is kept: commit its run", release=one.scope, run=one.unfinished[0])
        elif not is_needed(one.scope) and all(entry.modified < before for entry in objects):
            found[one.scope] = objects
    return found


def _objects_of(store: ObjectStore, old: OwnRelease) -> Iterator[ObjectInfo]:
    where = old.release.dataset, old.release.year, old.release.name
    yield from store.list(lake_layout.open_payments.pointers_to_commits(*where))
    for run in old.runs:
        pointing = (store.head(key) for key in (pointers.of_plan(run.plan) if run.plan else ()))
        yield from (entry for entry in pointing if entry is not None)
        # A plan without a manifest would be an unfinished run.
        order = {lake_layout.runs.plan(run.run_id): -1, lake_layout.runs.manifest(run.run_id): 1}
        yield from sorted(
            store.list(lake_layout.runs.folder(run.run_id)), key=lambda one: (order.get(one.key, 0), one.key)
        )
    audits = list(store.list(lake_layout.open_payments.release_audits(*where)))
    yield from sorted(audits, key=lambda one: lake_layout.open_payments.company_of_slice_audit(one.key) is None)
    yield from store.list(lake_layout.open_payments.release_parts(*where))
    for key in (lake_layout.open_payments.schema(*where), releases.key_of(old.release)):
        entry = store.head(key)
        if entry is not None:
            yield entry


def _own_releases(store: ObjectStore) -> list[OwnRelease]:
    named = [
        entry.key
        for entry in store.list(lake_layout.open_payments.SCHEMAS)
        if lake_layout.open_payments.is_named_release(entry.key)
    ]
    runs = defaultdict(list)
    documents = in_parallel(partial(read, NamedRelease, store), named)
    for run in in_parallel(partial(_own_run, store), (run_id for run_id, _ in all_runs(store))):
        runs[run.release.dataset, run.release.year, run.release.distribution_id].append(run)
    return [
        OwnRelease(one.release, runs[one.release.dataset, one.release.year, one.release.distribution_id])
        for one in documents
        if one is not None
    ]


def _own_run(store: ObjectStore, run_id: str) -> OwnRun:
    return OwnRun(run_id, plans.read_plan(store, run_id), plans.read_manifest(store, run_id))

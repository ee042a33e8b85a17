"""Plans of Open Payments: the run of a selection, and what earlier runs of a year counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.documents import Manifest, Plan
from data_pipeline.open_payments.ledger.selection import describe
from data_pipeline.runs import commit, plans, pointers
from etl_core.documents import read_or_skip
from etl_core.errors import ConflictError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release, Selection
    from etl_core.lake import ObjectStore


def read_plan(store: ObjectStore, run_id: str) -> Plan | None:
    """The plan of a run, or None."""
    return plans.read_plan(Plan, store, run_id)


def require_plan(store: ObjectStore, run_id: str) -> Plan:
    """The plan of a run that must exist; raises ``NotFoundError`` otherwise."""
    return plans.require_plan(Plan, store, run_id)


def read_manifest(store: ObjectStore, run_id: str) -> Manifest | None:
    """The manifest of a run, or None: then the run is not committed."""
    return commit.read_manifest(Manifest, store, run_id)


def find_run(
    store: ObjectStore, selection: Selection, release: Release, run_id: str = ""
) -> tuple[Plan, Manifest | None] | None:
    """The newest run of this selection and release that is unfinished or completed; of one name, if given.

    An unfinished run is to be continued; a completed one needs nothing more. A run that ended
    otherwise is over, and a new one takes up what it left.

    Raises:
        ConflictError: the run id is taken by another selection.

    """
    found = newest_run(store, selection, release, run_id)
    return None if found is None or is_over(*found) else found


def newest_run(
    store: ObjectStore, selection: Selection, release: Release, run_id: str = ""
) -> tuple[Plan, Manifest | None] | None:
    """The newest run of this selection and release, however it ended; raises as ``find_run``."""
    newest = _newest_named(store, selection, release, run_id) if run_id else None
    if not run_id:
        newest = plans.newest_plan(Plan, store, selection, release.distribution_id)
    return None if newest is None else (newest, read_manifest(store, newest.run_id))


def is_over(plan: Plan, manifest: Manifest | None) -> bool:
    """Whether the run is committed and was not completed, so that another takes up what it left."""
    # Whether a rerun has anything to do is asked of the run it is of, not of an earlier rerun.
    is_done = manifest is not None and manifest.status == "completed" and plan.selection.rerun_of is None
    return manifest is not None and not is_done


def _newest_named(store: ObjectStore, selection: Selection, release: Release, run_id: str) -> Plan | None:
    named = plans.plans_named(Plan, store, run_id)
    if named and named[0].selection != selection:
        raise ConflictError(
            f"run {run_id} is planned already, for {describe(named[0].selection)}.",
            advice="Choose another --run-id, or leave it out.",
        )
    same = [one for one in named if one.selection == selection and one.edition == release.distribution_id]
    return max(same, key=lambda plan: plan.created_at, default=None)


def last_confirmed_release(store: ObjectStore, release: Release) -> Manifest | None:
    """The newest committed run of another release of the same dataset and year whose table was confirmed as whole."""
    prefix = lake_layout.open_payments.schemas(release.dataset, release.year)
    names = (lake_layout.open_payments.release_of_schema(entry.key) for entry in store.list(prefix))
    where = release.dataset, release.year
    newest = [
        next(_manifests(store, lake_layout.open_payments.confirmed(*where, name), name), None)
        for name in names
        if name and name != release.name
    ]
    return max(filter(None, newest), key=lambda one: one.finished_at, default=None)


def committed(store: ObjectStore, dataset: str, year: int, release: str) -> Iterator[Manifest]:
    """The manifests of a release, the newest first, read one by one as they are asked for."""
    return _manifests(store, lake_layout.open_payments.commits(dataset, year, release), release)


def _manifests(store: ObjectStore, folder: str, release: str) -> Iterator[Manifest]:
    keys = map(lake_layout.runs.manifest, pointers.newest_first(store, folder))
    manifests = (read_or_skip(Manifest, store, key) for key in keys)
    return (one for one in manifests if one is not None and one.release.name == release)


def largest_reference_rows(store: ObjectStore, release: Release) -> int | None:
    """The largest reference count that a plan of this release was made with, or None."""
    prefix = lake_layout.open_payments.reference_counts(release.dataset, release.year, release.name)
    counts = (lake_layout.open_payments.rows_of_reference_count(entry.key) for entry in store.list(prefix))
    return max((rows for rows in counts if rows is not None), default=None)


def counts_at_end(store: ObjectStore, release: Release, since: datetime | None = None) -> dict[str, int]:
    """What the source counted of payers at the end of runs that had other rows of them, by the newest such run."""
    folder = lake_layout.open_payments.recounts(release.dataset, release.year, release.name)
    counted: dict[str, int] = {}
    for run_id in pointers.newest_first(store, folder, since=since):
        manifest = read_or_skip(Manifest, store, lake_layout.runs.manifest(run_id))
        for payer in () if manifest is None else (*manifest.closure.moved, *manifest.closure.unplanned):
            counted.setdefault(payer.company_id, payer.source_rows)
    return counted


def must_be_current(plan: Plan, release: Release) -> None:
    """Raise ``TemporaryError`` if the source has republished since ``plan``: its rows no longer exist there."""
    if plan.release.distribution_id != release.distribution_id:
        raise TemporaryError(
            f"run {plan.run_id} is of release {plan.release.name}, the source has published {release.name} since.",
            advice="Run the pipeline again: data-pipeline run run_pipeline -- "
            f"--dataset {release.dataset} --year {release.year}",
        )

"""Plans and manifests in the lake: written once, found again."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.audits import READERS
from data_pipeline.open_payments.ledger.documents import Manifest, Plan
from data_pipeline.open_payments.ledger.selection import describe
from etl_core.documents import read
from etl_core.errors import ConflictError, NotFoundError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release, Selection
    from etl_core.lake import ObjectStore

MOST_RUNS_OF_A_NAME = 1000
M = TypeVar("M", Plan, Manifest)


def default_run_id(now: datetime) -> str:
    """A run's name: its start in UTC."""
    return now.strftime("%Y-%m-%dT%H-%M-%S")


def find_run(
    store: ObjectStore, selection: Selection, release: Release, run_id: str = ""
) -> tuple[Plan, Manifest | None] | None:
    """The newest run of this selection and release that is unfinished or completed; of one name, if given.

    An unfinished run is to be continued; a completed one needs nothing more. A run that ended
    otherwise is over, and a new one takes up what it left.

    Raises:
        ConflictError: the run id is taken by another selection.

    """
    found = _plans_named(store, run_id) if run_id else _of_all_runs(store, read_plan)
    if run_id and found and found[0].selection != selection:
        raise ConflictError(
            f"run {run_id} is planned already, for {describe(found[0].selection)}.",
            advice="Choose another --run-id, or leave it out.",
        )
    same = [
        plan
        for plan in found
        if plan.selection == selection and plan.release.distribution_id == release.distribution_id
    ]
    if not same:
        return None
    # By the time in the plan: a name given by hand stands anywhere in the alphabet.
    newest = max(same, key=lambda plan: plan.created_at)
    manifest = read_manifest(store, newest.run_id)
    # Whether a rerun has anything to do is asked of the run it is of, not of an earlier rerun.
    is_done = manifest is not None and manifest.status == "completed" and selection.rerun_of is None
    return (newest, manifest) if manifest is None or is_done else None


def write_plan(store: ObjectStore, plan: Plan) -> Plan:
    """Write a plan under its run's name, or that with a number where the name is taken: two may begin within a second.

    A run of the same selection and release that has the name and is still open is joined.
    """
    for number in range(1, MOST_RUNS_OF_A_NAME):
        run_id = _nth(plan.run_id, number)
        named = plan.model_copy(update={"run_id": run_id})
        if store.put_new(lake_layout.runs.plan(run_id), named.to_bytes()).created:
            return named
        theirs = require_plan(store, run_id)
        same = theirs.selection == plan.selection and theirs.release == plan.release
        if same and read_manifest(store, run_id) is None:
            return theirs
    raise ConflictError(f"{MOST_RUNS_OF_A_NAME} runs are named {plan.run_id}.", advice="Choose another --run-id.")


def read_plan(store: ObjectStore, run_id: str) -> Plan | None:
    """The plan of a run, or None."""
    return read(Plan, store, lake_layout.runs.plan(run_id))


def require_plan(store: ObjectStore, run_id: str) -> Plan:
    """The plan of a run that must exist."""
    plan = read_plan(store, run_id)
    if plan is None:
        raise NotFoundError(f"{store.url} has no run {run_id}.", advice="Name one that metadata/runs/ holds.")
    return plan


def read_manifest(store: ObjectStore, run_id: str) -> Manifest | None:
    """The manifest of a run, or None: then the run is not committed."""
    return read(Manifest, store, lake_layout.runs.manifest(run_id))


def last_of_another_release(store: ObjectStore, release: Release) -> Manifest | None:
    """The newest committed run of another release of the same dataset and year."""
    others = [
        one
        for one in committed(store)
        # The count of a torn run is that of the release after its own.
        if one.status != "torn"
        and (one.dataset, one.year) == (release.dataset, release.year)
        and one.release.distribution_id != release.distribution_id
    ]
    return others[-1] if others else None


def counts_at_end(store: ObjectStore, release: Release, since: datetime | None = None) -> dict[str, int]:
    """What the source counted of payers at the end of runs that had other rows of them, by the newest such run."""
    ended = [
        one
        for one in committed(store)
        if one.release.distribution_id == release.distribution_id and (since is None or one.finished_at >= since)
    ]
    return {
        payer.company_id: payer.source_rows for one in ended for payer in (*one.closure.moved, *one.closure.unplanned)
    }


def committed(store: ObjectStore) -> list[Manifest]:
    """The manifests of all runs, in the order in which they were finished."""
    return sorted(_of_all_runs(store, read_manifest), key=lambda one: one.finished_at)


def run_ids(store: ObjectStore) -> list[str]:
    """Every run that has a plan or a manifest."""
    found = (lake_layout.runs.run_of(entry.key) for entry in store.list(lake_layout.runs.RUNS))
    return list(dict.fromkeys(filter(None, found)))


def _of_all_runs(store: ObjectStore, read_one: Callable[[ObjectStore, str], M | None]) -> list[M]:
    """The plan or the manifest of each run that has one."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(filter(None, pool.map(lambda run_id: read_one(store, run_id), run_ids(store))))


def _nth(run_id: str, number: int) -> str:
    """The name of the run that follows those of this name which are over."""
    return run_id if number == 1 else f"{run_id}-{number}"


def _plans_named(store: ObjectStore, run_id: str) -> list[Plan]:
    one_by_one = (read_plan(store, _nth(run_id, number)) for number in itertools.count(1))
    return [plan for plan in itertools.takewhile(lambda plan: plan is not None, one_by_one) if plan]


def must_be_current(plan: Plan, release: Release) -> None:
    """Raise ``TemporaryError`` if the source has published anew since ``plan``: its rows are there no more."""
    if plan.release.distribution_id != release.distribution_id:
        raise TemporaryError(
            f"run {plan.run_id} is of release {plan.release.name}, the source has published {release.name} since.",
            advice="Run the pipeline anew: data-pipeline run run_pipeline -- "
            f"--dataset {release.dataset} --year {release.year}",
        )

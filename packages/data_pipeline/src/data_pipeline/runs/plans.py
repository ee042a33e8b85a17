"""Plans: named, written once, joined and found again."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, TypeVar

from data_pipeline import lake_layout
from data_pipeline.runs import pointers
from data_pipeline.runs.documents import RunPlan
from etl_core.documents import read, read_or_skip
from etl_core.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from etl_core.documents import Value
    from etl_core.lake import ObjectStore

MOST_RUNS_OF_A_NAME = 1000
P = TypeVar("P", bound=RunPlan)


def default_run_id(now: datetime) -> str:
    """A run's name: its start in UTC."""
    return now.strftime("%Y-%m-%dT%H-%M-%S")


def names_of(run_id: str) -> Iterator[str]:
    """The names that runs of one name have: NAME, NAME-2, NAME-3 …."""
    return (run_id if number == 1 else f"{run_id}-{number}" for number in range(1, MOST_RUNS_OF_A_NAME))


def read_plan(kind: type[P], store: ObjectStore, run_id: str) -> P | None:
    """The plan of a run, or None."""
    return read(kind, store, lake_layout.runs.plan(run_id))


def require_plan(kind: type[P], store: ObjectStore, run_id: str) -> P:
    """The plan of a run that must exist; raises ``NotFoundError`` otherwise."""
    plan = read_plan(kind, store, run_id)
    if plan is None:
        raise NotFoundError(f"{store.url} has no run {run_id}.", advice="The job runs lists all.")
    return plan


def write_plan(store: ObjectStore, plan: P) -> P:
    """Write a plan under its run's name, or the next free one: two runs may begin within one second.

    An open run of that name, selection and edition is joined: its plan is returned.

    Raises:
        ConflictError: no name is free.

    """
    for run_id in names_of(plan.run_id):
        named = plan.model_copy(update={"run_id": run_id})
        pointers.write(store, pointers.of_plan(named))
        if store.put_new(lake_layout.runs.plan(run_id), named.to_bytes()).created:
            return named
        theirs = read_or_skip(type(plan), store, lake_layout.runs.plan(run_id))
        if theirs is not None and _same_work(theirs, plan) and not is_committed(store, run_id):
            return theirs
    raise ConflictError(f"{MOST_RUNS_OF_A_NAME} runs are named {plan.run_id}.", advice="Choose another --run-id.")


def continued_or_new(store: ObjectStore, plan: P, *, is_named: bool) -> P:
    """The newest run of the plan's selection and edition if it is unfinished, unless the run ``is_named``; else
    ``write_plan``, and raises as it does.
    """
    newest = None if is_named else newest_plan(type(plan), store, plan.selection, plan.edition)
    return newest if newest and not is_committed(store, newest.run_id) else write_plan(store, plan)


def is_committed(store: ObjectStore, run_id: str) -> bool:
    """Whether the run has a manifest."""
    return store.head(lake_layout.runs.manifest(run_id)) is not None


def newest_plan(kind: type[P], store: ObjectStore, selection: Value, edition: str) -> P | None:
    """The newest plan of a selection and edition, by one listing and one read, or None."""
    folder = lake_layout.runs.selection(pointers.hash_of(selection), edition)
    keys = map(lake_layout.runs.plan, pointers.newest_first(store, folder))
    plans = (read_or_skip(kind, store, key) for key in keys)
    return next((one for one in plans if one and one.selection == selection and one.edition == edition), None)


def plans_named(kind: type[P], store: ObjectStore, run_id: str) -> list[P]:
    """The plans under this name and the same name with a number, the oldest first."""
    one_by_one = (read_plan(kind, store, name) for name in names_of(run_id))
    return [plan for plan in itertools.takewhile(lambda plan: plan is not None, one_by_one) if plan]


def _same_work(one: RunPlan, other: RunPlan) -> bool:
    return (one.selection, one.edition) == (other.selection, other.edition)


def domain_of(store: ObjectStore, run_id: str) -> str:
    """The domain of a run, by the marker beside its plan; empty without one."""
    found = (lake_layout.runs.domain_of(entry.key) for entry in store.list(lake_layout.runs.folder(run_id)))
    return next(filter(None, found), "")


def all_runs(store: ObjectStore, domain: str = "") -> Iterator[tuple[str, bool]]:
    """Every run of a domain, and whether it is committed, by one listing of all runs: only for what reads the whole
    lake.
    """
    keys = (entry.key for entry in store.list(lake_layout.runs.RUNS))
    for _, own in itertools.groupby(keys, key=lambda key: key.split("/")[2]):
        names = list(own)
        run_id = next(filter(None, map(lake_layout.runs.run_of, names)), None)
        if run_id is not None and next(filter(None, map(lake_layout.runs.domain_of, names)), "") == domain:
            yield run_id, lake_layout.runs.manifest(run_id) in names

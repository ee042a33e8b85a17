"""A run: planned, worked off, committed. The lake's objects are its only memory."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, TypeVar

import structlog

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import manifest as manifests
from data_pipeline.open_payments.ledger.audits import READERS, Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, PlannedCompany
from data_pipeline.open_payments.ledger.selection import Witness, describe
from data_pipeline.open_payments.schema import (
    DATE_OF_PAYMENT,
    GENERAL_PAYMENTS,
    PAYER_ID,
    RECORD_ID,
    Columns,
    drift_from,
)
from etl_core.documents import read
from etl_core.errors import ConflictError, DataError, NotFoundError, TemporaryError
from etl_core.lake import put_or_agree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release, Selection, SliceAudit, SliceResult
    from etl_core.lake import ObjectStore

MOST_RUNS_OF_A_NAME = 1000
M = TypeVar("M", Plan, Manifest)

_log = structlog.get_logger()


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


def last_count(store: ObjectStore, release: Release) -> Witness | None:
    """Rows of the year as the newest committed run of another release of it knew them."""
    others = [
        one
        for one in committed(store)
        # The count of a torn run is that of the release after its own.
        if one.status != "torn"
        and (one.dataset, one.year) == (release.dataset, release.year)
        and one.release.distribution_id != release.distribution_id
    ]
    if not others:
        return None
    newest = others[-1]
    return Witness(newest.closure.source_rows, f"run {newest.run_id} of the release {newest.release.name}")


def committed(store: ObjectStore) -> list[Manifest]:
    """The manifests of all runs, in the order in which they were finished."""
    return sorted(_of_all_runs(store, read_manifest), key=lambda one: one.finished_at)


def run_ids(store: ObjectStore) -> list[str]:
    """Every run that has a plan or a manifest."""
    found = (lake_layout.run_of(entry.key) for entry in store.list(lake_layout.RUNS))
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


def read_plan(store: ObjectStore, run_id: str) -> Plan | None:
    """The plan of a run, or None."""
    return read(Plan, store, lake_layout.plan(run_id))


def read_manifest(store: ObjectStore, run_id: str) -> Manifest | None:
    """The manifest of a run, or None: then the run is not committed."""
    return read(Manifest, store, lake_layout.manifest(run_id))


def write_plan(store: ObjectStore, plan: Plan) -> Plan:
    """Write a plan under its run's name, or that with a number where the name is taken: two may begin within a second.

    A run of the same selection and release that has the name and is still open is joined.
    """
    for number in range(1, MOST_RUNS_OF_A_NAME):
        run_id = _nth(plan.run_id, number)
        named = plan.model_copy(update={"run_id": run_id})
        if store.put_new(lake_layout.plan(run_id), named.to_bytes()).created:
            return named
        theirs = planned(store, run_id)
        same = theirs.selection == plan.selection and theirs.release == plan.release
        if same and read_manifest(store, run_id) is None:
            return theirs
    raise ConflictError(f"{MOST_RUNS_OF_A_NAME} runs are named {plan.run_id}.", advice="Choose another --run-id.")


def must_be_current(plan: Plan, release: Release) -> None:
    """Raise ``TemporaryError`` if the source has published anew since ``plan``: its rows are there no more."""
    if plan.release.distribution_id != release.distribution_id:
        raise TemporaryError(
            f"run {plan.run_id} is of release {plan.release.name}, the source has published {release.name} since.",
            advice=f"Run the pipeline anew: data-pipeline run run_pipeline -- --year {release.year}",
        )


def must_be_provable(release: Release, columns: Columns) -> None:
    """Raise ``DataError`` if the table lacks a column that the proof needs."""
    missing = {PAYER_ID, DATE_OF_PAYMENT, RECORD_ID} - set(columns.titles)
    if missing:
        raise DataError(f"the table of {release.name} lacks {', '.join(sorted(missing))}, so nothing can be proved.")


def write_schema(store: ObjectStore, release: Release, columns: Columns) -> None:
    """Keep the columns of a release; say where they drifted from those known."""
    drift = drift_from(GENERAL_PAYMENTS, columns.titles)
    if drift:
        _log.warning(
            "the columns are not those known",
            added=drift.added,
            removed=drift.removed,
            reordered=drift.reordered,
        )
    body = {
        "schema_version": 1,
        "release": release.model_dump(),
        "columns": [{"title": title, "name": name} for title, name in zip(columns.titles, columns.names, strict=True)],
        "drift": {"added": drift.added, "removed": drift.removed, "reordered": drift.reordered},
    }
    put_or_agree(
        store,
        lake_layout.schema(release.dataset, release.year, release.name),
        json.dumps(body, indent=1).encode() + b"\n",
    )


def left_of(
    store: ObjectStore, run_id: str, what: Literal["failed", "missing"]
) -> tuple[Plan, tuple[PlannedCompany, ...]]:
    """A run's plan, and its companies without a proved slice: ``failed`` where the manifest says so, or an attempt.

    Payers that the end of the run found at another count are among both, those it had not planned
    among what is ``missing``.
    """
    plan, manifest = planned(store, run_id), read_manifest(store, run_id)
    moved = {} if manifest is None else {one.company_id: one.source_rows for one in manifest.closure.moved}
    companies = tuple(
        company.model_copy(update={"rows": moved.get(company.company_id, company.rows)}) for company in plan.companies
    )
    if what == "missing" and manifest is not None:
        unplanned = manifest.closure.unplanned
        companies += tuple(PlannedCompany(company_id=one.company_id, rows=one.source_rows) for one in unplanned)
    proved = proved_slices(store, plan.model_copy(update={"companies": companies}))
    wanted = {company.company_id for company in companies} - proved
    if what == "failed" and manifest is not None:
        wanted &= {one.company_id for one in manifest.slices if one.verdict == "failed"}
    elif what == "failed":
        wanted &= {attempt.company_id for attempt in read_attempts(store, run_id, leave_out=proved) if attempt.final}
    return plan, tuple(company for company in companies if company.company_id in wanted)


def proved_slices(store: ObjectStore, plan: Plan) -> set[str]:
    """Companies of the plan whose slice is closed, at the plan's count if that is one of this very release.

    One that is closed at another count moved under its release, before the plan or since: it is
    looked at again, and fetched again only if the source still says so.
    """
    audits = Audits(store, plan.release)
    closed = audits.closed()
    rows = {company.company_id: company.rows for company in plan.companies if company.company_id in closed}
    if plan.counts_from == "entities":
        counted = counted_at_end(store, plan.release)
        rows = {company_id: counted.get(company_id) for company_id in rows}
    found = audits.slice_audits({company_id: closed[company_id] for company_id in rows})
    return {company_id for company_id, one in found.items() if rows[company_id] in (None, one.records)}


def read_schema(store: ObjectStore, release: Release) -> Columns:
    """The columns of a release as ``write_schema`` kept them; raises ``DataError`` if they cannot be had."""
    key = lake_layout.schema(release.dataset, release.year, release.name)
    try:
        pairs = [(str(one["title"]), str(one["name"])) for one in json.loads(store.get(key) or b"")["columns"]]
        columns = Columns(titles=tuple(title for title, _ in pairs), names=tuple(name for _, name in pairs))
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{key} does not say which columns the release has: {error!r}.") from error
    for title in (PAYER_ID, DATE_OF_PAYMENT, RECORD_ID):
        columns.name_of(title)
    return columns


def counted_at_end(store: ObjectStore, release: Release, since: datetime | None = None) -> dict[str, int]:
    """What the source counted of payers at the end of runs that had other rows of them, by the newest such run."""
    ended = [
        one
        for one in committed(store)
        if one.release.distribution_id == release.distribution_id and (since is None or one.finished_at >= since)
    ]
    return {
        payer.company_id: payer.source_rows for one in ended for payer in (*one.closure.moved, *one.closure.unplanned)
    }


def read_slices(store: ObjectStore, plan: Plan) -> dict[str, SliceAudit]:
    """The closed slices of a plan, by company, each by its newest proof."""
    audits = Audits(store, plan.release)
    closed = audits.closed()
    planned_ids = {company.company_id for company in plan.companies}
    return audits.slice_audits({one: closed[one] for one in sorted(closed.keys() & planned_ids)})


def commit(
    store: ObjectStore,
    plan: Plan,
    *,
    known: Mapping[str, SliceResult],
    source_rows: int,
    release_at_end: Release,
    now: datetime,
    by_payer: Mapping[str, int] | None = None,
) -> Manifest:
    """Write report, ``file_audits.jsonl`` and, last, the manifest; or find the one that is there.

    ``by_payer`` is what the source counts of each payer at the end. A slice proved at another
    count is not proved by this run any more; the next one proves it at that count.

    Raises:
        NotFoundError: nothing was planned under this run id.

    """
    existing = read_manifest(store, plan.run_id)
    if existing is not None:
        return existing
    audits = read_slices(store, plan)
    known = {
        company_id: result
        for company_id, result in known.items()
        # What another process proved since, or proved at a newer count, is what the lake says it is.
        if company_id not in audits
        or (result.verdict != "failed" and result.generation == audits[company_id].generation)
    }
    results = manifests.results_from_lake(plan, audits, read_attempts(store, plan.run_id), known)
    moved = () if by_payer is None else manifests.moved_of(results, by_payer)
    unplanned = () if by_payer is None else manifests.unplanned_of(plan, by_payer)
    results = manifests.without_moved(results, moved)
    audits = {one.company_id: audits[one.company_id] for one in results if one.verdict in ("proved", "empty")}
    lines = manifests.file_audits_of(audits.values())
    closure = manifests.closure_of(
        plan, results, source_rows, compared=by_payer is not None, moved=moved, unplanned=unplanned
    )
    manifest = manifests.manifest_of(plan, results, closure, release_at_end=release_at_end, file_audits=lines, now=now)
    # These two follow from the audits and become facts when the manifest, which is create-only,
    # names their digest. A run that died between these writes left other ones; they are replaced.
    _write_derived(store, manifest, audits)
    if store.put_new(lake_layout.manifest(plan.run_id), manifest.to_bytes()).created:
        return manifest
    theirs = read_manifest(store, plan.run_id) or manifest
    if theirs.file_audits_sha256 != manifest.file_audits_sha256:
        named = {one.company_id: one.generation for one in theirs.slices if one.verdict in ("proved", "empty")}
        _write_derived(store, theirs, Audits(store, theirs.release).slice_audits(named))
    return theirs


def _write_derived(store: ObjectStore, manifest: Manifest, audits: Mapping[str, SliceAudit]) -> None:
    store.put(lake_layout.file_audits(manifest.run_id), manifests.file_audits_of(audits.values()))
    store.put(lake_layout.report(manifest.run_id, manifest.year), manifests.report_of(manifest.slices, audits))


def planned(store: ObjectStore, run_id: str) -> Plan:
    """The plan of a run that must exist."""
    plan = read_plan(store, run_id)
    if plan is None:
        raise NotFoundError(f"{store.url} has no run {run_id}.", advice="Name one that metadata/runs/ holds.")
    return plan

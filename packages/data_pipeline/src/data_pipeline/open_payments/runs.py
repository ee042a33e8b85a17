"""A run: planned, worked off, committed. The lake's objects are its only memory."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from data_pipeline import lake_layout
from data_pipeline.open_payments import manifest as manifests
from data_pipeline.open_payments.audits import Audits, read_attempts
from data_pipeline.open_payments.facts import Manifest, Plan
from data_pipeline.open_payments.plan import describe
from data_pipeline.open_payments.schema import (
    DATE_OF_PAYMENT,
    GENERAL_PAYMENTS,
    PAYER_ID,
    RECORD_ID,
    drift_from,
)
from data_pipeline.open_payments.witness import Witness
from etl_core.errors import ConflictError, DataError, NotFoundError
from etl_core.lake import put_or_agree

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from data_pipeline.open_payments.catalogue import Resolved
    from data_pipeline.open_payments.facts import Release, Selection, SliceAudit, SliceResult
    from etl_core.lake import ObjectStore

# Reading a run's audits back is bound by the lake's latency, not by the machine.
READERS = 16

_log = structlog.get_logger()


@dataclass(frozen=True)
class KnownRun:
    """A run as the lake has it."""

    plan: Plan
    manifest: Manifest | None


def default_run_id(now: datetime) -> str:
    """A run's name: its start in UTC."""
    return now.strftime("%Y-%m-%dT%H-%M-%S")


def new_run_id(store: ObjectStore, now: datetime) -> str:
    """A name that no run has yet: two runs may begin within one second."""
    name = default_run_id(now)
    taken = {lake_layout.run_of_plan(entry.key) for entry in store.list(lake_layout.RUNS + f"run_id={name}")}
    return next(one for one in (name, *(f"{name}-{number}" for number in range(2, 1000))) if one not in taken)


def find_run(store: ObjectStore, selection: Selection, release: Release) -> KnownRun | None:
    """The newest run of this selection and release that is unfinished or completed.

    An unfinished run is to be continued; a completed one needs nothing more. A run that ended
    otherwise is over, and a new one takes up what it left.
    """
    names = [lake_layout.run_of_plan(entry.key) for entry in store.list(lake_layout.RUNS)]
    plans = [plan for name in names if name is not None and (plan := read_plan(store, name)) is not None]
    same = [
        plan
        for plan in plans
        if plan.selection == selection and plan.release.distribution_id == release.distribution_id
    ]
    if not same:
        return None
    # By the time in the plan: a name given by hand stands anywhere in the alphabet.
    newest = max(same, key=lambda plan: plan.created_at)
    manifest = read_manifest(store, newest.run_id)
    return KnownRun(newest, manifest) if manifest is None or manifest.status == "completed" else None


def last_count(store: ObjectStore, release: Release) -> Witness | None:
    """Rows of the year as the newest committed run of another release of it knew them."""
    keys = [entry.key for entry in store.list(lake_layout.RUNS)]
    for run_id in sorted(filter(None, map(lake_layout.run_of_plan, keys)), reverse=True):
        if lake_layout.manifest(run_id) not in keys:
            continue
        manifest = read_manifest(store, run_id)
        if manifest is None or manifest.year != release.year or manifest.dataset != release.dataset:
            continue
        if manifest.release.distribution_id != release.distribution_id:
            return Witness(manifest.closure.source_rows, f"run {run_id} of the release {manifest.release.name}")
    return None


def read_plan(store: ObjectStore, run_id: str) -> Plan | None:
    """The plan of a run, or None."""
    key = lake_layout.plan(run_id)
    raw = store.get(key)
    try:
        return None if raw is None else Plan.model_validate_json(raw)
    except ValidationError as error:
        raise DataError(f"{key} is no plan of schema version 1: {error.errors()[0]['msg']}") from error


def read_manifest(store: ObjectStore, run_id: str) -> Manifest | None:
    """The manifest of a run, or None: then the run is not committed."""
    key = lake_layout.manifest(run_id)
    raw = store.get(key)
    try:
        return None if raw is None else Manifest.model_validate_json(raw)
    except ValidationError as error:
        raise DataError(f"{key} is no manifest of schema version 1: {error.errors()[0]['msg']}") from error


def write_plan(store: ObjectStore, plan: Plan) -> Plan:
    """Write the plan, or find the one another process of the same run wrote first.

    Raises:
        ConflictError: the run id is taken by another selection or release.

    """
    key = lake_layout.plan(plan.run_id)
    if store.put_new(key, plan.to_bytes()).created:
        return plan
    theirs = planned(store, plan.run_id)
    must_be(theirs, plan.selection, plan.release)
    return theirs


def must_be(plan: Plan, selection: Selection, release: Release) -> None:
    """Raise ``ConflictError`` unless the plan is of this selection and release."""
    if plan.selection != selection or plan.release.distribution_id != release.distribution_id:
        raise ConflictError(
            f"run {plan.run_id} is planned already, for {describe(plan.selection)} of release {plan.release.name}.",
            advice="Choose another --run-id, or leave it out.",
        )


def must_be_provable(resolved: Resolved) -> None:
    """Raise ``DataError`` if the table lacks a column that the proof needs."""
    missing = {PAYER_ID, DATE_OF_PAYMENT, RECORD_ID} - set(resolved.table.columns.titles)
    if missing:
        raise DataError(
            f"the table of {resolved.release.name} lacks {', '.join(sorted(missing))}, so nothing can be proved."
        )


def write_schema(store: ObjectStore, resolved: Resolved) -> None:
    """Keep the columns of a release; say where they drifted from those known."""
    columns = resolved.table.columns
    drift = drift_from(GENERAL_PAYMENTS, columns.titles)
    if drift:
        _log.warning(
            "the columns are not those known",
            added=drift.added,
            removed=drift.removed,
            reordered=drift.reordered,
        )
    release = resolved.release
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


def read_slices(store: ObjectStore, plan: Plan) -> dict[str, SliceAudit]:
    """The closed slices of a plan, by company."""
    audits = Audits(store, plan.release)
    wanted = sorted(audits.proved_companies() & {company.company_id for company in plan.companies})
    with ThreadPoolExecutor(READERS) as pool:
        found = pool.map(audits.slice_audit, wanted)
        return {audit.company_id: audit for audit in found if audit is not None}


def commit(
    store: ObjectStore,
    plan: Plan,
    *,
    known: Mapping[str, SliceResult],
    source_rows: int,
    release_at_end: Release,
    now: datetime,
) -> Manifest:
    """Write report, ``file_audits.jsonl`` and, last, the manifest; or find the one that is there.

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
        if result.verdict != "failed" or company_id not in audits
    }
    results = manifests.results_from_lake(plan, audits, read_attempts(store, plan.run_id), known)
    lines = manifests.file_audits_of(audits.values())
    closure = manifests.closure_of(plan, results, source_rows)
    manifest = manifests.manifest_of(plan, results, closure, release_at_end=release_at_end, file_audits=lines, now=now)
    # These two follow from the audits and become facts when the manifest, which is create-only,
    # names their digest. A run that died between these writes left other ones; they are replaced.
    _write_derived(store, manifest, audits)
    if store.put_new(lake_layout.manifest(plan.run_id), manifest.to_bytes()).created:
        return manifest
    theirs = read_manifest(store, plan.run_id) or manifest
    if theirs.file_audits_sha256 != manifest.file_audits_sha256:
        _write_derived(store, theirs, audits)
    return theirs


def _write_derived(store: ObjectStore, manifest: Manifest, audits: Mapping[str, SliceAudit]) -> None:
    vouched = {result.company_id for result in manifest.slices if result.verdict in ("proved", "empty")}
    named = {company_id: audit for company_id, audit in audits.items() if company_id in vouched}
    store.put(lake_layout.file_audits(manifest.run_id), manifests.file_audits_of(named.values()))
    store.put(lake_layout.report(manifest.run_id, manifest.year), manifests.report_of(manifest.slices, named))


def planned(store: ObjectStore, run_id: str) -> Plan:
    """The plan of a run that must exist."""
    plan = read_plan(store, run_id)
    if plan is None:
        raise NotFoundError(f"{store.url} has no run {run_id}.", advice="Name one that metadata/runs/ holds.")
    return plan

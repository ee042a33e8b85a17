"""The commit of a run: its manifest, made of what the lake holds of its plan, and the files that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import manifest as manifests
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.documents import Manifest
from data_pipeline.open_payments.ledger.plans import read_manifest
from data_pipeline.runs import commit
from etl_core.errors import DataError
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Plan, Release, SliceAudit, SliceResult
    from etl_core.lake import ObjectStore

_log = get_logger()


def commit_run(
    store: ObjectStore,
    plan: Plan,
    *,
    known: Mapping[str, SliceResult],
    source_rows: int,
    release_at_end: Release,
    now: datetime,
    by_payer: Mapping[str, int] | None = None,
) -> Manifest:
    """Commit a run, or find it committed; the files beside its manifest are written if they are missing.

    ``known`` are results of this very process. ``by_payer`` is what the source counts of each payer at the end: a
    slice proved at another count is not proved by this run any more; the next one proves it at that count.
    """
    existing = read_manifest(store, plan.run_id)
    if existing is not None:
        complete_run(store, existing)
        return existing
    found = read_slices(store, plan)
    # What another process proved since, or proved at a newer count, is what the lake says it is.
    ours = {
        company_id: result
        for company_id, result in known.items()
        if company_id not in found or (result.verdict != "failed" and result.generation == found[company_id].generation)
    }
    results = manifests.results_from_lake(plan, found, read_attempts(store, plan.run_id), ours)
    moved = () if by_payer is None else manifests.moved_of(results, by_payer)
    unplanned = () if by_payer is None else manifests.unplanned_of(plan, by_payer)
    results = manifests.without_moved(results, moved)
    audits = {one.company_id: found[one.company_id] for one in results if one.verdict in ("proved", "empty")}
    closure = manifests.closure_of(
        plan, results, source_rows, compared=by_payer is not None, moved=moved, unplanned=unplanned
    )
    lines = manifests.file_audits_of(audits.values())
    manifest = manifests.manifest_of(plan, results, closure, release_at_end=release_at_end, file_audits=lines, now=now)
    return commit.commit(store, manifest, lambda one: _files_of(store, one, audits))


def complete_run(store: ObjectStore, manifest: Manifest) -> None:
    """Write the files beside a manifest if the last of them is missing: a process may have died after its manifest."""
    if store.head(lake_layout.open_payments.download_report(manifest.run_id, manifest.year)) is None:
        try:
            repair_run(store, manifest)
        except DataError as error:  # of this run alone: the next one does not need them
            _log.warning("the files beside a manifest cannot be derived", run=manifest.run_id, error=str(error))


def repair_run(store: ObjectStore, manifest: Manifest) -> None:
    """Write every file beside a manifest that is missing, or is not what follows from the manifest.

    Raises:
        DataError: the proofs in the lake are not those that the manifest names.

    """
    commit.repair(store, manifest, lambda one: _files_of(store, one, {}))


def _files_of(store: ObjectStore, manifest: Manifest, known: Mapping[str, SliceAudit]) -> dict[str, bytes]:
    named = {one.company_id: one.generation for one in manifest.proved}
    if {company_id: audit.generation for company_id, audit in known.items()} != named:
        known = Audits(store, manifest.release).slice_audits(named)
    files = manifests.files_of(manifest, known)
    listed = lake_layout.runs.file_audits(manifest.run_id)
    if commit.digest_of(files[listed]) != manifest.file_audits_sha256:
        raise DataError(
            f"{listed} cannot be derived: the proofs in the lake are not those that the manifest of the run names.",
            advice=f"Find them: data-pipeline run verify -- --run-id {manifest.run_id}, and restore them from a copy.",
        )
    return files


def read_slices(store: ObjectStore, plan: Plan) -> dict[str, SliceAudit]:
    """The closed slices of a plan, by company, each by its newest proof."""
    audits = Audits(store, plan.release)
    closed = audits.closed()
    planned_ids = {company.company_id for company in plan.companies}
    return audits.newest_slices({one: closed[one] for one in sorted(closed.keys() & planned_ids)})

"""The commit of a run: its manifest, made of what the lake holds of its plan, and written last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import manifest as manifests
from data_pipeline.open_payments.ledger.audits import Audits, read_attempts
from data_pipeline.open_payments.ledger.plans import read_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Manifest, Plan, Release, SliceAudit, SliceResult
    from etl_core.lake import ObjectStore


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
    if store.put_new(lake_layout.runs.manifest(plan.run_id), manifest.to_bytes()).created:
        return manifest
    theirs = read_manifest(store, plan.run_id) or manifest
    if theirs.file_audits_sha256 != manifest.file_audits_sha256:
        named = {one.company_id: one.generation for one in theirs.slices if one.verdict in ("proved", "empty")}
        _write_derived(store, theirs, Audits(store, theirs.release).slice_audits(named))
    return theirs


def read_slices(store: ObjectStore, plan: Plan) -> dict[str, SliceAudit]:
    """The closed slices of a plan, by company, each by its newest proof."""
    audits = Audits(store, plan.release)
    closed = audits.closed()
    planned_ids = {company.company_id for company in plan.companies}
    return audits.slice_audits({one: closed[one] for one in sorted(closed.keys() & planned_ids)})


def _write_derived(store: ObjectStore, manifest: Manifest, audits: Mapping[str, SliceAudit]) -> None:
    store.put(lake_layout.runs.file_audits(manifest.run_id), manifests.file_audits_of(audits.values()))
    store.put(
        lake_layout.open_payments.download_report(manifest.run_id, manifest.year),
        manifests.report_of(manifest.slices, audits),
    )

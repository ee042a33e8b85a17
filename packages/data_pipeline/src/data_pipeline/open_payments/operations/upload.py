"""A committed run copied from one lake to another, create-only, its manifest last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import releases
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.documents import Manifest, Plan, SliceAudit
from data_pipeline.open_payments.ledger.plans import require_plan
from data_pipeline.open_payments.ledger.summaries import stored_summaries
from data_pipeline.open_payments.summaries import SUMMARIES
from data_pipeline.runs import pointers
from data_pipeline.runs.copying import ToCopy
from etl_core.errors import DataError
from etl_core.lake import content_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit
    from data_pipeline.open_payments.ledger.summaries import SummaryAudit
    from data_pipeline.runs.copying import Copied, Copying
    from etl_core.lake import ObjectStore


def objects_of(plan: Plan, manifest: Manifest, audits: Iterable[Audit]) -> list[list[ToCopy]]:
    """Every object of a run in steps: parts, then their audits and what names them, the manifest last.

    The pointers go with it, so that the same command finds the run in the other lake and does nothing there.
    """
    parts: list[ToCopy] = []
    proofs: dict[str, ToCopy] = {}
    slices: dict[str, ToCopy] = {}
    generations = {one.company_id: one.generation for one in manifest.slices}
    for audit in audits:
        parts.append(ToCopy(audit.key, audit.sha256, audit.bytes))
        keys = keys_of(audit.release, audit.company_id)
        proof = keys.part_audit(audit.window.number, audit.window.of, audit.generation)
        proofs[proof] = ToCopy(proof, content_of(audit.to_bytes()))
        closes = keys.slice_audit(generations.get(audit.company_id, 1))
        slices[closes] = ToCopy(closes, kind=SliceAudit)
    release, run_id = manifest.release, manifest.run_id
    rest = [
        *proofs.values(),
        *slices.values(),
        ToCopy(releases.key_of(release)),
        ToCopy(lake_layout.open_payments.schema(release.dataset, release.year, release.name)),
        *map(ToCopy, pointers.of_plan(plan)),
        ToCopy(lake_layout.runs.plan(run_id), kind=Plan),
        ToCopy(lake_layout.runs.file_audits(run_id), manifest.file_audits_sha256),
        ToCopy(lake_layout.open_payments.download_report(run_id, manifest.year)),
        *map(ToCopy, pointers.of_manifest(manifest)),
    ]
    return [parts, rest, [ToCopy(lake_layout.runs.manifest(run_id), kind=Manifest)]]


def upload_run(copying: Copying, run: Run) -> Copied:
    """Copy what is missing there, the manifest last; raises as ``Copying.run``, and

    Raises:
        DataError: the list of the run's parts is not the one its manifest names, or the report beside it is missing.

    """
    manifest, plan = run.manifest, require_plan(copying.here, run.manifest.run_id)
    report = lake_layout.open_payments.download_report(manifest.run_id, manifest.year)
    if copying.here.head(report) is None:
        raise DataError(
            f"{copying.here.url} has no {report}.",
            advice=f"Derive it again: data-pipeline run write_manifest -- --run-id {manifest.run_id}",
        )
    parts, rest, commit = objects_of(plan, manifest, run.parts())
    for audit in _summaries(copying.here, manifest):
        parts.append(ToCopy(audit.key, audit.sha256, audit.bytes))
        rest.append(ToCopy(audit.place, content_of(audit.to_bytes())))
    return copying.run([parts, rest, commit], _prefixes(plan, manifest))


def _summaries(store: ObjectStore, manifest: Manifest) -> list[SummaryAudit]:
    """CMS's summaries of the year of a run that took all of it, as far as they are there."""
    if not manifest.selection.is_whole_year:
        return []
    stored = (audit for one in SUMMARIES for audit in stored_summaries(store, one, manifest.year))
    return [audit for audit in stored if store.head(audit.key) is not None]


def _prefixes(plan: Plan, manifest: Manifest) -> list[str]:
    where = manifest.release.dataset, manifest.release.year, manifest.release.name
    is_whole = manifest.selection.is_whole_year
    return [
        lake_layout.open_payments.release_parts(*where),
        lake_layout.open_payments.release_audits(*where),
        releases.key_of(manifest.release),
        lake_layout.open_payments.schema(*where),
        lake_layout.runs.folder(manifest.run_id),
        *((lake_layout.open_payments.SUMMARY_AUDITS, lake_layout.open_payments.SUMMARY_ROWS) if is_whole else ()),
        *pointers.of_plan(plan),
        *pointers.of_manifest(manifest),
    ]

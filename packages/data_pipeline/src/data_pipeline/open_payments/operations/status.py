"""How far a run is: by its manifest, else by the proofs of its slices, of which each is read."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from data_pipeline import lake_layout
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger import plans
from data_pipeline.open_payments.ledger.audits import Audits, closed_in, empty_in, read_attempts
from data_pipeline.open_payments.ledger.manifest import results_from_lake
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from etl_core.lake import ObjectStore

_log = get_logger()


def progress_of_run(store: ObjectStore, run_id: str, now: datetime) -> dict[str, Any]:
    """The state of a run, as its fact has it."""
    plan, manifest = plans.require_plan(store, run_id), plans.read_manifest(store, run_id)
    where = plan.release.dataset, plan.release.year, plan.release.name
    mine = {company.company_id for company in plan.companies}
    audits = [
        one
        for one in store.list(lake_layout.open_payments.release_audits(*where))
        if lake_layout.open_payments.company_of(one.key) in mine
    ]
    newest = max((entry.modified for entry in audits), default=None)
    if manifest is not None:
        results = manifest.slices
    else:
        for key in sorted(empty_in(audits)):
            _log.warning("an empty object lies in place of the proof of a slice", key=key)
        proofs = Audits(store, plan.release).newest_slices(closed_in(audits))
        results = results_from_lake(plan, proofs, read_attempts(store, run_id, leave_out=proofs), {})
    verdicts = Counter(result.verdict for result in results)
    not_proved = ("failed",) if manifest is None else ("failed", "missing")
    reasons = Counter(result.reason for result in results if result.verdict in not_proved)
    rows_planned = sum(company.rows or 0 for company in plan.companies)
    return {
        "status": "open" if manifest is None else manifest.status,
        "committed": manifest is not None,
        "release": plan.release.name,
        "planned": len(results),
        "proved": verdicts["proved"],
        "empty": verdicts["empty"],
        "failed": reasons.total(),
        "failed_by_reason": dict(sorted(reasons.items())),
        "open": verdicts["missing"] if manifest is None else 0,
        "rows": sum(result.rows for result in results),
        "rows_planned": rows_planned,
        "bytes": sum(result.bytes for result in results),
        "bytes_expected": rows_planned * dataset_named(plan.release.dataset).bytes_per_row,
        "newest_audit_age_seconds": None if newest is None else round((now - newest).total_seconds(), 1),
    }


def table_of(run_id: str, fact: Mapping[str, Any], lake: str) -> str:
    """The same for a person."""
    age = fact["newest_audit_age_seconds"]
    slices = ", ".join(f"{fact[word]:,} {word}" for word in ("proved", "empty", "failed", "open"))
    lines = [
        f"run        {run_id}  {fact['status']}{'' if fact['committed'] else ', not committed'}",
        f"release    {fact['release']}",
        f"slices     {slices}, of {fact['planned']:,}",
        f"rows       {fact['rows']:,} of {fact['rows_planned']:,}",
        f"bytes      {fact['bytes']:,} of about {fact['bytes_expected']:,}",
        f"last proof {'none yet' if age is None else f'{age:,.0f} s ago'}",
        f"lake       {lake}",
        *(f"failed     {number:,} {reason}" for reason, number in fact["failed_by_reason"].items()),
    ]
    return "\n".join(lines)

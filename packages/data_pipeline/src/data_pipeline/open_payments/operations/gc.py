"""What nothing in the lake names: parts without a proof, and proofs of another cut of a closed slice.

A part is published, then proved, then named by its slice, then by a manifest; so they are listed in
this order, and what is finished meanwhile is seen as named. The slices of an unfinished plan are
left alone, for its run may take up what lies there; what is young may be of a run not seen yet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger import plans
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.documents import SliceAudit
from data_pipeline.runs.plans import is_committed, run_ids

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Audit
    from etl_core.lake import ObjectInfo, ObjectStore


def unnamed(store: ObjectStore, before: datetime) -> list[ObjectInfo]:
    """Objects written before that moment that no audit, slice, manifest or unfinished plan names.

    Raises:
        DataError: something that names objects cannot be read, so nothing can be said.

    """
    parts = [
        (entry, lake_layout.open_payments.audit_of_part(entry.key))
        for entry in store.list(lake_layout.open_payments.RAW)
    ]
    audits = list(store.list(lake_layout.open_payments.AUDITS))
    there = {entry.key for entry in audits}
    loose = [entry for entry, audit in parts if audit is not None and audit not in there]
    # A slice has one cut; only where proofs of several lie together can there be some that it does not name.
    cuts: dict[str, set[str]] = {}
    for key in there:
        cuts.setdefault(_slice_of(key), set()).add(key.partition("-of-")[2])
    loose += [one for one in audits if "-of-" in one.key and len(cuts[_slice_of(one.key)] - {""}) > 1]
    loose = [entry for entry in loose if entry.modified < before]
    if not loose:
        return []
    closed = {_slice_of(entry.key) for entry in loose} & there
    proofs = (
        key for key in there if lake_layout.open_payments.company_of_slice_audit(key) and _slice_of(key) in closed
    )
    named = {key for slice_audit in proofs for key in _named_by_slice(store, slice_audit)}
    left_alone: set[str] = set()
    for run_id in run_ids(store):
        if is_committed(store, run_id):
            named |= _named_by(open_run(store, run_id).parts())
        else:
            plan = plans.require_plan(store, run_id)
            left_alone |= {keys_of(plan.release, company.company_id).slice_audit() for company in plan.companies}
    return [
        entry
        for entry in loose
        if entry.key not in named
        and _slice_of(entry.key) not in left_alone
        # The next run of an open slice continues from its proofs.
        and (entry.key.startswith(lake_layout.open_payments.RAW) or _slice_of(entry.key) in closed)
    ]


def remove(store: ObjectStore, entry: ObjectInfo) -> bool:
    """Remove what is unnamed, unless somebody has proved it since it was looked for."""
    audit = lake_layout.open_payments.audit_of_part(entry.key)
    if audit is not None and store.head(audit) is not None:
        return False
    store.delete(entry.key)
    return True


def _slice_of(key: str) -> str:
    """The first ``slice.jsonl`` of a part or an audit."""
    return (lake_layout.open_payments.audit_of_part(key) or key).rpartition("/")[0] + "/slice.jsonl"


def _named_by_slice(store: ObjectStore, key: str) -> set[str]:
    return _named_by(SliceAudit.parse(store.get(key) or b"", key).parts)


def _named_by(audits: Iterable[Audit]) -> set[str]:
    """Each part and the key of its proof."""
    return {key for audit in audits for key in (audit.key, lake_layout.open_payments.audit_of_part(audit.key)) if key}

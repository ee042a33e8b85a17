"""What nothing in the lake names: parts without a proof, and proofs of another cut of a closed slice.

Parts and proofs are listed side by side, slice by slice, so memory does not grow with the lake. The slices
of an unfinished plan are left alone, for its run may take up what lies there; what is young may be of a run
not seen yet. Runs are read only if there is anything that no proof of its slice names.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.lake_layout.ids import encoded_company
from data_pipeline.open_payments.ledger import plans
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.documents import SliceAudit
from data_pipeline.runs.plans import all_runs
from etl_core.errors import DataError
from etl_core.lake import in_parallel
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit, Plan, Release
    from etl_core.lake import ObjectInfo, ObjectStore

RAW, AUDITS = lake_layout.open_payments.RAW, lake_layout.open_payments.AUDITS
RUNS_PER_BATCH = 1000

_log = get_logger()


@dataclass(frozen=True)
class _Loose:
    """Objects of one slice that none of its proofs names, and the keys of these proofs."""

    entries: list[ObjectInfo]
    proofs: set[str]


# By the path of a release, and what stands in its folders as the company.
_LooseSlices = dict[str, dict[str, _Loose]]


def unnamed(store: ObjectStore, before: datetime) -> list[ObjectInfo]:
    """Objects written before that moment that no audit, slice, manifest or unfinished plan names.

    Where something that names objects cannot be read, it is named in the log, and what it may name is kept.
    """
    loose: _LooseSlices = {}
    for slice_path, entries in _by_slice(store):
        found = _loose_of(store, entries, before)
        if found.entries:
            release, _, company = slice_path.rpartition("/company_id=")
            loose.setdefault(release, {})[company] = found
    kept: set[str] = set()
    runs = all_runs(store) if loose else iter(())
    while batch := list(itertools.islice(runs, RUNS_PER_BATCH)):
        kept.update(*in_parallel(partial(_kept_by_run, store, loose), batch))
    slices = (one for of_release in loose.values() for one in of_release.values())
    return [entry for one in slices for entry in one.entries if entry.key not in kept]


def remove(store: ObjectStore, entry: ObjectInfo) -> bool:
    """Remove what is unnamed, unless somebody has proved it since it was looked for."""
    audit = lake_layout.open_payments.audit_of_part(entry.key)
    if audit is not None and store.head(audit) is not None:
        return False
    store.delete(entry.key)
    return True


def _by_slice(store: ObjectStore) -> Iterator[tuple[str, list[ObjectInfo]]]:
    """What lies among the raw parts and the audits, by ``dataset=…/year=…/release=…/company_id=…`` in either."""

    def below(zone: str) -> Iterator[tuple[str, ObjectInfo]]:
        return ((entry.key.removeprefix(zone), entry) for entry in store.list(zone))

    in_order = heapq.merge(below(RAW), below(AUDITS), key=itemgetter(0))
    # Not by the innermost folder: a stray one would tear its slice in two.
    by_slice = itertools.groupby(in_order, key=lambda one: "/".join(one[0].split("/")[:4]))
    return ((slice_path, [entry for _, entry in entries]) for slice_path, entries in by_slice)


def _loose_of(store: ObjectStore, entries: list[ObjectInfo], before: datetime) -> _Loose:
    """Of the objects of one slice, parts without an audit, and audits of another cut if the slice is closed."""
    there = {entry.key for entry in entries}
    proofs = {key for key in there if lake_layout.open_payments.company_of_slice_audit(key)}
    # A slice has one cut; only where audits of several lie together can there be some that it does not name.
    cuts = {key.partition("-of-")[2] for key in there if key.startswith(AUDITS)} - {""}
    # The next run of an open slice continues from its audits.
    other_cuts = bool(proofs) and len(cuts) > 1

    def is_loose(key: str) -> bool:
        audit = lake_layout.open_payments.audit_of_part(key)
        return audit not in there if audit else other_cuts and key.startswith(AUDITS) and "-of-" in key

    loose = [entry for entry in entries if entry.modified < before and is_loose(entry.key)]
    try:
        named = {key for proof in proofs if loose for key in _named_by(_parts_of(store, proof))}
    except DataError as error:
        _log.warning("a slice is left alone: a proof of it cannot be read", error=str(error))
        return _Loose([], proofs)
    return _Loose([entry for entry in loose if entry.key not in named], proofs)


def _kept_by_run(store: ObjectStore, loose: Mapping[str, Mapping[str, _Loose]], run: tuple[str, bool]) -> set[str]:
    """Keys of loose objects that a committed run names, or that lie in the slices of an unfinished one."""
    run_id, is_committed = run
    here: list[Mapping[str, _Loose]] = list(loose.values()) if is_committed else []
    try:
        if not is_committed:
            return _in_open_slices(plans.require_plan(store, run_id), loose)
        committed = open_run(store, run_id)
        here = [loose.get(_path_of(committed.manifest.release), {})]
        return _named_by_list_alone(committed, *here)
    except DataError as error:
        # Nobody continues a run without a plan. What a committed one names is not known: all it may be is kept.
        _log.warning("a run cannot be read, and what it may name is kept", run=run_id, error=str(error))
        return {entry.key for slices in here for one in slices.values() for entry in one.entries}


def _in_open_slices(plan: Plan, loose: Mapping[str, Mapping[str, _Loose]]) -> set[str]:
    here = loose.get(_path_of(plan.release), {})
    mine = here.keys() & {encoded_company(one.company_id) for one in plan.companies}
    return {entry.key for company in mine for entry in here[company].entries}


def _named_by_list_alone(committed: Run, here: Mapping[str, _Loose]) -> set[str]:
    """Proofs that are there have been read. Of one that is lost, the run's list still has the parts."""
    release = committed.manifest.release
    proofs = {
        encoded_company(one.company_id): keys_of(release, one.company_id).slice_audit(one.generation)
        for one in committed.manifest.proved
    }
    lost = {one for one in here.keys() & proofs if proofs[one] not in here[one].proofs}
    return _named_by(part for part in committed.parts() if encoded_company(part.company_id) in lost) if lost else set()


def _path_of(release: Release) -> str:
    prefix = lake_layout.open_payments.release_audits(release.dataset, release.year, release.name)
    return prefix.removeprefix(AUDITS).rstrip("/")


def _parts_of(store: ObjectStore, proof: str) -> tuple[Audit, ...]:
    return SliceAudit.parse(store.get(proof) or b"", proof).parts


def _named_by(audits: Iterable[Audit]) -> set[str]:
    """Each part and the key of its audit."""
    return {key for audit in audits for key in (audit.key, lake_layout.open_payments.audit_of_part(audit.key)) if key}

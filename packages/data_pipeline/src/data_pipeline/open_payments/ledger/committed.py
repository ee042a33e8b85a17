"""Committed runs of Open Payments, and what they prove of a release together."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import Audit, Manifest
from data_pipeline.open_payments.ledger.plans import committed
from data_pipeline.runs import committed as runs
from etl_core.csv_stream.records import fields_of
from etl_core.lake import in_parallel

if TYPE_CHECKING:
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import Release, Selection
    from etl_core.lake import ObjectStore

Run = runs.CommittedRun[Manifest, Audit, list[bytes]]


def open_run(store: ObjectStore, run_id: str) -> Run:
    """A committed run; raises ``NotFoundError`` if there is none of that name, ``DataError`` if it is not committed."""
    return runs.open_run(store, run_id, Manifest, Audit)


def newest_run(store: ObjectStore, selection: Selection, *, closed: bool = True) -> Run | None:
    """The newest committed run of a selection, by default the newest closed one."""
    return runs.newest_run(store, selection, Manifest, Audit, closed=closed)


@dataclass(frozen=True)
class ProvedSlice:
    """The parts of one company that a committed run proved, with the run to read them."""

    run: Run
    parts: tuple[Audit, ...]

    @property
    def rows(self) -> int:
        """Records of all parts."""
        return sum(part.records for part in self.parts)


def proved_releases(store: ObjectStore, dataset: str, year: int) -> list[Release]:
    """The releases of a year that committed runs prove something of, in the order of their publication.

    Two published on one day are in the order in which their newest runs were planned.
    """
    prefix = lake_layout.open_payments.schemas(dataset, year)
    names = filter(None, (lake_layout.open_payments.release_of_schema(entry.key) for entry in store.list(prefix)))
    found: list[tuple[str, datetime, Release]] = []
    for name in names:
        newest = next((one for one in committed(store, dataset, year, name) if one.proved), None)
        if newest is not None:
            found.append((newest.release.modified, newest.created_at, newest.release))
    return [release for _, _, release in sorted(found, key=itemgetter(0, 1))]


def proved_slices(store: ObjectStore, release: Release) -> dict[str, ProvedSlice]:
    """The slices of a release that committed runs prove, by company; of several proofs the newest run's.

    Runs are read from the newest on: to the first closed one, which proves every company that older runs do, or
    until there is a proof of every company that has a closed slice, however many runs there are.

    Raises:
        DataError: the list of a run's audits is not the one that its manifest names.

    """
    closed = Audits(store, release).closed().keys()
    owners: dict[str, Run] = {}
    for manifest in committed(store, release.dataset, release.year, release.name):
        run = runs.CommittedRun(store, manifest, Audit, fields_of)
        for one in manifest.proved:
            owners.setdefault(one.company_id, run)
        if manifest.is_closed or (closed and closed <= owners.keys()):
            break

    def slices_of(run: Run) -> list[tuple[str, ProvedSlice]]:
        own = (part for part in run.parts() if owners.get(part.company_id) is run)
        by_company = itertools.groupby(own, key=attrgetter("company_id"))
        return [(company_id, ProvedSlice(run, tuple(parts))) for company_id, parts in by_company]

    unique = {id(run): run for run in owners.values()}
    return dict(itertools.chain.from_iterable(in_parallel(slices_of, unique.values())))

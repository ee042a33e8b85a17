"""What tables are made of: a committed run of any domain, with its contract and the place of its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.curate import DerivedTable
    from data_pipeline.lakehouse.parts import Run
    from data_pipeline.open_payments.ledger.committed import Run as OpenPaymentsRun


@dataclass(frozen=True)
class Origin:
    """A run and what its tables have: a dataset, a year and a release in each row, one scope for all builds.

    ``contract`` is its file; ``aliases`` are other titles of its columns.
    """

    run: Run
    run_id: str
    dataset: str
    year: int
    release: str
    closed: bool
    scope: str
    contract: str
    aliases: Mapping[str, str]
    derived: Sequence[DerivedTable] = ()


def origin_of(context: Context, run: OpenPaymentsRun) -> Origin:
    """A run of Open Payments."""
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.open_payments.datasets import dataset_named
    from data_pipeline.open_payments.ledger.schemas import read_schema
    from data_pipeline.open_payments.tables import derived_tables

    manifest, dataset = run.manifest, dataset_named(run.manifest.dataset)
    columns = read_schema(context.store, manifest.release)
    return Origin(
        run,
        run_id=manifest.run_id,
        dataset=manifest.dataset,
        year=manifest.year,
        release=manifest.release.name,
        closed=manifest.is_closed,
        scope=year_scope(manifest.dataset, manifest.year),
        contract=dataset.contract,
        aliases=dict(zip(columns.names, columns.titles, strict=True)),
        derived=derived_tables(dataset),
    )


def opened(context: Context, run_id: str) -> Origin:
    """The committed run of this name, whatever its domain.

    Raises:
        NotFoundError: there is no such run. DataError: it is not committed. UsageError: it has only a part of
        what its tables hold.

    """
    from data_pipeline.open_payments.ledger.committed import open_run
    from data_pipeline.runs.plans import domain_of

    domain = domain_of(context.store, run_id)
    if domain == "agency_files":
        return _of_agency_files(context, run_id)
    if domain == "customers":
        return _of_customers(context, run_id)
    return origin_of(context, open_run(context.store, run_id))


def _of_agency_files(context: Context, run_id: str) -> Origin:
    """Of one agency; a table of it has the files of its newest run, and those of all agencies are one in ``query``."""
    from data_pipeline.agency_files.documents import CONTRACT, DOMAIN, AgencyFilesManifest
    from data_pipeline.lake_layout.agency_files import scope
    from data_pipeline.runs.committed import open_run
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.errors import UsageError

    run = open_run(context.store, run_id, AgencyFilesManifest, CsvPartAudit)
    manifest, selection = run.manifest, run.manifest.selection
    if not selection.is_whole:
        raise UsageError(
            f"run {run_id} has only a part of the files of agency {selection.agency_id}.",
            advice="Name one without --since, --limit and --retry-failed.",
        )
    return Origin(
        run,
        run_id=run_id,
        dataset=DOMAIN,
        year=manifest.created_at.year,
        release=run_id,
        closed=manifest.is_closed,
        scope=scope(selection.agency_id),
        contract=CONTRACT.read_text(encoding="utf-8"),
        aliases={},
    )


def newest_of_customers(context: Context) -> Origin:
    """The newest run that has all customers; raises ``NotFoundError`` if there is none."""
    from data_pipeline.customers.documents import CustomersManifest
    from data_pipeline.lake_layout.customers import COMMITS
    from data_pipeline.runs.committed import newest_in
    from etl_core.errors import NotFoundError

    found = newest_in(context.store, COMMITS, CustomersManifest, closed=True)
    if found is None:
        raise NotFoundError(
            f"{context.store.url} has no closed run of customers.", advice="Run ingest_customers first."
        )
    return _of_customers(context, found.run_id)


def _of_customers(context: Context, run_id: str) -> Origin:
    from data_pipeline.customers.columns import CONTRACT
    from data_pipeline.customers.documents import DATASET, CustomersManifest
    from data_pipeline.lake_layout.customers import SCOPE
    from data_pipeline.runs.committed import open_run
    from data_pipeline.runs.documents import CsvPartAudit

    run = open_run(context.store, run_id, CustomersManifest, CsvPartAudit)
    manifest = run.manifest
    return Origin(
        run,
        run_id=run_id,
        dataset=DATASET,
        year=manifest.created_at.year,
        release=manifest.created_at.date().isoformat(),
        closed=manifest.is_closed,
        scope=SCOPE,
        contract=CONTRACT,
        aliases={},
    )

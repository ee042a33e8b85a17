"""What a lake has of a dataset's year, read once, from documents alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse.builds import current_build, missing_files
from data_pipeline.lakehouse.marts import chain_of, is_whole
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger.committed import newest_run
from data_pipeline.open_payments.ledger.documents import Selection
from data_pipeline.reports.checks import staged_of
from data_pipeline.reports.year_check import YearState
from etl_core.errors import NotFoundError

if TYPE_CHECKING:
    from etl_core.lake import ObjectStore


def read_year(store: ObjectStore, dataset: str, year: int) -> YearState:
    """The newest closed run of a whole year, else its newest run, and what was made of it.

    Raises:
        NotFoundError: no run of the whole year is committed. DataError: a document is damaged.

    """
    selection = Selection(dataset=dataset, year=year)
    newest = newest_run(store, selection, closed=False)
    if newest is None:
        raise NotFoundError(
            f"{store.url} has no committed run of the whole of {dataset} {year}.",
            advice=f"Make one: data-pipeline run run_pipeline -- --dataset {dataset} --year {year}",
        )
    run = newest_run(store, selection) or newest
    parts = list(run.parts())
    build = current_build(store, year_scope(dataset, year))
    marts = chain_of(store).current()
    return YearState(
        run=run.manifest,
        newest=newest.manifest,
        parts={one.key: (one.records, one.sha256) for one in parts},
        amount=dataset_named(dataset).amount_column.lower(),
        staged=staged_of(store, parts, build.contract) if build else (),
        build=build,
        marts=marts,
        lost=[
            *(missing_files(store, build) if build else ()),
            *([marts.file.key] if marts and not is_whole(store, marts) else ()),
        ],
    )

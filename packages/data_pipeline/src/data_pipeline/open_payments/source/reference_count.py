"""The reference count: rows of a year by a count from outside the table that holds them.

A table can lie consistently: while an import is under way, its count, its groups and its rows
agree on a part of the year. So before anything is fetched the table's count is compared with the
summary by reporting entity, which CMS publishes as a file of its own, or, where that cannot be
had, with the last committed run of another release in the lake.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from etl_core.errors import BlockedError, DataError, NotFoundError, TemporaryError, UnavailableError

if TYPE_CHECKING:
    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.ledger.documents import Manifest
    from data_pipeline.open_payments.source.api import Source

SUMMARY_TITLE = "Payments grouped by reporting entities"

_log = structlog.get_logger()


@dataclass(frozen=True)
class ReferenceCount:
    """Rows of a year, and who counted them."""

    rows: int
    source: str


class HalfImportedError(TemporaryError):
    """The table holds clearly fewer rows than its reference count."""

    retryable = False


def fetch_reference_count(source: Source, dataset: Dataset, year: int) -> ReferenceCount | None:
    """The rows of a year by the summary by reporting entity; None where it cannot be had or has none."""
    try:
        items = source.catalogue()
        dataset_id = next(str(item["identifier"]) for item in items if item.get("title") == SUMMARY_TITLE)
        rows = source.summary_rows(dataset_id, dataset.reference_column, year)
    except BlockedError:
        raise
    except (StopIteration, KeyError, DataError, NotFoundError, UnavailableError) as error:
        _log.warning("no summary by reporting entity to compare the count with", because=str(error))
        return None
    return ReferenceCount(rows, "the summary by reporting entity") if rows else None


def count_of_run(manifest: Manifest | None) -> ReferenceCount | None:
    """The rows of a year as a committed run knew them; None without one."""
    if manifest is None:
        return None
    return ReferenceCount(manifest.closure.source_rows, f"run {manifest.run_id} of the release {manifest.release.name}")


def require_full_import(dataset: Dataset, year: int, table_rows: int, reference: ReferenceCount | None) -> None:
    """Raise ``HalfImportedError`` where the table lacks more than the tolerance of the reference count."""
    if reference is None or not dataset.is_incomplete(table_rows, reference.rows):
        return
    missing = reference.rows - table_rows
    raise HalfImportedError(
        f"the table of {dataset.name} {year} holds {table_rows:,} rows, {reference.source} says {reference.rows:,}: "
        f"{missing:,} ({missing / reference.rows:.1%}, tolerance {dataset.reference_tolerance:.0%}) are missing, "
        "so it is still being imported.",
        advice="Nothing was fetched. Run the same command again later; "
        "--trust-count fetches what there is, as a partial run.",
    )

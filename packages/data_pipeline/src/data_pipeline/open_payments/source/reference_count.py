"""The reference count: rows of a year by a count from outside the table that holds them.

A table can lie consistently: while an import is under way, its count, its groups and its rows
agree on a part of the year. So before anything is fetched the table's count is compared with the
summary by reporting entity, which CMS publishes as a file of its own. Where that cannot be had, the lake
may know: what earlier plans of the release were compared with, or a confirmed run of another release.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.open_payments.ledger import plans
from etl_core.errors import DataError, NotFoundError, TemporaryError, UnavailableError
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.ledger.documents import Manifest, Release
    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.source.catalogue import ResolvedRelease
    from etl_core.lake import ObjectStore

SUMMARY_TITLE = "Payments grouped by reporting entities"

_log = get_logger()


@dataclass(frozen=True)
class ReferenceCount:
    """Rows of a year, and who counted them."""

    rows: int
    source: str


class NoReferenceCountError(DataError):
    """The source has no reference count of a year, and asking again would not change that."""


class HalfImportedError(TemporaryError):
    """The table holds clearly fewer rows than its reference count."""

    retryable = False


def fetch_reference_count(source: Source, dataset: Dataset, year: int) -> ReferenceCount:
    """The rows of a year by the summary by reporting entity.

    Raises:
        NoReferenceCountError: there is no summary, or it has no rows of the year. UnavailableError: it does not
        answer at the moment.

    """
    try:
        rows = source.summary_rows(summary_in(source.catalogue()), dataset.reference_column, year)
    except (DataError, NotFoundError) as error:
        raise NoReferenceCountError(f"there is no summary by reporting entity: {error}") from error
    if not rows:
        raise NoReferenceCountError(f"the summary by reporting entity has no rows of {dataset.name} {year}.")
    return ReferenceCount(rows, "the summary by reporting entity")


def summary_in(items: Iterable[Mapping[str, Any]]) -> str:
    """The dataset id of the summary in the catalogue; raises ``DataError`` unless exactly one is listed."""
    found = {str(item.get("identifier", "")) for item in items if item.get("title") == SUMMARY_TITLE}
    if len(found) != 1:
        raise DataError(f"the catalogue lists {sorted(found) or 'nothing'} as {SUMMARY_TITLE!r}.")
    return found.pop()


def count_of_run(manifest: Manifest | None) -> ReferenceCount | None:
    """The rows of a year as a committed run counted them; None without one."""
    if manifest is None:
        return None
    return ReferenceCount(manifest.closure.source_rows, f"run {manifest.run_id} of the release {manifest.release.name}")


@dataclass(frozen=True)
class Confirmation:
    """What a plan keeps of the comparison; ``trusts_count`` if it was asked to do without one that agrees."""

    reference_rows: int | None
    trusts_count: bool


def confirm(source: Source, store: ObjectStore, resolved: ResolvedRelease, *, trust_count: bool) -> Confirmation:
    """Compare the table's count with the reference count, at the source or else in the lake.

    Raises:
        HalfImportedError: the table is smaller. UnavailableError: the reference count does not answer at the moment,
        and the lake knows none. Neither with ``trust_count``.

    """
    release, table = resolved.release, resolved.table
    dataset = table.columns.dataset
    _log.info("comparing the row count with the reference count", release=release.name, rows=table.rows)
    try:
        reference: ReferenceCount | None = fetch_reference_count(source, dataset, release.year)
    except (NoReferenceCountError, UnavailableError) as error:
        reference = _known(store, release)
        used = reference.source if reference else "none"
        _log.warning("the source has no reference count at the moment", because=str(error), instead=used)
        if reference is None and isinstance(error, UnavailableError) and not trust_count:
            raise UnavailableError(
                f"nothing can confirm that the table of {dataset.name} {release.year} is whole: {error}",
                advice="Nothing was fetched. Run the same command again later; "
                "--trust-count fetches what there is, as a partial run.",
                retry_after=error.retry_after,
            ) from error
    if not trust_count:
        require_full_import(dataset, release.year, table.rows, reference)
    rows = None if reference is None else reference.rows
    doubted = rows is None or dataset.is_incomplete(table.rows, rows)
    return Confirmation(rows, trusts_count=trust_count and doubted)


def _known(store: ObjectStore, release: Release) -> ReferenceCount | None:
    """What the lake knows of the rows of a year, apart from the table of ``release``."""
    rows = plans.largest_reference_rows(store, release)
    if rows is not None:
        return ReferenceCount(rows, f"an earlier run of the release {release.name}")
    return count_of_run(plans.last_confirmed_release(store, release))


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

"""A second opinion on how many rows a year has, from outside the table that holds them.

A table can lie consistently: while an import is under way, its count, its groups and its rows
agree on a part of the year. So before anything is fetched the table's count is held against the
summary by reporting entity, which CMS publishes as a file of its own, or, where that cannot be
had, against the last completed run of the year in the lake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from data_pipeline.open_payments.ledger.selection import TOLERANCE, ReferenceCount, falls_short
from etl_core.errors import BlockedError, DataError, NotFoundError, TemporaryError, UnavailableError

if TYPE_CHECKING:
    from data_pipeline.open_payments.source.api import Source

SUMMARY_TITLE = "Payments grouped by reporting entities"

_log = structlog.get_logger()


class HalfImportedError(TemporaryError):
    """The table holds clearly fewer rows than a witness says the year has."""

    retryable = False


def summary_reference(source: Source, year: int) -> ReferenceCount | None:
    """What the summary by reporting entity says; None where it cannot be had."""
    try:
        items = source.catalogue()
        dataset_id = next(str(item["identifier"]) for item in items if item.get("title") == SUMMARY_TITLE)
        rows = source.summary_rows(dataset_id, year)
    except BlockedError:
        raise
    except (StopIteration, KeyError, DataError, NotFoundError, UnavailableError) as error:
        _log.warning("no summary by reporting entity to hold the count against", because=str(error))
        return None
    return ReferenceCount(rows, "the summary by reporting entity") if rows else None


def must_not_contradict(year: int, table_rows: int, witness: ReferenceCount | None) -> None:
    """Raise ``HalfImportedError`` where the table lacks more than the tolerance of what the witness says."""
    if witness is None or not falls_short(table_rows, witness.rows):
        return
    missing = witness.rows - table_rows
    raise HalfImportedError(
        f"the table of {year} holds {table_rows:,} rows, {witness.says} says {witness.rows:,}: {missing:,} "
        f"({missing / witness.rows:.1%}, tolerance {TOLERANCE:.0%}) are missing, so it is still being imported.",
        advice="Nothing was fetched. Run the same command again later; "
        "--trust-count fetches what there is, as a partial run.",
    )

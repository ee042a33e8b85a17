"""CMS's summaries of a year, stored as they are: what our own figures are compared with later.

Nothing here fails a run. What goes wrong with a summary is said in the log and in the run's fact.
"""

from __future__ import annotations

import csv
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline import __version__, lake_layout
from data_pipeline.open_payments.ledger.summaries import KeptSummary, SummaryAudit, stored_summaries, summaries_with
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.catalogue import day_of, must_be_a_distribution
from data_pipeline.open_payments.summaries import SUMMARIES
from etl_core.csv_stream.reader import RecordError
from etl_core.csv_stream.records import fields_of
from etl_core.errors import DataError, PermanentError, TemporaryError, UnavailableError
from etl_core.lake import content_of, put_or_agree
from etl_core.logs import get_logger
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.summaries import Summary
    from etl_core.lake import ObjectStore
    from etl_core.retry import Retry

    Catalogue = Callable[[], list[dict[str, Any]]]

# The summary by reporting entity has some 2,000 rows of a year, 0.3 MB. A longer answer is not of one year.
MOST_BYTES = 64_000_000

_log = get_logger()


@dataclass(frozen=True)
class Summaries:
    """Stores the summaries of years in one lake."""

    source: Source
    store: ObjectStore
    retry: Retry
    now: Callable[[], datetime]

    def keep(self, year: int, *, only_missing: bool = False) -> tuple[KeptSummary, ...]:
        """Store the rows that each summary has of the year now; raises ``StoppedError`` only.

        With ``only_missing`` nothing is said and done of a summary of which the lake has any rows of the year.
        """
        there = summaries_with(self.store, year) if only_missing else set()
        catalogue = functools.cache(self.source.catalogue)
        return tuple(self._kept(one, year, catalogue) for one in SUMMARIES if one.name not in there)

    def _kept(self, summary: Summary, year: int, catalogue: Catalogue) -> KeptSummary:
        try:
            stored = stored_summaries(self.store, summary, year)
            dataset_id, modified = listed(summary, catalogue())
            table = self.source.described(dataset_id)
            must_be_a_distribution(table.distribution_id, f"the summary {summary.title!r}")
            same = next((one for one in stored if one.distribution_id == table.distribution_id), None)
            if same is not None:
                return KeptSummary(summary=summary.name, status="already stored", rows=same.records)
            must_have_columns(summary, table.titles)
            names = dict(zip(map(str.lower, table.titles), table.names, strict=True))
            rows = _Rows(self, summary, year, dataset_id, table.distribution_id, modified, names)
            audit = self.retry.call(rows.store)
        except (PermanentError, TemporaryError) as error:
            _log.warning("a summary of CMS is not stored", summary=summary.name, year=year, because=str(error))
            return KeptSummary(summary=summary.name, status="not stored", problem=str(error))
        return KeptSummary(summary=summary.name, status="stored", rows=audit.records)


@dataclass(frozen=True)
class _Rows:
    """The rows of one summary and year in one publication."""

    to: Summaries
    summary: Summary
    year: int
    dataset_id: str
    distribution_id: str
    modified: str
    names: Mapping[str, str]
    """Of columns as queries want them, by their titles in lower case."""

    def store(self, attempt: int) -> SummaryAudit:
        """Fetch them, check them, and store them, their proof last."""
        started_at, clock, tally, source = self.to.now(), time.monotonic(), Tally(), self.to.source
        of_year = (query.Condition(self.names[self.summary.year_column.lower()], "=", str(self.year)),)
        before = source.count(self.distribution_id, of_year, tally)
        if not before:
            raise DataError(f"it has no rows of {self.year}.")
        # In order of the ids, so that the same rows are the same bytes.
        order = self.names[self.summary.names[0]]
        with source.download(
            self.distribution_id, of_year, sort=order, at_most=MOST_BYTES, bypass_cache=attempt > 1, tally=tally
        ) as answer:
            body, url = b"".join(answer.chunks), answer.url
        self._must_be_of_the_year(body, before)
        after = source.count(self.distribution_id, of_year, tally)
        if after != before:
            raise UnavailableError(f"it had {before} rows of {self.year}, and a moment later {after}.")
        sha256 = content_of(body)
        key = lake_layout.open_payments.summary_rows(self.summary.name, self.year, self.distribution_id, sha256)
        put_or_agree(self.to.store, key, body)
        audit = SummaryAudit(
            summary=self.summary.name,
            year=self.year,
            dataset_id=self.dataset_id,
            distribution_id=self.distribution_id,
            modified=self.modified,
            key=key,
            url=url,
            condition=query.describe(of_year),
            records=before,
            bytes=len(body),
            sha256=sha256,
            count_before=before,
            count_after=after,
            started_at=started_at,
            proved_at=self.to.now(),
            seconds=round(time.monotonic() - clock, 3),
            requests=tally.requests,
            retries=tally.retries,
            software={"data_pipeline": __version__},
        )
        self.to.store.put_new(audit.place, audit.to_bytes())
        return audit

    def _must_be_of_the_year(self, body: bytes, rows: int) -> None:
        try:
            header, records = header_of(body), list(fields_of([body]))
        except (RecordError, csv.Error) as error:
            raise UnavailableError(f"its answer cannot be read: {error}") from error
        must_have_columns(self.summary, header)
        place = [one.lower() for one in header].index(self.summary.year_column.lower())
        if len(records) != rows:
            raise UnavailableError(f"its answer has {len(records)} rows of {self.year}, the source counts {rows}.")
        if any(one[place] != str(self.year).encode() for one in records):
            raise UnavailableError(f"its answer has rows of other years than {self.year}.")


def listed(summary: Summary, items: Iterable[Mapping[str, Any]]) -> tuple[str, str]:
    """The dataset id of a summary in the catalogue and its date; raises ``DataError`` unless exactly one is listed."""
    found = {
        str(item.get("identifier", "")).lower(): day_of(item) for item in items if item.get("title") == summary.title
    }
    if len(found) != 1:
        raise DataError(f"the catalogue lists {sorted(found) or 'nothing'} as {summary.title!r}.")
    return found.popitem()


def must_have_columns(summary: Summary, titles: Iterable[str]) -> None:
    """Raise ``DataError`` if a column is missing that figures are compared by; a machine name is as good."""
    there = {one.lower() for one in titles}
    missing = [one for one in (*summary.columns, summary.year_column) if one.lower() not in there]
    if missing:
        raise DataError(f"it has no column {', '.join(missing)}.")


def header_of(body: bytes) -> tuple[str, ...]:
    """The column names in the first line of a CSV file."""
    line = body.partition(b"\n")[0].decode("utf-8", "replace")
    return tuple(next(csv.reader([line]), ()))

"""Checks that the source and the lake behave as runs expect (``assumptions``).

The source gets one request at a time, at most 25 and some 10 MB, and none after the first answer that
says it is overloaded. The companies asked about are chosen from its own counts. ``assumptions`` names the part of
a run's proof that covers each check; nothing here decides whether a slice is proved.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline import lake_layout
from data_pipeline.doctor.checks import (
    CheckFailedError,
    CheckSkippedError,
    Finding,
    outcome_of,
    require,
    run_checks,
    summary_of,
)
from data_pipeline.doctor.lake import LAKE_CHECKS, LakeDoctor
from data_pipeline.lake_layout.ids import can_be_encoded
from data_pipeline.open_payments.assumptions import SOURCE_CHECKS
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.catalogue import Listed, listed_in_catalogue, listed_in_script, only_one
from data_pipeline.open_payments.source.reference_count import ReferenceCount, require_full_import, summary_in
from data_pipeline.open_payments.windows import ROWS_PER_WINDOW, rows_of
from etl_core.csv_stream.layout import Layout
from etl_core.csv_stream.reader import RecordError, RecordReader, Summary
from etl_core.errors import DataError, PipelineError
from etl_core.lake import put_or_agree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.source.api import Source, Table
    from etl_core.lake import ObjectStore

# 13 requests and the pages of two groupings; PY2024 has 1,729 payers in 4 pages, a year 366 days in one.
MOST_PAYERS, MOST_DAYS = 2_500, 1_000
# 12,000 rows are 7 MB. PY2024 has 274 companies above 5,000 rows.
SMALL, LONG = range(20, 501), range(5_001, 12_001)
MOST_BYTES = 9_000_000
NOBODY, BACKSLASH = "0", b"\\"


def questions(*, of_lake: bool, of_source: bool) -> list[str]:
    """One line per check."""
    chosen = (*(LAKE_CHECKS if of_lake else ()), *(SOURCE_CHECKS if of_source else ()))
    return [f"{one.id}: {one.question}" for one in chosen]


def examine(
    store: ObjectStore,
    source: Source | None,
    dataset: Dataset,
    year: int | None,
    *,
    of_lake: bool,
    now: Callable[[], datetime],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], int]:
    """Run the checks, calling ``say`` with each finding; the fact and the exit code."""
    fact: dict[str, Any] = {"status": ""}
    findings: list[Finding] = []
    if of_lake:
        findings += LakeDoctor(store, now).examine(say)
        fact["lake_checks"] = summary_of(findings)
    if source is not None:
        doctor = SourceDoctor(source, dataset, year)
        found = doctor.examine(say)
        findings += found
        fact |= {"source_checks": summary_of(found), **doctor.about, "report": ""}
        try:
            fact["report"] = save(store, found, now(), doctor.about)
        except PipelineError as error:
            say(f"the report of the source could not be stored: {error}")
    fact["status"], code = outcome_of(findings)
    return fact, code


@dataclass(frozen=True)
class _Got:
    headers: Mapping[str, str]
    body: bytes

    @property
    def header(self) -> bytes:
        return self.body.partition(b"\n")[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.header.decode("utf-8", "replace").replace('"', "").split(","))

    @property
    def is_copy(self) -> bool:
        """Whether a cache had this answer already; some caches give an answer just fetched the age 0."""
        age = self.headers.get("Age", "")
        return "hit" in self.headers.get("X-Cache", "").lower() or (age.isdigit() and int(age) > 0)


class SourceDoctor:
    """One method per check, named by its id: returns what it found, or raises."""

    def __init__(self, source: Source, dataset: Dataset, year: int | None) -> None:
        self._source = source
        self._dataset = dataset
        self._year = year
        self._listed: Listed = {}
        self._known: dict[str, Any] = {}
        self._bytes_left = MOST_BYTES

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """Run all checks, calling ``say`` with each finding; ``UsageError`` if the source has no such year."""
        return run_checks(SOURCE_CHECKS, self, say)

    @property
    def about(self) -> dict[str, Any]:
        """The dataset, the year and the table that were checked."""
        table: Table | None = self._known.get("dataset_resolves")
        return {
            "dataset": self._dataset.name,
            "year": self._year,
            "distribution_id": table.distribution_id if table else None,
        }

    def catalogue(self) -> str:
        items = self._known["catalogue"] = self._source.catalogue()
        return self._years(listed_in_catalogue(self._dataset, items))

    def script(self) -> str:
        if self._dataset.script_type is None:
            raise CheckSkippedError(f"the script names no years of {self._dataset.name}.")
        return self._years(listed_in_script(self._dataset, self._source.script()))

    def dataset_resolves(self) -> str:
        if self._year is None or not self._listed:
            raise CheckSkippedError("neither catalogue nor script names a year.")
        table = self._source.table(self._dataset, only_one(self._dataset, self._year, self._listed).dataset_id)
        if table.columns.missing:
            raise CheckFailedError(f"the table has no column {', '.join(table.columns.missing)}.")
        self._known["dataset_resolves"] = table
        return f"{self._year} is in {table.distribution_id}, {table.rows:,} rows."

    def summary_agrees(self) -> str:
        items: list[dict[str, Any]] = self._needed("catalogue")
        table, year = self._table, self._year or 0
        try:
            dataset_id = summary_in(items)
        except DataError as error:
            raise CheckSkippedError(str(error)) from error
        rows = self._source.summary_rows(dataset_id, self._dataset.reference_column, year)
        reference = ReferenceCount(rows, "the summary by reporting entity")
        require_full_import(self._dataset, year, table.rows, reference)
        return f"the summary says {rows:,} rows, the table {table.rows:,}."

    def rows_500_answered(self) -> str:
        page = self._known["rows_500_answered"] = self._page(500)
        rows = len(page.get("results") or ())
        return require(
            rows == min(500, self._table.rows),
            found=f"{rows} rows.",
            otherwise=f"{rows} rows were answered to a query for 500.",
        )

    def grouped_counts(self) -> str:
        table, columns = self._table, self._table.columns
        counts = self._source.grouped_counts(
            table.distribution_id, columns.payer, columns.record_id, at_least=MOST_PAYERS
        )
        strange = [company_id for company_id in counts if not can_be_encoded(company_id)]
        if counts and not strange:
            self._known["grouped_counts"] = counts
        return require(
            bool(counts) and not strange,
            found=f"{len(counts):,} payers.",
            otherwise=f"no payers, or strange ones: {strange[:3]}.",
        )

    def grouped_counts_sum(self) -> str:
        if len(self._counts) >= MOST_PAYERS:
            raise CheckSkippedError(f"there are {MOST_PAYERS:,} payers or more, too many pages for this.")
        summed, rows = sum(self._counts.values()), self._table.rows
        return require(
            summed == rows,
            found=f"{rows:,} rows both ways.",
            otherwise=f"they sum to {summed:,}, the table has {rows:,}.",
        )

    def date_ranges_as_text(self) -> str:
        if self._dataset.date_column is None:
            raise CheckSkippedError(f"{self._dataset.name} has no payment date: no slice of it is cut.")
        table, columns, windows = self._table, self._table.columns, self._dataset.cut(ROWS_PER_WINDOW + 1)
        of_company, edge = self._of(self._large), windows[0].high
        days = self._source.grouped_counts(
            table.distribution_id, columns.date, columns.record_id, of_company, at_least=MOST_DAYS
        )
        summed = rows_of(windows, days)[1]
        counted = self._known["date_ranges_as_text"] = self._window_count(0)
        no = f"{counted:,} rows of company {self._large} are below {edge}, by their days {summed:,}."
        return require(
            counted == summed,
            found=f"company {self._large}: {counted:,} rows are below {edge}, also by their days.",
            otherwise=no,
        )

    def window_counts_tile(self) -> str:
        first: int = self._needed("date_ranges_as_text")
        second, rows = self._window_count(1), self._counts[self._large]
        found = f"company {self._large}: {first:,} and {second:,} rows in two windows, {rows:,} in all."
        return require(first + second == rows, found=found, otherwise=found)

    def conditions_honoured(self) -> str:
        company_id = self._chosen(SMALL)
        got = self._known["conditions_honoured"] = self._fetch(company_id)
        records, counted = (
            self._read(got, "foreign", equal={self._dataset.payer_column: company_id}).records,
            self._counts[company_id],
        )
        return require(
            records == counted,
            found=f"company {company_id}, {records} rows.",
            otherwise=f"{records} rows came of {counted}.",
        )

    def header_is_schema(self) -> str:
        columns, names = self._table.columns, self._small.names
        no = f"it adds {sorted({*names} - {*columns.titles})[:5]}, lacks {sorted({*columns.titles} - {*names})[:5]}."
        return require(names in (columns.titles, columns.names), found=f"{len(names)} columns.", otherwise=no)

    def fresh_parameter_ignored(self) -> str:
        known, got = self._read(self._small), self._fetch(self._chosen(SMALL), bypass_cache=True)
        same = self._read(got, "width", "error_row", "repeated_key").content_hash == known.content_hash
        return require(
            same and not got.is_copy, found="the same rows, no copy.", otherwise="a copy or other rows came."
        )

    def zero_rows_header_only(self) -> str:
        got = self._known["zero_rows_header_only"] = self._fetch(NOBODY)
        lines = got.body.count(b"\n")
        return require(
            lines == 1 and got.body[-1:] == b"\n", found="one line.", otherwise=f"{lines} lines, {len(got.body)} bytes."
        )

    def sorted_pages_disjoint(self) -> str:
        company_id, whole = self._chosen(SMALL), self._read(self._small)
        limit, sort = -(-whole.records // 2), self._table.columns.record_id
        one, two = (self._fetch(company_id, sort=sort, limit=limit, offset=offset) for offset in (0, limit))
        self._known["sorted_pages_disjoint"] = two
        joined = self._read(_Got({}, one.body + two.body.partition(b"\n")[2]), "repeated_key", "error_row", "width")
        same = joined.content_hash == whole.content_hash
        return require(
            same,
            found=f"two pages of {limit} rows.",
            otherwise=f"{joined.records} rows in two pages, others than in one.",
        )

    def download_header(self) -> str:
        others = [self._needed(name).header for name in ("zero_rows_header_only", "sorted_pages_disjoint")]
        same = {self._small.header} == {*others} and len(self._small.names) > 1
        return require(
            same,
            found="the same line three times.",
            otherwise=f"{[one[:40] for one in (self._small.header, *others)]}.",
        )

    def long_answers(self) -> str:
        company_id = self._chosen(LONG)
        got = self._known["long"] = self._fetch(company_id)
        records = self._read(got, "error_row", "truncated", "no_header").records
        if records >= LONG.start:
            self._known["long_answers"] = got
        return require(
            records >= LONG.start,
            found=f"company {company_id}, {len(got.body):,} bytes.",
            otherwise=f"only {records:,} rows.",
        )

    def unsorted_answer_complete(self) -> str:
        counted, got = self._counts[self._chosen(LONG)], self._needed("long_answers")
        records = self._read(got, "repeated_key").records
        return require(
            records == counted,
            found=f"{records:,} rows, as counted.",
            otherwise=f"{records:,} rows came of {counted:,}.",
        )

    def dialect(self) -> str:
        for got in self._bodies:
            # An unclosed quote looks like a truncated answer; a long answer may well be truncated.
            whole = ("truncated",) if got is self._small or got.body.endswith(b"\n") else ()
            try:
                self._read(got, "width", "malformed", *whole)
            except CheckSkippedError:
                if got is self._small:
                    raise
        return f"read strictly, {sum(got.body.count(BACKSLASH) for got in self._bodies)} backslashes in it."

    # Shared by the checks.

    @property
    def _table(self) -> Table:
        table: Table = self._needed("dataset_resolves")
        return table

    @property
    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = self._needed("grouped_counts")
        return counts

    @property
    def _small(self) -> _Got:
        got: _Got = self._needed("conditions_honoured")
        return got

    @property
    def _bodies(self) -> list[_Got]:
        """The small answer, and the long one if there is one."""
        return [self._small, *(self._known[name] for name in ("long",) if name in self._known)]

    @property
    def _large(self) -> str:
        """The smallest company that a run would cut into windows, else the largest: it is only counted."""
        counts = self._counts
        over = [(rows, company_id) for company_id, rows in counts.items() if rows > ROWS_PER_WINDOW]
        return min(over)[1] if over else max(counts, key=lambda company_id: counts[company_id])

    def _chosen(self, sizes: range) -> str:
        """The smallest company with so many rows."""
        found = [(rows, company_id) for company_id, rows in self._counts.items() if rows in sizes]
        if not found:
            raise CheckSkippedError(f"no company has {sizes.start:,} to {sizes.stop - 1:,} rows.")
        return min(found)[1]

    def _needed(self, name: str) -> Any:  # noqa: ANN401 - whatever that check found
        if name not in self._known:
            raise CheckSkippedError(f"it needs the result of {name}.")
        return self._known[name]

    def _years(self, listed: Listed) -> str:
        self._listed = listed | self._listed
        self._year = self._year or max(listed, default=None)
        return require(
            bool(listed), found=f"{_joined(listed)}.", otherwise=f"it names no year of {self._dataset.name}."
        )

    def _of(self, company_id: str) -> tuple[query.Condition, ...]:
        return query.conditions_of(self._table.columns, company_id)

    def _page(self, limit: int) -> dict[str, Any]:
        key = self._table.columns.record_id
        return self._source.answer_to(self._table.distribution_id, query.rows_params((key,), sort=key, limit=limit))

    def _window_count(self, number: int) -> int:
        window = self._dataset.cut(ROWS_PER_WINDOW + 1)[number]
        conditions = query.conditions_of(self._table.columns, self._large, window)
        return self._source.count(self._table.distribution_id, conditions)

    def _fetch(self, company_id: str, **how: Any) -> _Got:  # noqa: ANN401 - as ``download`` takes it
        if self._bytes_left < 0:
            raise CheckSkippedError(f"{MOST_BYTES:,} bytes were read already.")
        body = bytearray()
        with self._source.download(self._table.distribution_id, self._of(company_id), **how) as answer:
            for chunk in answer.chunks:
                body += chunk
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise CheckFailedError(
                        f"{len(body):,} bytes of company {company_id} and more; the rest was not read."
                    )
        return _Got(answer.headers, bytes(body))

    def _read(self, got: _Got, *wrong: str, equal: Mapping[str, str] | None = None) -> Summary:
        """The rows as a run reads them, under the schema's names. Fails for the ``wrong`` reasons, skips for others."""
        titles = self._table.columns.titles
        if len(got.names) != len(titles):
            raise CheckSkippedError("the answer's header has another width than the schema.")
        dataset = self._dataset
        volatile = dataset.volatile_columns.intersection(titles)
        layout = Layout(titles, dataset.record_id_column, equal=equal or {}, volatile=volatile)
        reader = RecordReader(layout)
        try:
            reader.feed(",".join(titles).encode() + b"\n" + got.body.partition(b"\n")[2])
            return reader.finish()
        except RecordError as error:
            if error.reason == "repeated_key" not in wrong:
                return Summary(reader.records, reader.received, "", "", "", "rfc4180")
            kind = CheckFailedError if error.reason in wrong else CheckSkippedError
            raise kind(f"{error.reason}: {error.detail}.") from error


def _joined(years: Iterable[int]) -> str:
    return ", ".join(str(year) for year in sorted(years))


def save(store: ObjectStore, findings: Iterable[Finding], now: datetime, about: Mapping[str, Any]) -> str:
    """Store a report of the source in the lake, named by time; the key."""
    key = lake_layout.doctor.source_report(now.strftime("%Y-%m-%dT%H-%M-%S-%f"))
    report = {"schema_version": 1, "at": now.isoformat(), **about, "findings": [one.as_json() for one in findings]}
    put_or_agree(store, key, json.dumps(report, indent=1).encode() + b"\n")
    return key

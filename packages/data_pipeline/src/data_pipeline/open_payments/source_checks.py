"""Asks the source and the lake whether what a run assumes of them holds (``assumptions``).

The source is asked kindly: one question at a time, each once, at most 25 requests and some 10 MB, and nothing more
after the first answer that says it is unwell. The companies asked about are chosen from its own counts. What of a
run's proof covers which assumption stands in ``assumptions``; nothing here decides whether a slice is proved.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline import lake_layout
from data_pipeline.doctor.checks import (
    Finding,
    NoError,
    NotAskedError,
    either,
    examine_each,
    status_of,
    summary_of,
    word_for,
)
from data_pipeline.doctor.lake import OF_LAKE, LakeDoctor
from data_pipeline.open_payments.assumptions import OF_SOURCE
from data_pipeline.open_payments.ledger.selection import Witness
from data_pipeline.open_payments.schema import DATE_OF_PAYMENT, PAYER_ID, RECORD_ID, VOLATILE
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.catalogue import Listed, listed_in_catalogue, listed_in_script
from data_pipeline.open_payments.source.reference_count import SUMMARY_TITLE, must_not_contradict
from data_pipeline.open_payments.windows import ROWS_PER_WINDOW, cut, rows_of
from etl_core.csv_stream.reader import Layout, RecordError, RecordReader, Summary
from etl_core.errors import (
    DataError,
    PipelineError,
    UsageError,
)
from etl_core.lake import put_or_agree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from data_pipeline.open_payments.source.api import Source, Table
    from etl_core.lake import ObjectStore

# 18 requests and the pages of two groupings; PY2024 has 1,729 payers in 4 pages, a year 366 days in one.
MOST_PAYERS, MOST_DAYS = 2_500, 1_000
# 12,000 rows are 7 MB. PY2024 has 274 companies above 5,000 rows.
SMALL, LONG = range(20, 501), range(5_001, 12_001)
MOST_BYTES = 9_000_000
NOBODY, BACKSLASH = "0", b"\\"


def questions(*, of_lake: bool, of_source: bool) -> list[str]:
    """What would be asked, a line each."""
    chosen = (*(OF_LAKE if of_lake else ()), *(OF_SOURCE if of_source else ()))
    return [f"{one.id}: {one.asks}" for one in chosen]


def examine(
    store: ObjectStore,
    source: Source | None,
    year: int | None,
    *,
    of_lake: bool,
    now: Callable[[], datetime],
    say: Callable[[str], None],
) -> tuple[dict[str, Any], int]:
    """The fact of an examination, and its exit status; each finding is said as soon as there is one."""
    fact: dict[str, Any] = {"status": ""}
    findings: list[Finding] = []
    if of_lake:
        findings += LakeDoctor(store, now).examine(say)
        fact["of_lake"] = summary_of(findings)
    if source is not None:
        doctor = SourceDoctor(source, year)
        found = doctor.examine(say)
        findings += found
        fact |= {"of_source": summary_of(found), **doctor.about, "report": ""}
        try:
            fact["report"] = save(store, found, now(), doctor.about)
        except PipelineError as error:
            say(f"the report of the source could not be kept: {error}")
    status = status_of(findings)
    fact["status"] = word_for(status)
    return fact, status


@dataclass(frozen=True)
class _Got:
    headers: Mapping[str, str]
    body: bytes

    @property
    def header(self) -> bytes:
        return self.body.partition(b"\n")[0]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.header.decode("utf-8", "replace").rstrip("\r").replace('"', "").split(","))

    def is_copy(self, *, older_than: int = -1) -> bool:
        """Whether a cache says that it had this answer already; some give one just fetched the age 0."""
        age = self.headers.get("Age", "")
        return "hit" in self.headers.get("X-Cache", "").lower() or (age.isdigit() and int(age) > older_than)


class SourceDoctor:
    """A method an assumption, under its id: gives a sentence of what was found, or raises."""

    def __init__(self, source: Source, year: int | None) -> None:
        self._source = source
        self._year = year
        self._listed: dict[int, Listed] = {}
        self._known: dict[str, Any] = {}
        self._bytes_left = MOST_BYTES

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """All findings, each said when it is there; UsageError if the source has no such year."""
        return examine_each(OF_SOURCE, self, say)

    @property
    def about(self) -> dict[str, Any]:
        """Year and table that were asked about."""
        table: Table | None = self._known.get("dataset_resolves")
        return {"year": self._year, "distribution_id": table.distribution_id if table else None}

    def catalogue(self) -> str:
        items = self._known["catalogue"] = self._source.catalogue()
        return self._years(listed_in_catalogue(items))

    def script(self) -> str:
        return self._years(listed_in_script(self._source.script()))

    def dataset_resolves(self) -> str:
        if self._year is None or not self._listed:
            raise NotAskedError("neither catalogue nor script names a year.")
        if self._year not in self._listed:
            raise UsageError(f"the source has no program year {self._year}; it has {_joined(self._listed)}.")
        table = self._source.table(self._listed[self._year].dataset_id)
        for title in (PAYER_ID, DATE_OF_PAYMENT, RECORD_ID):
            table.columns.name_of(title)
        self._known["dataset_resolves"] = table
        return f"{self._year} is in {table.distribution_id}, {table.rows:,} rows."

    def summary_agrees(self) -> str:
        items: list[dict[str, Any]] = self._needed("catalogue")
        table, year = self._table, self._year or 0
        dataset_id = next((str(item.get("identifier")) for item in items if item.get("title") == SUMMARY_TITLE), None)
        if dataset_id is None:
            raise NotAskedError("the catalogue lists no summary by reporting entity.")
        rows = self._source.summary_rows(dataset_id, year)
        must_not_contradict(year, table.rows, Witness(rows, "the summary by reporting entity"))
        return f"the summary says {rows:,} rows, the table {table.rows:,}."

    def rows_500_answered(self) -> str:
        page = self._known["rows_500_answered"] = self._page(500)
        rows = len(page.get("results") or ())
        return either(
            rows == min(500, self._table.rows), f"{rows} rows.", f"{rows} rows were answered to a query for 500."
        )

    def row_cap_500(self) -> str:
        try:
            answered = self._page(501)
        except DataError:
            return "501 are refused."
        raise NoError(f"{len(answered.get('results') or ())} rows were answered to a query for 501.")

    def count_false_spares(self) -> str:
        page = self._needed("rows_500_answered")
        return either("count" not in page, "it is left out.", "an answer to count=false has a count.")

    def unknown_parameters_ignored(self) -> str:
        params = [*query.count_params(), ("filter[program_year]", "1900")]
        counted, rows = self._source.answer_to(self._table.distribution_id, params).get("count"), self._table.rows
        return either(counted == rows, "it answers unfiltered.", f"with one it counts {counted} rows, without {rows}.")

    def grouped_counts(self) -> str:
        key, payer = self._name(RECORD_ID), self._name(PAYER_ID)
        counts = self._source.grouped_counts(self._table.distribution_id, payer, key, at_least=MOST_PAYERS)
        strange = [company_id for company_id in counts if not company_id.isdigit()]
        if counts and not strange:
            self._known["grouped_counts"] = counts
        return either(
            bool(counts) and not strange, f"{len(counts):,} payers.", f"no payers, or strange ones: {strange[:3]}."
        )

    def grouped_counts_sum(self) -> str:
        if len(self._counts) >= MOST_PAYERS:
            raise NotAskedError(f"there are {MOST_PAYERS:,} payers or more, too many pages for this.")
        summed, rows = sum(self._counts.values()), self._table.rows
        return either(summed == rows, f"{rows:,} rows both ways.", f"they sum to {summed:,}, the table has {rows:,}.")

    def date_ranges_as_text(self) -> str:
        of_company, edge = self._of(self._large), cut(ROWS_PER_WINDOW + 1)[0].high
        days = self._source.grouped_counts(
            self._table.distribution_id,
            self._name(DATE_OF_PAYMENT),
            self._name(RECORD_ID),
            of_company,
            at_least=MOST_DAYS,
        )
        summed = rows_of(cut(ROWS_PER_WINDOW + 1), days)[1]
        counted = self._known["date_ranges_as_text"] = self._window_count(0)
        no = f"{counted:,} rows of company {self._large} are below {edge}, by their days {summed:,}."
        return either(
            counted == summed, f"company {self._large}: {counted:,} rows are below {edge}, also by their days.", no
        )

    def window_counts_tile(self) -> str:
        first: int = self._needed("date_ranges_as_text")
        second, rows = self._window_count(1), self._counts[self._large]
        found = f"company {self._large}: {first:,} and {second:,} rows in two windows, {rows:,} in all."
        return either(first + second == rows, found, found)

    def conditions_honoured(self) -> str:
        company_id = self._chosen(SMALL)
        got = self._known["conditions_honoured"] = self._fetch(company_id)
        records, counted = self._read(got, "foreign", equal={PAYER_ID: company_id}).records, self._counts[company_id]
        return either(
            records == counted, f"company {company_id}, {records} rows.", f"{records} rows came of {counted}."
        )

    def header_is_schema(self) -> str:
        columns, names = self._table.columns, self._small.names
        no = f"it adds {sorted({*names} - {*columns.titles})[:5]}, lacks {sorted({*columns.titles} - {*names})[:5]}."
        return either(names in (columns.titles, columns.names), f"{len(names)} columns.", no)

    def header_titles(self) -> str:
        columns, names = self._table.columns, self._small.names
        return either(names != columns.names, f"it begins {names[0]}.", f"it begins {names[0]}.")

    def line_end(self) -> str:
        body, header = self._small.body, self._small.header
        ends = header[-1:], body[-1:]
        return either(ends[0] != b"\r" and ends[1] == b"\n", "a line feed alone.", f"header and answer end in {ends}.")

    def caching_headers(self) -> str:
        said = self._small.headers.get("Cache-Control", "")
        age = re.search(r"max-age=(\d+)", said)
        return either(bool(age and int(age[1]) <= 3600), f"{said}.", f"Cache-Control is {said!r}.")

    def answers_not_kept(self) -> str:
        copies = [got.is_copy() for got in (self._small, self._fetch(self._chosen(SMALL)))]
        return either(not any(copies), "neither answer says that it is a copy.", "a cache answered.")

    def fresh_parameter_ignored(self) -> str:
        known, got = self._read(self._small), self._fetch(self._chosen(SMALL), past_caches=True)
        same = self._read(got, "width", "error_row", "repeated_key").content_hash == known.content_hash
        return either(same and not got.is_copy(older_than=0), "the same rows, no copy.", "a copy or other rows came.")

    def zero_rows_header_only(self) -> str:
        got = self._known["zero_rows_header_only"] = self._fetch(NOBODY)
        lines = got.body.count(b"\n")
        return either(lines == 1 and got.body[-1:] == b"\n", "one line.", f"{lines} lines, {len(got.body)} bytes.")

    def sorted_pages_disjoint(self) -> str:
        company_id, whole = self._chosen(SMALL), self._read(self._small)
        limit, sort = -(-whole.records // 2), self._name(RECORD_ID)
        one, two = (self._fetch(company_id, sort=sort, limit=limit, offset=offset) for offset in (0, limit))
        self._known["sorted_pages_disjoint"] = two
        joined = self._read(_Got({}, one.body + two.body.partition(b"\n")[2]), "repeated_key", "error_row", "width")
        same = joined.content_hash == whole.content_hash
        return either(same, f"two pages of {limit} rows.", f"{joined.records} rows in two pages, others than in one.")

    def download_header(self) -> str:
        others = [self._needed(name).header for name in ("zero_rows_header_only", "sorted_pages_disjoint")]
        same = {self._small.header} == {*others} and len(self._small.names) > 1
        return either(same, "the same line three times.", f"{[one[:40] for one in (self._small.header, *others)]}.")

    def long_answers(self) -> str:
        company_id = self._chosen(LONG)
        got = self._known["long"] = self._fetch(company_id)
        records = self._read(got, "error_row", "truncated", "no_header").records
        if records >= LONG.start:
            self._known["long_answers"] = got
        return either(
            records >= LONG.start, f"company {company_id}, {len(got.body):,} bytes.", f"only {records:,} rows."
        )

    def unsorted_answer_complete(self) -> str:
        counted, got = self._counts[self._chosen(LONG)], self._needed("long_answers")
        records = self._read(got, "repeated_key").records
        return either(records == counted, f"{records:,} rows, as counted.", f"{records:,} rows came of {counted:,}.")

    def dialect(self) -> str:
        for got in self._bodies:
            # A quote that nobody closes looks as if the answer were cut.
            whole = ("truncated",) if got.body.endswith(b"\n") else ()
            try:
                self._read(got, "width", "malformed", *whole)
            except NotAskedError:
                if got is self._small:
                    raise
        return f"read strictly, {sum(got.body.count(BACKSLASH) for got in self._bodies)} backslashes in it."

    def encoding_utf8(self) -> str:
        try:
            texts = [got.body.decode("utf-8") for got in self._bodies]
        except UnicodeDecodeError as error:
            raise NoError(f"{error}.") from error
        marked = any(text.startswith("\ufeff") for text in texts)
        return either(not marked, f"{sum(map(len, texts)):,} characters.", "it begins with a byte order mark.")

    def retry_after_form(self) -> str:
        raise NotAskedError("only an overloaded source shows it; runs understand both forms.")

    # What the checks share.

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
        """The answer of some rows, and the long one if there is one."""
        return [self._small, *(self._known[name] for name in ("long",) if name in self._known)]

    @property
    def _large(self) -> str:
        """The smallest company that a run would cut, else the largest: it is only counted."""
        counts = self._counts
        over = [(rows, company_id) for company_id, rows in counts.items() if rows > ROWS_PER_WINDOW]
        return min(over)[1] if over else max(counts, key=lambda company_id: counts[company_id])

    def _chosen(self, sizes: range) -> str:
        """The smallest company of such a size."""
        found = [(rows, company_id) for company_id, rows in self._counts.items() if rows in sizes]
        if not found:
            raise NotAskedError(f"no company has {sizes.start:,} to {sizes.stop - 1:,} rows.")
        return min(found)[1]

    def _needed(self, name: str) -> Any:  # noqa: ANN401 - whatever that check found
        if name not in self._known:
            raise NotAskedError(f"it needs what {name} would have found.")
        return self._known[name]

    def _name(self, title: str) -> str:
        return self._table.columns.name_of(title)

    def _years(self, listed: dict[int, Listed]) -> str:
        self._listed = listed | self._listed
        self._year = self._year or max(listed, default=None)
        return either(bool(listed), f"{_joined(listed)}.", "it names no year of General Payments.")

    def _of(self, company_id: str) -> tuple[query.Condition, ...]:
        return query.conditions_of(self._table.columns, company_id)

    def _page(self, limit: int) -> dict[str, Any]:
        key = self._name(RECORD_ID)
        return self._source.answer_to(self._table.distribution_id, query.rows_params((key,), sort=key, limit=limit))

    def _window_count(self, number: int) -> int:
        window = cut(ROWS_PER_WINDOW + 1)[number]
        conditions = query.conditions_of(self._table.columns, self._large, window)
        return self._source.count(self._table.distribution_id, conditions)

    def _fetch(self, company_id: str, **how: Any) -> _Got:  # noqa: ANN401 - as ``download`` takes it
        if self._bytes_left < 0:
            raise NotAskedError(f"{MOST_BYTES:,} bytes were read already.")
        body = bytearray()
        with self._source.download(self._table.distribution_id, self._of(company_id), **how) as answer:
            for chunk in answer.chunks:
                body += chunk
                self._bytes_left -= len(chunk)
                if self._bytes_left < 0:
                    raise NoError(f"{len(body):,} bytes of company {company_id} and more; the rest was not read.")
        return _Got(answer.headers, bytes(body))

    def _read(self, got: _Got, *wrong: str, equal: Mapping[str, str] | None = None) -> Summary:
        """The rows as a run would read them, whatever the names in the header; ``wrong`` reasons are what is asked."""
        titles = self._table.columns.titles
        if len(got.names) != len(titles):
            raise NotAskedError("the answer's header has another width than the schema.")
        layout = Layout(titles, RECORD_ID, equal=equal or {}, volatile=VOLATILE.intersection(titles))
        reader = RecordReader(layout)
        try:
            reader.feed(",".join(titles).encode() + b"\n" + got.body.partition(b"\n")[2])
            return reader.finish()
        except RecordError as error:
            if error.reason == "repeated_key" not in wrong:
                return Summary(reader.records, reader.received, "", "", "")
            kind = NoError if error.reason in wrong else NotAskedError
            raise kind(f"{error.reason}: {error.detail}.") from error


def _joined(years: Iterable[int]) -> str:
    return ", ".join(str(year) for year in sorted(years))


def save(store: ObjectStore, findings: Iterable[Finding], now: datetime, about: Mapping[str, Any]) -> str:
    """Keep a report of the source in the lake, under its moment; gives the key."""
    key = lake_layout.source_report(now.strftime("%Y-%m-%dT%H-%M-%S-%f"))
    report = {"schema_version": 1, "at": now.isoformat(), **about, "findings": [one.as_json() for one in findings]}
    put_or_agree(store, key, json.dumps(report, indent=1).encode() + b"\n")
    return key

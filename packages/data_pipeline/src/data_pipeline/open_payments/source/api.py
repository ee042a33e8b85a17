"""The live source: the catalogue, counts and rows of CMS Open Payments, in its own words.

Nothing here decides whether an answer is complete; that is ``download``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.open_payments.schema import Columns
from data_pipeline.open_payments.source import query
from etl_core.errors import UnavailableError
from etl_core.http.policy import STANDARD_STATUSES, HttpPolicy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from data_pipeline.open_payments.datasets import Dataset
    from etl_core.http import Answer, HttpClient
    from etl_core.telemetry import Tally

# CMS's edge answers 403, or an HTML page with status 200, for about an hour after too many requests. Firewalls of its
# kind answer a challenge with 202 and no body, and a captcha with 405.
# Its code answers 400 "Database internal error." to every failed statement, overload included.
POLICY = HttpPolicy(
    statuses=STANDARD_STATUSES | dict.fromkeys((202, 403, 405), "blocked"),
    bodies=((400, "Database internal error.", "temporary"),),
    html_page="blocked",
    advice={"blocked": "All requests were stopped. Wait an hour, then run the same command again."},
    cache_parameter="fresh",
    metric_prefix="source",
)

CATALOGUE_PATH = "/api/1/metastore/schemas/dataset/items"
SCRIPT_PATH = "/frontend/build/static/js/index.js"
# "Reporting entity profile information": who has ever reported, with and without rows in a year.
COMPANY_LIST_DATASET = "1cf0c6c0-c377-466e-b78f-037b442559f8"
COMPANY_LIST_ID_COLUMN = "amgpo_making_payment_id"
COMPANY_LIST_NAME_COLUMN = "amgpo_making_payment_name"


@dataclass(frozen=True)
class Table:
    """A datastore table: its distribution id, number of rows, and columns."""

    distribution_id: str
    rows: int
    columns: Columns


@dataclass(frozen=True)
class Described:
    """A table that is of no dataset of the family; its columns as in the published file, and as queries want them."""

    distribution_id: str
    rows: int
    titles: tuple[str, ...]
    names: tuple[str, ...]


# Counts that contradict each other are requested this many times before the run gives up.
COUNTS_TRIED = 3


class Source:
    """Asks the source; raises what ``HttpClient`` raises."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    def catalogue(self) -> list[dict[str, Any]]:
        """All datasets, as the metastore lists them."""
        items = self._http.get_json(CATALOGUE_PATH)
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise UnavailableError("the catalogue answered something that is no list of datasets")
        return items

    def script(self) -> str:
        """The site's own script, which names the dataset of each year."""
        return self._http.get_text(SCRIPT_PATH)

    def table(self, dataset: Dataset, dataset_id: str, tally: Tally | None = None) -> Table:
        """The table behind a dataset: the only way from a dataset id to the id that ``/download`` takes."""
        found = self.described(dataset_id, tally)
        return Table(found.distribution_id, found.rows, Columns(dataset, found.titles, found.names))

    def described(self, dataset_id: str, tally: Tally | None = None) -> Described:
        """The table behind any dataset."""
        answer = self._query(f"/{dataset_id}/0", query.probe_params(), tally, fresh=True)
        try:
            distribution_id = str(answer["query"]["resources"][0]["id"])
            fields = answer["schema"][distribution_id]["fields"]
            titles = tuple(str(field.get("description") or name) for name, field in fields.items())
            return Described(distribution_id, int(answer["count"]), titles, tuple(fields))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise UnavailableError(f"dataset {dataset_id} answered without id, count or schema: {error!r}") from error

    def count(
        self, distribution_id: str, conditions: tuple[query.Condition, ...] = (), tally: Tally | None = None
    ) -> int:
        """Rows that meet the conditions, now: one that a cache remembers says nothing of it."""
        answer = self._query(f"/{distribution_id}", query.count_params(conditions), tally, fresh=True)
        return _count_in(answer)

    def grouped_counts(
        self,
        distribution_id: str,
        column: str,
        key: str,
        conditions: tuple[query.Condition, ...] = (),
        *,
        at_least: int | None = None,
        tally: Tally | None = None,
    ) -> dict[str, int]:
        """Rows per value of ``column``; the lowest values only if ``at_least`` so many are enough."""
        counts: dict[str, int] = {}
        offset = 0
        while True:
            params = query.grouped_count_params(column, key, conditions, offset)
            rows = _results_in(self._query(f"/{distribution_id}", params, tally, fresh=True))
            try:
                counts.update((str(row[column] or ""), int(row["rows"])) for row in rows)
            except (KeyError, TypeError, ValueError) as error:
                raise UnavailableError(f"a grouped count by {column} answered rows of another form") from error
            offset += len(rows)
            if len(rows) < query.ROWS_PER_QUERY or (at_least is not None and len(counts) >= at_least):
                return counts

    def value_of_a_record(self, table: Table, title: str) -> str:
        """What one record of the table has in a column; empty if the table is."""
        name = table.columns.name_of(title)
        params = query.rows_params((name,), limit=1)
        rows = _results_in(self._query(f"/{table.distribution_id}", params, None))
        return str(rows[0].get(name) or "") if rows else ""

    def company_ids(self) -> Iterator[str]:
        """All reporting entities, of every country, in ascending order of id."""
        return (company_id for company_id, _ in self.companies())

    def companies(self) -> Iterator[tuple[str, str]]:
        """All reporting entities, each with its name, in ascending order of id; some seven requests."""
        column, name = COMPANY_LIST_ID_COLUMN, COMPANY_LIST_NAME_COLUMN
        offset = 0
        while True:
            page = self._query(
                f"/{COMPANY_LIST_DATASET}/0", query.rows_params((column, name), sort=column, offset=offset), None
            )
            rows = _results_in(page)
            for row in rows:
                yield str(row[column]), str(row.get(name) or "")
            offset += len(rows)
            if len(rows) < query.ROWS_PER_QUERY:
                return

    def summary_rows(self, dataset_id: str, column: str, year: int) -> int:
        """The sum of a column over a year of the summary by reporting entity: a file apart from the payments."""
        of_year = (query.Condition("program_year", "=", str(year)),)
        answer = self._query(f"/{dataset_id}/0", query.sum_params(column, of_year), None, fresh=True)
        try:
            return int(float(_results_in(answer)[0]["rows"] or 0))
        except (IndexError, KeyError, TypeError, ValueError) as error:
            raise UnavailableError(f"the summary of {year} answered without a sum: {error!r}") from error

    def company_totals(self, company_id: str, field: str) -> dict[int, int]:
        """A field of the yearly summary of one company's profile page, by program year."""
        answer = self._http.get_json(f"/api/1/entities/companies/{company_id}")
        try:
            return {
                int(str(entry["programYear"])): int(str(entry.get(field) or 0))
                for entry in answer["summaryByAvailableYear"]
                if str(entry["programYear"]).isdigit()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise UnavailableError(f"company {company_id} answered without a yearly summary: {error!r}") from error

    def download(
        self,
        distribution_id: str,
        conditions: tuple[query.Condition, ...],
        *,
        sort: str = "",
        limit: int | None = None,
        offset: int = 0,
        at_most: int | None = None,
        bypass_cache: bool = False,
        tally: Tally | None = None,
    ) -> AbstractContextManager[Answer]:
        """Rows as CSV, streamed and tried once; ``at_most`` so many bytes. ``bypass_cache`` avoids a bad answer that a
        cache holds.
        """
        params = query.download_params(conditions, sort=sort, limit=limit, offset=offset)
        path = f"/api/1/datastore/query/{distribution_id}/download"
        return self._http.stream(path, params, bypass_cache=bypass_cache, tally=tally, expect="csv", at_most=at_most)

    def answer_to(self, identifier: str, params: query.Params) -> dict[str, Any]:
        """The whole answer to a query of any form, as ``doctor`` needs it."""
        return self._query(f"/{identifier}", params, None)

    def count_retry(self, tally: Tally) -> None:
        """Note that a window is about to be asked for again."""
        self._http.count_retry(tally)

    def _query(self, path: str, params: query.Params, tally: Tally | None, *, fresh: bool = False) -> dict[str, Any]:
        answer = self._http.get_json(f"/api/1/datastore/query{path}", params, bypass_cache=fresh, tally=tally)
        if not isinstance(answer, dict):
            raise UnavailableError(f"{path} answered something that is no query result")
        return answer


def _count_in(answer: dict[str, Any]) -> int:
    try:
        return int(answer["count"])
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError("a count answered without one") from error


def _results_in(answer: dict[str, Any]) -> list[dict[str, Any]]:
    rows = answer.get("results")
    if not isinstance(rows, list):
        raise UnavailableError("a query answered without results")
    return rows

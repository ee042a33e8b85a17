"""Rows per company and program year: what a run plans from (S1.2, S1.3).

One grouped count per year answers for every payer, foreign and unlisted ones too, in a handful
of requests. Where the source refuses it, the company list and one request per company remain;
those numbers come from profile summaries that may be of another publication, and they miss
payers that the list lacks, so they plan a run but prove nothing.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_serializer, model_validator

from data_pipeline import lake_layout
from data_pipeline.lake_layout.ids import (
    LONGEST_COMPANY_ID,
    can_be_encoded,
    is_number,
    shown_company,
)
from data_pipeline.open_payments.source.api import COUNTS_TRIED
from data_pipeline.open_payments.source.query import conditions_of
from etl_core.errors import (
    BlockedError,
    DataError,
    NotFoundError,
    StoppedError,
    TemporaryError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.source.catalogue import ResolvedRelease
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

Route = Literal["grouped", "entities"]
FRESH_DAYS = 10  # S1.3

_log = get_logger()


class CompanyTotals(BaseModel):
    """One company: rows per year, or what went wrong. Serialised as ``total_2018 … error`` (S1.2)."""

    company_id: str
    rows: dict[int, int] = {}
    error: str | None = None

    @model_serializer
    def _as_columns(self) -> dict[str, Any]:
        columns = {f"total_{year}": rows for year, rows in sorted(self.rows.items())}
        return {"company_id": self.company_id, **columns, "error": self.error}

    @model_validator(mode="before")
    @classmethod
    def _from_columns(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic's contract
        if isinstance(data, dict) and "rows" not in data:
            rows = {name.removeprefix("total_"): rows for name, rows in data.items() if name.startswith("total_")}
            return {"company_id": data.get("company_id"), "rows": rows, "error": data.get("error")}
        return data


class YearSource(BaseModel):
    """Where a year's column came from."""

    model_config = ConfigDict(frozen=True)

    distribution_id: str
    route: Route
    built_at: AwareDatetime


class Totals(BaseModel):
    """The totals file."""

    schema_version: Literal[1] = 1
    years: dict[int, YearSource] = {}
    companies: list[CompanyTotals] = []

    def with_year(self, year: int, source: YearSource, rows: dict[str, int], errors: dict[str, str]) -> Totals:
        """These totals with the column of one year put in or replaced."""
        by_company = {company.company_id: company for company in self.companies}
        for company_id in {*by_company, *rows, *errors}:
            before = by_company.get(company_id, CompanyTotals(company_id=company_id))
            columns = {other: count for other, count in before.rows.items() if other != year}
            if company_id not in errors:
                columns[year] = rows.get(company_id, 0)
            # An error stands as long as a year is missing for it.
            lacks_a_year = any(other != year and other not in columns for other in self.years)
            error = errors.get(company_id, before.error if lacks_a_year else None)
            by_company[company_id] = CompanyTotals(company_id=company_id, rows=columns, error=error)
        return Totals(years=self.years | {year: source}, companies=[by_company[key] for key in sorted(by_company)])

    def of(self, year: int) -> dict[str, int | None]:
        """Companies with rows in ``year``, ascending; None where the company's request failed."""
        return {
            company.company_id: company.rows.get(year)
            for company in self.companies
            if company.rows.get(year, 0) > 0 or (company.error is not None and year not in company.rows)
        }


@dataclass(frozen=True)
class TotalsChoice:
    """How totals may be had (S1.3)."""

    rescrape: bool = False
    add_year: bool = True
    route: Route | None = None


@dataclass(frozen=True)
class YearTotals:
    """Totals of one year, ready to plan from, and whether they were read or built."""

    rows: dict[str, int | None]
    route: Route
    how: Literal["cached", "year added", "built"]
    built_at: datetime | None = field(default=None, compare=False)


class TotalsBuilder:
    """Reads and builds totals. ``workers`` requests at once on the company-by-company route."""

    def __init__(
        self, source: Source, store: ObjectStore, now: Callable[[], datetime], progress: Progress, *, workers: int = 8
    ) -> None:
        self._progress = progress
        self._source = source
        self._store = store
        self._now = now
        self._workers = workers

    def ensure(
        self, resolved: ResolvedRelease, choice: TotalsChoice | None = None, *, at_most: int | None = None
    ) -> YearTotals:
        """Totals of the release's year: from the cache where its three rules allow, else from the source.

        The newest file is reused if it is at most ten days old and holds the year *of this very
        release* and has its count; if it is fresh without the year, the year is added; else totals are rebuilt.
        With ``at_most`` companies asked for and nothing cached, only those are counted and
        nothing is kept.

        Raises:
            UsageError: the year would have to be added and ``add_year`` forbids it, or the dataset has no such route.

        """
        choice, release = choice or TotalsChoice(), resolved.release
        if choice.route == "entities" and resolved.table.columns.dataset.company_field is None:
            raise UsageError(f"the source counts no {release.dataset} company by company; leave out --totals-from.")
        key, cached = (None, None) if choice.rescrape else self._newest(release.dataset)
        have = cached.years.get(release.year) if cached is not None else None
        if cached is not None and have is not None and choice.route in (None, have.route):
            held = cached.of(release.year)
            # A table may go on growing under its release.
            as_many = have.route != "grouped" or sum(count or 0 for count in held.values()) == resolved.table.rows
            if have.distribution_id == release.distribution_id and as_many:
                return YearTotals(held, have.route, "cached", have.built_at)
        if cached is not None and have is None and not choice.add_year:
            raise UsageError(
                f"{key} is fresh and lacks {release.year}.",
                advice="Allow --add-year-if-missing, or rebuild with --rescrape-totals.",
            )
        source, rows, errors = self._count(resolved, choice.route, at_most)
        totals = (cached or Totals()).with_year(release.year, source, rows, errors)
        if at_most is None:
            key = key or lake_layout.open_payments.totals(release.dataset, self._now().astimezone(UTC).date())
            self._store.put(key, totals.model_dump_json(indent=1).encode() + b"\n")
        fresh = Totals().with_year(release.year, source, rows, errors)
        how: Literal["year added", "built"] = "built" if cached is None else "year added"
        return YearTotals(fresh.of(release.year), source.route, how, source.built_at)

    def _count(
        self, resolved: ResolvedRelease, route: Route | None, at_most: int | None
    ) -> tuple[YearSource, dict[str, int], dict[str, str]]:
        errors: dict[str, str] = {}
        field = resolved.table.columns.dataset.company_field
        used: Route = route or "grouped"
        rows: dict[str, int] = {}
        if used == "grouped":
            try:
                with self._progress.showing("counting rows per company"):
                    rows = self.by_payer(resolved, at_most)
            except (DataError, UnavailableError) as error:
                if route == "grouped" or field is None or isinstance(error, UnreachableError):
                    raise
                _log.warning("no grouped count, asking company by company", error=str(error))
                used = "entities"
        if used == "entities" and field is not None:
            with self._progress.showing("counting rows, company by company"):
                rows, errors = self._by_company(field, resolved, at_most)
        source = YearSource(distribution_id=resolved.release.distribution_id, route=used, built_at=self._now())
        return source, rows, errors

    def by_payer(self, resolved: ResolvedRelease, at_most: int | None = None) -> dict[str, int]:
        """Rows of every payer of the table, by one grouped count, whose sum must equal the table's own count.

        Raises:
            UnavailableError, DataError: the source answers none. TemporaryError: it contradicts itself.

        """
        table = resolved.table
        columns = table.columns
        counted = table.rows
        for _ in range(COUNTS_TRIED):
            rows = self._source.grouped_counts(
                table.distribution_id, columns.payer, columns.record_id, at_least=at_most
            )
            unfit = [shown_company(company_id) for company_id in rows if not can_be_encoded(company_id)]
            if unfit:
                raise DataError(
                    f"the source counts rows of payers whose ids are no text of up to {LONGEST_COMPANY_ID} bytes: "
                    f"{', '.join(unfit[:3])}.",
                    advice="No key can hold such an id. The year can be closed once CMS has corrected it.",
                )
            in_all = sum(rows.values())
            if at_most is not None or in_all == counted:
                return rows
            # One of the two answers may be bad, or the table grows: both are requested again.
            counted = self._source.count(table.distribution_id)
            if in_all == counted:
                return rows
        raise TemporaryError(
            f"the source counts {in_all:,} rows by payer and {counted:,} in all, {COUNTS_TRIED} times in a row.",
            advice="It is being changed, or contradicts itself. Run the same command again later.",
        )

    def _by_company(
        self, field: str, resolved: ResolvedRelease, at_most: int | None
    ) -> tuple[dict[str, int], dict[str, str]]:
        rows: dict[str, int] = {}
        errors: dict[str, str] = {}
        ids = self._source.company_ids()
        with ThreadPoolExecutor(self._workers) as pool:
            while batch := list(islice(ids, self._workers if at_most is not None else 500)):
                count = partial(self._one_company, field, resolved)
                for company_id, answer in zip(batch, pool.map(count, batch), strict=True):
                    if isinstance(answer, str):
                        errors[company_id] = answer
                    else:
                        rows[company_id] = answer
                    self._progress.describe(f"counting rows, company by company: {len(rows):,} counted")
                if at_most is not None and sum(1 for count in rows.values() if count) >= at_most:
                    break
        return rows, errors

    def _one_company(self, field: str, resolved: ResolvedRelease, company_id: str) -> int | str:
        table = resolved.table
        try:
            if is_number(company_id):
                return self._source.company_totals(company_id, field).get(resolved.release.year, 0)
            if not can_be_encoded(company_id):
                _log.warning("the company list names an id that no key can hold", company=shown_company(company_id))
                return 0  # if it has rows, the sum of all others is not the table's count
            # Such an id can be no part of a profile's path.
            return self._source.count(table.distribution_id, conditions_of(table.columns, company_id))
        except (BlockedError, StoppedError):
            raise
        except NotFoundError:
            return 0  # listed, and without a profile page: it has never had a row
        except (TemporaryError, DataError) as error:
            return str(error)

    def _newest(self, dataset: str) -> tuple[str | None, Totals | None]:
        """The newest totals file that is at most ten days old."""
        today = self._now().astimezone(UTC).date()
        listed = self._store.list(lake_layout.open_payments.totals_prefix(dataset))
        dated = ((lake_layout.open_payments.day_of_totals(entry.key), entry.key) for entry in listed)
        for day, key in sorted(((day, key) for day, key in dated if day is not None), reverse=True):
            if not 0 <= (today - day).days <= FRESH_DAYS:
                continue
            raw = self._store.get(key)
            try:
                return key, Totals.model_validate_json(raw or b"")
            except ValidationError:
                _log.warning("a totals file cannot be read and is ignored", key=key)
        return None, None

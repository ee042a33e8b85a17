"""Dataset and year to release: which table holds a program year of a dataset today.

Two routes lead to a dataset id, the documented catalogue first and the site's own script second.
Both end alike: the table behind the dataset is asked for its distribution id, for that is the
only id ``/download`` takes, and it changes at every publication.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from pydantic import AwareDatetime, BaseModel, ValidationError

from data_pipeline import lake_layout
from data_pipeline.open_payments.ledger.documents import Release
from etl_core.errors import (
    BlockedError,
    DataError,
    NotFoundError,
    UnavailableError,
    UnreachableError,
    UsageError,
)
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.source.api import Source, Table
    from etl_core.lake import ObjectStore

# S1.1. Publications come twice a year, so a week is short against what it saves.
CACHE_LIFETIME = timedelta(days=7)
_YEAR_IN_SCRIPT = re.compile(r"PGYR(\d{4})\s*:\s*\[([^\]]*)\]")
_DATASET_IN_SCRIPT = re.compile(r'\{\s*type\s*:\s*"(\w+)"\s*,\s*id\s*:\s*"([0-9a-fA-F-]{36})"')
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:T.*)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_log = get_logger()


@dataclass(frozen=True)
class ListedYear:
    """A year as a route lists it; ``modified`` is empty where the route has no date."""

    dataset_id: str
    modified: str
    route: Literal["catalogue", "script"]


Listed = dict[int, tuple[ListedYear, ...]]
"""The datasets that a route lists for each year: one, if all is well."""


@dataclass(frozen=True)
class ResolvedRelease:
    """A release and the table that holds it now."""

    release: Release
    table: Table


class _CachedYear(BaseModel):
    release: Release
    resolved_at: AwareDatetime


class _CachedDataset(BaseModel):
    years: dict[int, _CachedYear] = {}
    # When all years there were had last been resolved; a run asks for one of them only.
    all_resolved_at: AwareDatetime | None = None


class _Cache(BaseModel):
    schema_version: int = 2
    datasets: dict[str, _CachedDataset] = {}


def listed_in_catalogue(dataset: Dataset, items: list[dict[str, Any]]) -> Listed:
    """Years of a dataset in the metastore's answer, with or without reference ids."""
    years: Listed = {}
    for item in items:
        year = dataset.year_in(str(item.get("title", "")))
        day = _DAY.fullmatch(str(item.get("modified", "")).strip())
        dataset_id = str(item.get("identifier", "")).lower()
        if year is not None and _UUID.fullmatch(dataset_id):
            years = _with(years, year, ListedYear(dataset_id, day[1] if day else "", "catalogue"))
    return years


def listed_in_script(dataset: Dataset, script: str) -> Listed:
    """Years of a dataset in the site's script. A year may stand there before it is published."""
    years: Listed = {}
    for year, block in _YEAR_IN_SCRIPT.findall(script):
        for kind, dataset_id in _DATASET_IN_SCRIPT.findall(block):
            if kind == dataset.script_type:
                years = _with(years, int(year), ListedYear(dataset_id.lower(), "", "script"))
    return years


def _with(years: Listed, year: int, found: ListedYear) -> Listed:
    """These years and one more; a dataset that is listed twice is one."""
    others = tuple(one for one in years.get(year, ()) if one.dataset_id != found.dataset_id)
    return years | {year: (*others, found)}


def only_one(dataset: Dataset, year: int, listed: Listed) -> ListedYear:
    """The dataset of a year.

    Raises:
        UsageError: none is listed. DataError: there are several, and nothing says which one holds the year.

    """
    if year not in listed:
        have = ", ".join(str(one) for one in sorted(listed))
        raise UsageError(f"the source has no program year {year} of {dataset.name}; it has {have}.")
    found, *others = listed[year]
    if others:
        ids = " and ".join(one.dataset_id for one in listed[year])
        raise DataError(
            f"the {found.route} lists {len(listed[year])} datasets as {year} of {dataset.name}: {ids}.",
            advice="Nothing says which one holds the year. Run again once CMS has corrected it.",
        )
    return found


class Catalogue:
    """Resolves years of datasets; remembers them in the lake for seven days."""

    def __init__(self, source: Source, store: ObjectStore, now: Callable[[], datetime]) -> None:
        self._source = source
        self._store = store
        self._now = now

    def years(self, dataset: Dataset) -> Listed:
        """The years of a dataset that the source lists, by the first route that lists any."""
        years: Listed = {}
        try:
            years = listed_in_catalogue(dataset, self._source.catalogue())
        except (BlockedError, UnreachableError):
            raise
        except (UnavailableError, DataError, NotFoundError) as error:
            if dataset.script_type is None:
                raise
            _log.warning("the catalogue did not answer, asking the site's script", error=str(error))
        if not years and dataset.script_type is not None:
            years = listed_in_script(dataset, self._source.script())
        if not years:
            raise DataError(
                f"the source lists no year of {dataset.name}.",
                advice="The site has changed; check OPEN_PAYMENTS_URL, then report it.",
            )
        return years

    def resolve(self, dataset: Dataset, year: int) -> ResolvedRelease:
        """The release of a year of ``dataset`` and its table as they are now.

        A cached dataset id spares the catalogue; the table is always asked, because a cached
        distribution id may be of the last publication.

        Raises:
            UsageError: the source has no such year. NotFoundError: it is listed, not yet published.
            DataError: several datasets are listed for it.

        """
        cached = self.cached(dataset, (year,)).get(year)
        if cached is not None:
            try:
                table = self._source.table(dataset, cached.dataset_id)
            except NotFoundError:
                _log.warning("the cached dataset id no longer exists, resolving again", dataset=dataset.name, year=year)
            else:
                if table.distribution_id == cached.distribution_id:
                    return ResolvedRelease(cached, table)
                _log.info("republished since the ids were cached", dataset=dataset.name, year=year)
        resolved = self._resolve(dataset, year, self.years(dataset))
        self._remember(dataset, {year: resolved.release})
        return resolved

    def resolve_all(self, dataset: Dataset) -> tuple[dict[int, Release], dict[int, str]]:
        """Every listed year of ``dataset``: those that resolve, and why the others do not."""
        listed = self.years(dataset)
        releases: dict[int, Release] = {}
        problems: dict[int, str] = {}
        for year in sorted(listed):
            try:
                releases[year] = self._resolve(dataset, year, listed).release
            except (NotFoundError, DataError) as error:
                problems[year] = str(error)
        self._remember(dataset, releases, of_all=True)
        return releases, problems

    def cached(self, dataset: Dataset, years: tuple[int, ...]) -> dict[int, Release]:
        """Those of ``years`` of a dataset that the cache holds and that are younger than seven days.

        All years if ``years`` is empty, and then none unless all were resolved in that time.
        """
        cache = self._read().datasets.get(dataset.name, _CachedDataset())
        if not years and not self._is_fresh(cache.all_resolved_at):
            return {}
        return {
            year: entry.release
            for year, entry in sorted(cache.years.items())
            if (not years or year in years) and self._is_fresh(entry.resolved_at)
        }

    def _resolve(self, dataset: Dataset, year: int, listed: Listed) -> ResolvedRelease:
        found = only_one(dataset, year, listed)
        try:
            table = self._source.table(dataset, found.dataset_id)
        except NotFoundError as error:
            raise NotFoundError(
                f"program year {year} of {dataset.name} is listed by the {found.route} but not published: {error}.",
                advice="CMS publishes a year at the end of the following June.",
            ) from error
        if not _UUID.fullmatch(table.distribution_id):
            what = f"program year {year} of {dataset.name}"
            raise DataError(f"{what} resolves to {table.distribution_id!r}, which is no distribution id")
        modified = found.modified or self._publication_day(table)
        _log.info("found the table of a year", year=year, by=found.route, distribution=table.distribution_id)
        release = Release(
            dataset=dataset.name,
            year=year,
            dataset_id=found.dataset_id,
            distribution_id=table.distribution_id,
            modified=modified,
        )
        return ResolvedRelease(release, table)

    def _publication_day(self, table: Table) -> str:
        text = self._source.value_of_a_record(table, table.columns.dataset.publication_date_column)
        try:
            return datetime.strptime(text, "%m/%d/%Y").date().isoformat()  # noqa: DTZ007 - a day, not a moment
        except ValueError:
            raise DataError(
                f"table {table.distribution_id} has no date, its records say {text!r}: the release has no name"
            ) from None

    def _is_fresh(self, moment: datetime | None) -> bool:
        return moment is not None and timedelta(0) <= self._now() - moment <= CACHE_LIFETIME

    def _read(self) -> _Cache:
        raw = self._store.get(lake_layout.open_payments.DATASET_IDS_CACHE)
        try:
            return _Cache() if raw is None else _Cache.model_validate_json(raw)
        except ValidationError:
            # A broken cache is no reason to fail; the next resolution rewrites it.
            _log.warning(
                "the cache of dataset ids cannot be read and is ignored",
                key=lake_layout.open_payments.DATASET_IDS_CACHE,
            )
            return _Cache()

    def _remember(self, dataset: Dataset, releases: dict[int, Release], *, of_all: bool = False) -> None:
        now, cache = self._now(), self._read()
        before = cache.datasets.get(dataset.name, _CachedDataset())
        years = before.years | {
            year: _CachedYear(release=release, resolved_at=now) for year, release in releases.items()
        }
        cache.datasets[dataset.name] = _CachedDataset(
            years=dict(sorted(years.items())), all_resolved_at=now if of_all else before.all_resolved_at
        )
        self._store.put(lake_layout.open_payments.DATASET_IDS_CACHE, cache.model_dump_json(indent=1).encode())

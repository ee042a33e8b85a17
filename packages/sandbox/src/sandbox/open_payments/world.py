"""The source's state: payers, releases and tables, made at the first request."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sandbox.open_payments.catalogue import Entry, entries
from sandbox.open_payments.columns import position
from sandbox.open_payments.companies import directory, payer
from sandbox.open_payments.datasets import dataset_of
from sandbox.open_payments.generate import Codes, Edit, assemble, nothing, published
from sandbox.open_payments.releases import Release, distribution_id, first_release, next_release
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.slices import Slice, Values
from sandbox.open_payments.summaries import Summaries
from sandbox.open_payments.tables import Table, release_table, small_table

COMPANY_LIST = "1cf0c6c0-c377-466e-b78f-037b442559f8"
SUMMARY = "d5762bed-26ca-4035-91c9-9d67297dc77c"
HOSPITALS = "217ad1a7-b659-41f6-8159-c41b73f47de4"
# The payer of the row that the fault foreign_row inserts: in no list and in no count.
FOREIGN_PAYER = "100009999999"
_FOREIGN_ROW = Edit(0, 0, 0, range(1, 2))


class World:
    """All the data behind the interface. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.directory = settings, directory(settings)
        self._releases = {
            (name, year): [first_release(dataset_of(name), year, rows)]
            for (name, year), rows in self.directory.rows.items()
        }
        self._slices: OrderedDict[tuple[str, int, int, str], tuple[Slice, Codes]] = OrderedDict()
        self._rows_held = 0
        self._summaries = Summaries(self._current, self.read)
        # Making rows is bound by the interpreter anyway: one lock costs nothing and keeps it simple.
        self._lock = threading.RLock()

    # Rows.

    def read(self, release: Release, company: str) -> Slice:
        """A payer's rows in a release, from memory or made again."""
        with self._lock:
            return self._made(release, company)[0]

    def _made(self, release: Release, company: str) -> tuple[Slice, Codes]:
        dataset, year = release.dataset, release.year
        key, made_for = (dataset.name, year, release.number, company), (dataset, self.settings.seed, year, company)
        if key not in self._slices:
            edit, before = release.edits.get(company, _FOREIGN_ROW), nothing(dataset)
            if edit.release:
                before = self._made(self._releases[dataset.name, year][edit.release - 1], company)[1]
            codes = published(*made_for, before, edit)
            self._slices[key] = made = assemble(*made_for, codes, release.modified), codes
            self._rows_held += made[0].rows
            while self._rows_held > self.settings.rows_in_memory and len(self._slices) > 1:
                self._rows_held -= self._slices.popitem(last=False)[1][0].rows
        self._slices.move_to_end(key)
        return self._slices[key]

    def warm(self, dataset: str | None = None) -> None:
        """Make and render every row of a dataset's current releases, by default of the first in the settings."""
        for year in self.settings.years:
            release = self._history(dataset or self.settings.datasets[0], year)[-1]
            for company in release.visible:
                self.read(release, company).body(self.settings.dialect)

    # Publications.

    def _history(self, dataset: str, year: int) -> list[Release]:
        """The releases of a dataset and year; ValueError if this world has none."""
        if (dataset, year) not in self._releases:
            raise ValueError(f"there is no {dataset} of {year} here; there are: {sorted(self._releases)}")
        return self._releases[dataset, year]

    def republish(
        self, year: int, *, dataset: str = "general", keep_old: bool = False, **changes: Any
    ) -> dict[str, Any]:
        """Publish a year again (see `next_release`); the former release stays readable only with `keep_old`."""
        with self._lock:
            history = self._history(dataset, year)
            release = next_release(history[-1], **changes)
            history[-1].withdrawn = not keep_old
            history.append(release)
            return release.summary

    def finish_import(self, year: int, *, dataset: str = "general") -> dict[str, Any]:
        """Let the table hold all rows of the current release, published with an `imported_share` below 1."""
        release = self._history(dataset, year)[-1]
        release.imported_share = 1.0
        return release.summary

    def _current(self, dataset: str, year: int) -> Release | None:
        """The current release; none of a dataset that is not in this world."""
        history = self._releases.get((dataset, year))
        return history[-1] if history else None

    def _rows(self, dataset: str, year: int) -> Mapping[str, int]:
        """Rows by payer in the current release."""
        release = self._current(dataset, year)
        return release.rows if release else {}

    # What an id opens.

    def entries(self) -> list[Entry]:
        """The catalogue as it stands now."""
        listed = entries(self.settings, [history[-1] for history in self._releases.values()])
        return [one for one in listed if one.dataset_id != SUMMARY or self.settings.summary != "not listed"]

    def distribution_id(self, dataset_id: str, index: str) -> str | None:
        """The distribution at a place of a dataset; every dataset of this site has exactly one."""
        if dataset_id == SUMMARY and self.settings.summary == "missing":
            return None
        found = (distribution_id(entry.file) for entry in self.entries() if entry.dataset_id == dataset_id)
        return next(found, None) if index == "0" else None

    def open(self, identifier: str) -> Table | str | None:
        """The table of a distribution; the name of a file without table; or None if unknown."""
        for history in self._releases.values():
            for release in history:
                if release.distribution_id == identifier and not release.withdrawn:
                    return release_table(release, self.read)
        for entry in self.entries():
            if distribution_id(entry.file) == identifier:
                if entry.dataset_id == COMPANY_LIST:
                    names = frozenset((position("companies", "AMGPO_Making_Payment_Name"),))  # the site searches it
                    return small_table("companies", identifier, Slice.of_rows(self._company_rows()), names)
                if entry.dataset_id == SUMMARY:
                    return small_table("summary", identifier, self._summaries.by_payer(self.settings))
                if entry.dataset_id == HOSPITALS:
                    rows = self._summaries.by_hospital(self.settings)
                    return small_table("hospitals", identifier, Slice.of_rows(rows))
                return f"{uuid.UUID(identifier).hex}__{entry.modified:%Y%m%d}"  # the name of the imported file
        return None

    def file(self, path: str) -> Table | None:
        """The rows of a file by the path of its address; None if there is no such file, or none of its rows."""
        for history in self._releases.values():
            for release in history:
                if release.file["downloadURL"].endswith(path) and not release.withdrawn:
                    return release_table(release, self.read, {key: rows for key, rows in release.rows.items() if rows})
        for entry in self.entries():
            if entry.file["downloadURL"].endswith(path):
                found = self.open(distribution_id(entry.file))
                return found if isinstance(found, Table) else None
        return None

    def _company_rows(self) -> list[Values]:
        """The list has countries in capitals, and alternate names, here none (facts 2.3)."""
        known = (payer(company) for company in self.directory.listed)
        return [(key, name, state, country.upper(), *("",) * 5) for _, key, name, state, country in known]

    def transactions(self, company: str) -> Mapping[int, int] | None:
        """General rows per year with any, for the company endpoint; None if the company is not listed."""
        if company not in self.directory.listed:
            return None
        counts = {year: self._rows("general", year).get(company, 0) for year in self.settings.years}
        return {year: count for year, count in counts.items() if count}

    # Truth.

    def truth(
        self, year: int, company_id: str | None = None, *, dataset: str = "general", ids: bool = False
    ) -> dict[str, Any]:
        """What a complete and faithful copy of the current release must add up to."""
        release = self._history(dataset, year)[-1]
        chosen = [key for key, count in release.rows.items() if (count if company_id is None else key == company_id)]
        companies = {}
        for company in chosen:
            part = self.read(release, company)
            numbers = sorted(part.texts(position(dataset, "Record_ID")))
            companies[company] = {
                "rows": release.rows[company],
                "ids_sha256": hashlib.sha256("\n".join(numbers).encode()).hexdigest(),
                "content_hash": part.content_hash,
                **({"ids": numbers} if ids else {}),
            }
        return release.summary | {"companies": companies}

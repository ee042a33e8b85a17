"""The source's state: payers, releases and tables, made when first asked for."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from sandbox.open_payments.catalogue import Entry, entries
from sandbox.open_payments.columns import columns, position
from sandbox.open_payments.companies import directory, payer
from sandbox.open_payments.generate import NOTHING, Codes, Edit, assemble, published
from sandbox.open_payments.releases import Release, distribution_id, first_release, next_release
from sandbox.open_payments.settings import Settings
from sandbox.open_payments.slices import Slice, Values
from sandbox.open_payments.tables import Table, small_table, year_table

COMPANY_LIST = "1cf0c6c0-c377-466e-b78f-037b442559f8"
SUMMARY = "d5762bed-26ca-4035-91c9-9d67297dc77c"
# A payer of its own, in no company's list and in no count, for a row that does not belong.
STRANGER = "100009999999"
_A_STRANGE_ROW = Edit(0, 0, 0, range(1, 2))


class World:
    """All the data behind the interface. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.directory = settings, directory(settings)
        self.releases = {year: [first_release(year, rows)] for year, rows in self.directory.rows.items()}
        self._slices: OrderedDict[tuple[int, int, str], tuple[Slice, Codes]] = OrderedDict()
        self._rows_held = 0
        # Making rows is bound by the interpreter anyway: one lock costs nothing and keeps it simple.
        self._lock = threading.RLock()

    # Rows.

    def read(self, release: Release, company: str) -> Slice:
        """A payer's rows in a release, from memory or made anew."""
        with self._lock:
            return self._made(release, company)[0]

    def _made(self, release: Release, company: str) -> tuple[Slice, Codes]:
        seed, year, key = self.settings.seed, release.year, (release.year, release.number, company)
        if key not in self._slices:
            edit, before = release.edits.get(company, _A_STRANGE_ROW), NOTHING
            if edit.release:
                before = self._made(self.releases[year][edit.release - 1], company)[1]
            codes = published(seed, year, company, before, edit)
            self._slices[key] = assemble(seed, year, company, codes, release.modified), codes
            self._rows_held += len(codes.mark)
            while self._rows_held > self.settings.rows_in_memory and len(self._slices) > 1:
                self._rows_held -= self._slices.popitem(last=False)[1][0].rows
        self._slices.move_to_end(key)
        return self._slices[key]

    def warm(self) -> None:
        """Make every row of the current releases and render it."""
        for history in self.releases.values():
            for company in history[-1].visible:
                self.read(history[-1], company).body(self.settings.dialect)

    # Publications.

    def republish(self, year: int, *, keep_old: bool = False, **changes: Any) -> dict[str, Any]:
        """Publish a year again (see `next_release`); the former release stays readable only with `keep_old`."""
        with self._lock:
            history = self.releases[year]
            release = next_release(history[-1], **changes)
            history[-1].withdrawn = not keep_old
            history.append(release)
            return release.summary

    def finish_import(self, year: int) -> dict[str, Any]:
        """Let the table hold all rows of the current release, published with an `imported_share` below 1."""
        self.releases[year][-1].imported_share = 1.0
        return self.releases[year][-1].summary

    # What an id opens.

    def entries(self) -> list[Entry]:
        """The catalogue as it stands now."""
        return entries(self.settings, [history[-1] for history in self.releases.values()])

    def distribution_id(self, dataset_id: str, index: str) -> str | None:
        """The distribution at a place of a dataset; every dataset of this site has exactly one."""
        found = (distribution_id(entry.file) for entry in self.entries() if entry.dataset_id == dataset_id)
        return next(found, None) if index == "0" else None

    def open(self, identifier: str) -> Table | str | None:
        """The table of a distribution; the name of a file without table; or None if unknown."""
        for history in self.releases.values():
            for release in history:
                if release.distribution_id == identifier and not release.withdrawn:
                    return year_table(release, self.read)
        for entry in self.entries():
            if distribution_id(entry.file) == identifier:
                if entry.dataset_id == COMPANY_LIST:
                    return small_table("companies", identifier, self._company_rows())
                if entry.dataset_id == SUMMARY:
                    return small_table("summary", identifier, self._summary_rows())
                return f"{uuid.UUID(identifier).hex}__{entry.modified:%Y%m%d}"  # the name of the imported file
        return None

    def _company_rows(self) -> list[Values]:
        """The list has countries in capitals, and alternate names, here none (facts 2.3)."""
        known = (payer(company) for company in self.directory.listed)
        return [(key, name, state, country.upper(), *("",) * 5) for _, key, name, state, country in known]

    def _summary_rows(self) -> list[Values]:
        """Trans_General is exact, the amount the national average, and the rest zero (facts 2.4, 3.1).

        A file of its own, so it is whole while the table of the payments is still being imported.
        """
        rows: list[Values] = []
        for year, history in self.releases.items():
            for company, count in history[-1].rows.items():
                texts = dict.fromkeys((column.title for column in columns("summary")), "0")
                texts |= dict(zip(texts, payer(company)[1:], strict=False))
                texts |= {"Total_Amount_General": f"{count * 243.22:.2f}", "Trans_General": str(count)}
                rows += [tuple((texts | {"Program_Year": str(year)}).values())] if count else []
        return rows

    def transactions(self, company: str) -> Mapping[int, int] | None:
        """General rows per year with any, for the company endpoint; None if the list lacks the company."""
        if company not in self.directory.listed:
            return None
        counts = {year: history[-1].rows.get(company, 0) for year, history in self.releases.items()}
        return {year: count for year, count in counts.items() if count}

    # Truth.

    def truth(self, year: int, company_id: str | None = None, *, ids: bool = False) -> dict[str, Any]:
        """What a complete and faithful copy of the current release must add up to."""
        release = self.releases[year][-1]
        chosen = [key for key, count in release.rows.items() if (count if company_id is None else key == company_id)]
        companies = {}
        for company in chosen:
            part = self.read(release, company)
            numbers = sorted(part.texts(position("general", "Record_ID")))
            companies[company] = {
                "rows": release.rows[company],
                "ids_sha256": hashlib.sha256("\n".join(numbers).encode()).hexdigest(),
                "content_hash": part.content_hash,
                **({"ids": numbers} if ids else {}),
            }
        return release.summary | {"companies": companies}

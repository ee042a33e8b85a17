"""The source's state: payers, releases and tables, made when first asked for."""

from __future__ import annotations

import hashlib
import random
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from typing import Any

from sandbox.blocks import Values
from sandbox.catalogue import Entry, entries, yearly_dataset_id
from sandbox.columns import columns, position
from sandbox.companies import directory, payer
from sandbox.generate import Codes, Origin, assemble, first_codes, next_codes
from sandbox.releases import Release, first_release, next_release
from sandbox.settings import Settings
from sandbox.slices import Slice
from sandbox.tables import PAYER_ID, STRANGER, SmallTable, Table, YearTable

COMPANY_LIST = "1cf0c6c0-c377-466e-b78f-037b442559f8"
SUMMARY = "d5762bed-26ca-4035-91c9-9d67297dc77c"
# Rows of the two smaller detail files of a year, rounded; a sample of 2,000 at most is simulated.
_OTHER_DETAIL = {"research": 757_000, "ownership": 4_600}


class World:
    """All the data behind the interface. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.directory = settings, directory(settings)
        self.releases = {year: [first_release(year, rows)] for year, rows in self.directory.rows.items()}
        self._positions = {
            year: dict(zip(rows, accumulate(rows.values(), initial=0), strict=False))
            for year, rows in self.directory.rows.items()
        }
        self._slices: OrderedDict[tuple[int, int, str], tuple[Slice, Codes]] = OrderedDict()
        self._held = 0  # bytes of the slices
        self._hashes: dict[tuple[int, int, str], tuple[str, str]] = {}
        self._entries: tuple[object, list[Entry]] = (None, [])
        self._small: dict[str, tuple[object, SmallTable]] = {}
        # Making rows is bound by the interpreter anyway: one lock costs nothing and keeps it simple.
        self._lock = threading.RLock()

    # Rows.

    def read(self, release: Release, company: str) -> Slice:
        """A payer's rows in a release, from memory or made anew."""
        with self._lock:
            return self._made(release, company)[0]

    def _made(self, release: Release, company: str) -> tuple[Slice, Codes]:
        key = (release.year, release.number, company)
        if key not in self._slices:
            first, positions = self.directory.rows[release.year], self._positions[release.year]
            total = sum(first.values())
            origin = Origin(self.settings.seed, release.year, company, positions.get(company, total), total)
            if release.number == 0 or company == STRANGER:
                codes = first_codes(origin, 1 if company == STRANGER else first[company])
            else:
                before = self._made(self.releases[release.year][release.number - 1], company)[1]
                codes = next_codes(origin, before, release.edits[company])
            made = assemble(origin, codes, release.modified, self._grown)
            self._slices[key] = (made, codes)
            self._grown(made.nbytes)
        self._slices.move_to_end(key)
        return self._slices[key]

    def _grown(self, size: int) -> None:
        """Note more bytes, and forget the rows read longest ago while there are too many."""
        with self._lock:
            self._held += size
            while self._held > self.settings.memory_bytes and len(self._slices) > 1:
                self._held -= self._slices.popitem(last=False)[1][0].nbytes

    def warm(self) -> None:
        """Make every row of the current releases and render it."""
        for history in self.releases.values():
            for company in history[-1].visible:
                self.read(history[-1], company).body(self.settings.dialect)

    # Publications.

    def republish(self, year: int, *, keep_old: bool = False, **changes: Any) -> Release:
        """Publish a year again (see `next_release`); the former release stays readable only with `keep_old`."""
        with self._lock:
            history = self.releases[year]
            release = next_release(history[-1], **changes)
            history[-1].withdrawn = not keep_old
            history.append(release)
            return release

    def finish_import(self, year: int) -> Release:
        """Let the table hold all rows of the current release."""
        self.releases[year][-1].imported_share = 1.0
        return self.releases[year][-1]

    # What an id opens.

    def _version(self) -> tuple[int, ...]:
        return tuple(len(history) for history in self.releases.values())

    def entries(self) -> list[Entry]:
        """The catalogue as it stands now."""
        version, found = self._version(), self._entries[1]
        if version != self._entries[0]:
            found = entries(self.settings, [history[-1] for history in self.releases.values()])
            self._entries = (version, found)
        return found

    def distribution_id(self, dataset_id: str, index: str) -> str | None:
        """The distribution at a place of a dataset; every dataset of this site has exactly one."""
        found = (entry.distribution.id for entry in self.entries() if entry.dataset_id == dataset_id and index == "0")
        return next(found, None)

    def open(self, identifier: str) -> Table | tuple[str, str] | None:
        """The table of a distribution or resource id; a resource without table; or None if unknown."""
        for history in self.releases.values():
            for release in history:
                file = release.distribution
                if not release.withdrawn and identifier in {file.id, "__".join(file.resource)}:
                    return YearTable(release, self.read)
        for entry in self.entries():
            if identifier in {entry.distribution.id, "__".join(entry.distribution.resource)}:
                return self._small_table(entry) or entry.distribution.resource
        return None

    def _small_table(self, entry: Entry) -> SmallTable | None:
        makers: dict[str, tuple[str, Callable[[], list[Values]]]] = {
            COMPANY_LIST: ("companies", self._company_rows),
            SUMMARY: ("summary", self._summary_rows),
        }
        for kind in _OTHER_DETAIL:
            for year in self.releases:
                makers[yearly_dataset_id(kind, year)] = (kind, partial(self._sample_rows, kind, year))
        if entry.dataset_id not in makers:
            return None
        with self._lock:
            if self._small.get(entry.dataset_id, (None,))[0] != self._version():
                table, make = makers[entry.dataset_id]
                self._small[entry.dataset_id] = (self._version(), SmallTable(table, entry.distribution.id, make))
            return self._small[entry.dataset_id][1]

    def _company_rows(self) -> list[Values]:
        listed = [company for company in self.directory.payers.values() if company.listed]
        return [(c.id, c.name, c.state, c.country.upper(), *(*c.alternate_names, *("",) * 5)[:5]) for c in listed]

    def _summary_rows(self) -> list[Values]:
        """Trans_General is exact; the amount and the split by recipient are the national average (facts 2.4, 3.1).

        A file of its own, so it is whole while the table of the payments is still being imported.
        """
        rows: list[Values] = []
        for year, history in self.releases.items():
            for company, count in history[-1].rows.items():
                if not count:
                    continue
                _, key, name, state, country = payer(company).columns
                hospitals, others = round(count * 0.0022), round(count * 0.37)
                amounts = (f"{count * 243.22:.2f}", "0", "0", "0")
                split = (
                    str(count),
                    str(count - hospitals - others),
                    str(others),
                    str(hospitals),
                    "0",
                    "0",
                    "0",
                    "0",
                    "0",
                )
                rows.append((key, name, state, country, *amounts, *split, "0", str(count), str(year)))
        return rows

    def _sample_rows(self, kind: str, year: int) -> list[Values]:
        """A few plausible rows of Research or Ownership, spread over the year's payers."""
        count = min(2_000, max(1, round(_OTHER_DETAIL[kind] * self.settings.scale)))
        rng, payers = random.Random(f"{kind}/{year}"), list(self.directory.rows[year]) or [STRANGER]
        rows = []
        for number in range(count):
            who = payer(rng.choice(payers))
            known = {"Change_Type": "NEW", "Record_ID": str(year * 1_000_000 + number), "Program_Year": str(year)}
            known |= {PAYER_ID: who.id, PAYER_ID.replace("_ID", "_Name"): who.name}
            known |= {"Date_of_Payment": f"03/{rng.randrange(1, 29):02d}/{year}"}
            known |= {"Total_Amount_of_Payment_USDollars": f"{rng.uniform(100, 90_000):.2f}"}
            rows.append(tuple(known.get(column.title, "") for column in columns(kind)))
        return rows

    def transactions(self, company: str) -> Mapping[int, int] | None:
        """General rows per year with any, for the company endpoint; None if the list lacks the company."""
        known = self.directory.payers.get(company)
        if known is None or not known.listed:
            return None
        counts = {year: history[-1].rows.get(company, 0) for year, history in self.releases.items()}
        return {year: count for year, count in counts.items() if count}

    # Truth.

    def truth(self, year: int, company: str | None = None, *, ids: bool = False) -> dict[str, Any]:
        """What a complete and faithful copy of the current release must add up to."""
        release = self.releases[year][-1]
        chosen = [key for key, count in release.rows.items() if (count if company is None else key == company)]
        return {
            "year": year,
            "dataset_id": yearly_dataset_id("general", year),
            "distribution_id": release.distribution.id,
            "modified": release.modified.isoformat(),
            "rows": sum(release.rows.values()),
            "rows_in_table": sum(release.visible.values()),
            "companies": {key: self._company_truth(release, key, ids=ids) for key in chosen},
        }

    def _company_truth(self, release: Release, company: str, *, ids: bool) -> dict[str, Any]:
        key = (release.year, release.number, company)
        numbers: list[str] = []
        if key not in self._hashes or ids:
            part = self.read(release, company)
            numbers = sorted(part.texts(position("general", "Record_ID")))
            digest = hashlib.sha256("\n".join(numbers).encode()).hexdigest()
            self._hashes[key] = (digest, f"{part.content_hash():064x}")
        told = {
            "rows": release.rows[company],
            "rows_in_table": release.visible.get(company, 0),
            "ids_sha256": self._hashes[key][0],
            "content_hash": self._hashes[key][1],
        }
        return told | {"ids": numbers} if ids else told

"""Publications: CMS restates every year twice a year; rows go, come and change, and ids of the release with them."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from sandbox.generate import Edit, first_added_id

_DICTIONARY = "https://openpaymentsdata.cms.gov/api/1/metastore/schemas/data-dictionary/items/"


@dataclass(frozen=True)
class Distribution:
    """A file in the catalogue, and the ids that follow from it."""

    title: str
    folder: str
    stem: str
    modified: date
    number: int = 0  # of the publication: two on one day differ in the data-as-of date of the file's name
    dictionary: str = ""

    @cached_property
    def data(self) -> dict[str, str]:
        """The distribution's JSON (facts 1.8); the address holds publication and data-as-of date (facts 2.5)."""
        cycle = f"P{self.modified:%m%d%Y}_{self.modified - timedelta(days=14 + self.number):%m%d%Y}"
        url = f"https://download.cms.gov/openpayments/{self.folder}_{cycle}/{self.stem}_{cycle}.csv"
        data = {"title": self.title, "mediaType": "text/csv", "format": "csv", "downloadURL": url}
        if self.dictionary:
            data |= {
                "describedBy": _DICTIONARY + self.dictionary,
                "describedByType": "application/vnd.tableschema+json",
            }
        return data

    @cached_property
    def id(self) -> str:
        """UUID version 5 of the JSON: a republication changes it (facts 1.8)."""
        return reference_id("distribution", self.data)

    @cached_property
    def resource(self) -> tuple[str, str]:
        """Identifier (MD5 of the address) and version (a time stamp) of the imported file."""
        version = int(datetime.combine(self.modified, time(12), UTC).timestamp())
        return hashlib.md5(self.data["downloadURL"].encode(), usedforsecurity=False).hexdigest(), str(version)


def reference_id(schema: str, data: Any) -> str:
    """The id DKAN gives to a referenced part of a dataset (facts 1.8)."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{schema}:{json.dumps(data, separators=(',', ':'))}"))


@dataclass
class Release:
    """One publication of one year's General Payments. `rows` counts the whole release per payer."""

    year: int
    number: int
    modified: date
    rows: Mapping[str, int]
    next_id: int
    edits: Mapping[str, Edit] = field(default_factory=dict)
    imported_share: float = 1.0
    withdrawn: bool = False
    _visible: dict[float, Mapping[str, int]] = field(default_factory=dict)

    @cached_property
    def distribution(self) -> Distribution:
        title = f"General Payment Data - Detailed Dataset {self.year} Reporting Year"
        stem = f"OP_DTL_GNRL_PGYR{self.year}"
        dictionary = "71ec19df-f5ef-5b99-b43b-e566e22670b7"
        return Distribution(title, f"PGYR{self.year}", stem, self.modified, self.number, dictionary)

    @property
    def visible(self) -> Mapping[str, int]:
        """Rows per payer in the table, which an unfinished import holds in part; payers without rows left out."""
        share = self.imported_share
        if share not in self._visible:
            shown = self.rows if share >= 1 else apportioned(self.rows, round(sum(self.rows.values()) * share))
            self._visible[share] = {company: count for company, count in shown.items() if count}
        return self._visible[share]


def apportioned(rows: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` rows spread over payers in proportion; up to all rows, never more than a payer has."""
    everything = max(1, sum(rows.values()))
    bounds = [round(reached * total / everything) for reached in accumulate(rows.values(), initial=0)]
    return {company: high - low for company, (low, high) in zip(rows, pairwise(bounds), strict=True)}


def first_release(year: int, rows: Mapping[str, int]) -> Release:
    """Published on 30 June of the following year."""
    return Release(year, 0, date(year + 1, 6, 30), rows, first_added_id(year))


def next_release(
    before: Release,
    *,
    removed: float = 0,
    added: float = 0,
    changed: float = 0,
    modified: date | str | None = None,
    imported_share: float = 1.0,
) -> Release:
    """The year published again. A float is a share of the year's rows, an int a number of rows."""
    total = sum(before.rows.values())
    gone, new, other = (part if type(part) is int else round(part * total) for part in (removed, added, changed))
    removals = apportioned(before.rows, min(gone, total))
    kept = {company: count - removals[company] for company, count in before.rows.items()}
    changes = apportioned(kept, min(other, sum(kept.values())))
    additions = apportioned(before.rows, new)
    number = before.number + 1
    ids = accumulate(additions.values(), initial=before.next_id)
    edits = {
        company: Edit(number, removals[company], additions[company], changes[company], next(ids))
        for company in before.rows
    }
    # About 30 June, and a refresh in January.
    old = before.modified
    cycle = date(old.year + 1, 1, 23) if old.month >= 6 else date(old.year, 6, 30)
    when = date.fromisoformat(modified) if isinstance(modified, str) else modified or cycle
    rows = {company: count + additions[company] for company, count in kept.items()}
    return Release(before.year, number, when, rows, before.next_id + sum(additions.values()), edits, imported_share)

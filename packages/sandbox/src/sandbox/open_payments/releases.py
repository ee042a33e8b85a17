"""Publications: CMS restates every year twice a year; rows go, come and change, and ids of the release with them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

from sandbox.open_payments.datasets import Dataset
from sandbox.open_payments.generate import Edit

# Ids of General's first publication of a year fill a range of 60 million, later ones follow. 2019 really spans 134
# million; this keeps the years apart. 2023 crosses 1,000,000,000, where the order of texts is not that of numbers.
_FIRST_ID_OF_2018, _IDS_BETWEEN_YEARS = 480_000_000, 99_000_000


PUBLISHER = "https://download.cms.gov"


def file_of(title: str, folder: str, stem: str, modified: date, number: int = 0) -> dict[str, str]:
    """A distribution's JSON (facts 1.8); the address holds publication and data-as-of date (facts 2.5).

    Two publications on one day differ in their number, and so in the data-as-of date.
    """
    cycle = f"P{modified:%m%d%Y}_{modified - timedelta(days=14 + number):%m%d%Y}"
    url = f"{PUBLISHER}/openpayments/{folder}_{cycle}/{stem}_{cycle}.csv"
    return {"title": title, "mediaType": "text/csv", "format": "csv", "downloadURL": url}


def distribution_id(file: Mapping[str, str]) -> str:
    """UUID version 5 of the JSON: a republication changes it (facts 1.8)."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, "distribution:" + json.dumps(file, separators=(",", ":"))))


@dataclass
class Release:
    """One publication of one dataset of one year. `rows` counts the whole release per payer."""

    dataset: Dataset
    year: int
    number: int
    modified: date
    rows: Mapping[str, int]
    edits: Mapping[str, Edit]
    free_ids: range  # for rows added later
    imported_share: float = 1.0
    withdrawn: bool = False

    @property
    def file(self) -> dict[str, str]:
        """The distribution."""
        title, stem = f"{self.dataset.title} Data {self.year}", f"OP_DTL_{self.dataset.file_part}_PGYR{self.year}"
        return file_of(title, f"PGYR{self.year}", stem, self.modified, self.number)

    @cached_property
    def distribution_id(self) -> str:
        return distribution_id(self.file)

    @property
    def visible(self) -> dict[str, int]:
        """Rows per payer in the table, which an unfinished import holds in part; payers without rows left out."""
        share = self.imported_share
        shown = self.rows if share >= 1 else apportioned(self.rows, round(sum(self.rows.values()) * share))
        return {company: count for company, count in shown.items() if count}

    @property
    def summary(self) -> dict[str, Any]:
        """A publication in short."""
        return {
            "dataset": self.dataset.name,
            "year": self.year,
            "distribution_id": self.distribution_id,
            "modified": self.modified.isoformat(),
            "rows": sum(self.rows.values()),
            "rows_in_table": sum(self.visible.values()),
        }


def apportioned(rows: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` rows spread over payers in proportion; up to all rows, never more than a payer has."""
    everything = max(1, sum(rows.values()))
    bounds = [round(reached * total / everything) for reached in accumulate(rows.values(), initial=0)]
    return {company: high - low for company, (low, high) in zip(rows, pairwise(bounds), strict=True)}


def _shared_out(ids: range, counts: Mapping[str, int]) -> tuple[dict[str, range], range]:
    """Ids for each payer, and those left over."""
    bounds = list(accumulate(counts.values(), initial=0))
    given = {company: ids[low:high] for company, (low, high) in zip(counts, pairwise(bounds), strict=True)}
    return given, ids[bounds[-1] :]


def first_release(dataset: Dataset, year: int, rows: Mapping[str, int]) -> Release:
    """Published on 30 June of the following year."""
    first = _FIRST_ID_OF_2018 + (year - 2018) * _IDS_BETWEEN_YEARS + dataset.ids.start
    step = max(1, len(dataset.ids) // max(1, sum(rows.values())))
    ids, free = _shared_out(range(first, 10**12, step), rows)
    edits = {company: Edit(0, 0, 0, given) for company, given in ids.items()}
    return Release(dataset, year, 0, date(year + 1, 6, 30), rows, edits, free)


def next_release(
    before: Release,
    *,
    removed: float = 0,
    added: float = 0,
    changed: float = 0,
    imported_share: float = 1.0,
) -> Release:
    """The year published again. A float is a share of the year's rows, an int a number of rows."""
    total = sum(before.rows.values())
    gone, new, other = (part if type(part) is int else round(part * total) for part in (removed, added, changed))
    removals = apportioned(before.rows, min(gone, total))
    kept = {company: count - removals[company] for company, count in before.rows.items()}
    changes = apportioned(kept, min(other, sum(kept.values())))
    ids, free = _shared_out(before.free_ids, apportioned(before.rows, new))
    number, old = before.number + 1, before.modified
    edits = {company: Edit(number, removals[company], changes[company], ids[company]) for company in kept}
    # About 30 June, and a refresh in January.
    cycle = date(old.year + 1, 1, 23) if old.month >= 6 else date(old.year, 6, 30)
    rows = {company: count + len(ids[company]) for company, count in kept.items()}
    return replace(
        before, number=number, modified=cycle, rows=rows, edits=edits, free_ids=free, imported_share=imported_share
    )

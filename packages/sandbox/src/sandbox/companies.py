"""Payers: who they are, which of them the company list knows, and how many rows each has in a year."""

from __future__ import annotations

import csv
import math
import random
from dataclasses import dataclass
from functools import cache
from itertools import islice

from sandbox.columns import load_json, load_text
from sandbox.settings import Settings

_FOREIGN_LISTED = 470  # with 2,530 domestic ones the list has the real "about 3,000" entries
_FOREIGN_PAYING = 180
_FOREIGN_SHARE = 0.0036  # 55,559 of 15,385,047 rows in PY2024 (facts 2.3)
_UNLISTED_ROWS = (1200, 340, 75, 12, 3)


@dataclass(frozen=True)
class Payer:
    """One paying company; `country` is spelled as in the payments, the company list has it in capitals."""

    id: str
    name: str
    state: str
    country: str
    alternate_names: tuple[str, ...]
    listed: bool

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns 37-41 of the payments: submitting name, then id, name, state and country of the payer."""
        return (self.name, self.id, self.name, self.state, self.country)


@dataclass(frozen=True)
class Directory:
    """The payers of a world: `rows[year][payer id]` at first publication, payers in ascending order."""

    payers: dict[str, Payer]
    rows: dict[int, dict[str, int]]


@cache
def _domestic() -> dict[str, list[int]]:
    """General Payments rows per company, 2018 to 2024."""
    lines = csv.reader(load_text("company_rows.csv").splitlines()[1:])
    return {company: [int(count) for count in counts] for company, *counts in lines}


def _domestic_rows(year: int) -> dict[str, int]:
    """A year outside 2018-2024 borrows the nearest one's rows."""
    return {company: counts[min(max(year, 2018), 2024) - 2018] for company, counts in _domestic().items()}


@cache
def _strangers() -> tuple[list[str], list[str]]:
    """Ids of foreign payers in the list, and of payers that the list lacks."""
    rng = random.Random("strangers")
    drawn = dict.fromkeys(str(rng.randrange(100_000_000_400, 100_001_451_000)) for _ in range(600))
    ids = [company for company in drawn if company not in _domestic()]
    return ids[:_FOREIGN_LISTED], ids[_FOREIGN_LISTED:][: len(_UNLISTED_ROWS)]


def _extra_rows(year: int) -> dict[str, int]:
    foreign, unlisted = _strangers()
    weights = [(rank + 1) ** -1.3 for rank in range(_FOREIGN_PAYING)]
    one = sum(_domestic_rows(year).values()) * _FOREIGN_SHARE / (1 - _FOREIGN_SHARE) / sum(weights)
    rows = {company: max(1, round(one * weight)) for company, weight in zip(foreign, weights, strict=False)}
    return rows | dict(zip(unlisted, _UNLISTED_ROWS, strict=True))


@cache
def payer(company: str) -> Payer:
    """The payer behind an id; any id has one, so that a world can be made of invented ids."""
    pools, rng = load_json("pools.json"), random.Random(f"payer/{company}")
    foreign, unlisted = _strangers()
    country, ending, state = "United States", rng.choice(pools["company_endings"]), rng.choice(pools["company_states"])
    if company in foreign:
        (country, ending), state = rng.choice(pools["foreign"]), ""
    stems = [rng.choice(pools["company_stems"]) for _ in range(1 + (rng.random() < 0.15))]
    name = f"{' & '.join(stems)} {rng.choice(pools['company_words'])}{ending}"
    others = (f"{rng.choice(pools['company_stems'])} {rng.choice(pools['company_words'])}" for _ in range(5))
    alternates = tuple(islice(others, rng.choices(range(6), (70, 15, 8, 4, 2, 1))[0]))
    shouted = rng.random() < 0.1
    return Payer(company, name.upper() if shouted else name, state, country, alternates, company not in unlisted)


def directory(settings: Settings) -> Directory:
    """The payers of the world that the settings describe."""
    rows = {year: _rows_of_year(settings, year) for year in settings.years}
    ids = {company for counts in rows.values() for company in counts}
    if not settings.restricted:
        ids |= {*_domestic(), *_strangers()[0]}
    elif settings.first_companies is not None:
        # The list is longer than the payers of a year: below the last one stand those that paid nothing.
        last = max(ids & _domestic().keys(), default="")
        ids |= {company for company in _domestic() if company < last}
    return Directory(
        {company: payer(company) for company in sorted(ids)},
        {year: dict(sorted(counts.items())) for year, counts in rows.items()},
    )


def _rows_of_year(settings: Settings, year: int) -> dict[str, int]:
    real, extra = _domestic_rows(year), _extra_rows(year)
    chosen = real
    if settings.companies is not None:
        chosen = {company: (real | extra).get(company, 0) for company in settings.companies}
    elif settings.first_companies is not None:
        chosen = dict([item for item in real.items() if item[1]][: settings.first_companies])
    rows = {company: math.ceil(count * settings.scale) for company, count in chosen.items()}
    if settings.company_rows is not None:
        rows = dict(settings.company_rows)
    if (not settings.restricted) if settings.extra_payers is None else settings.extra_payers:
        rows |= {company: math.ceil(count * settings.scale) for company, count in extra.items()}
    return rows

"""Payers: who they are, which of them the company list knows, and how many rows each has in a year."""

from __future__ import annotations

import csv
import math
import random
from functools import cache
from typing import NamedTuple

from sandbox.open_payments.columns import load_json, load_text
from sandbox.open_payments.settings import Settings

# With 2,530 domestic payers the list has the real "about 3,000" entries; below are those it lacks.
_FOREIGN = [str(100_000_000_411 + 3_061 * number) for number in range(470)]
_UNLISTED = [str(100_000_000_412 + 288_007 * number) for number in range(5)]
_FOREIGN_PAYING = 180
_FOREIGN_SHARE = 0.0036  # 55,559 of 15,385,047 rows in PY2024 (facts 2.3)
_UNLISTED_ROWS = (1200, 340, 75, 12, 3)


class Directory(NamedTuple):
    """A world's company list, and `rows[year][payer id]` at first publication; payers in ascending order."""

    listed: list[str]
    rows: dict[int, dict[str, int]]


@cache
def _domestic() -> dict[str, list[int]]:
    """General Payments rows per company, 2018 to 2024."""
    lines = csv.reader(load_text("company_rows.csv").splitlines()[1:])
    return {company: [int(count) for count in counts] for company, *counts in lines}


@cache
def payer(company: str) -> tuple[str, ...]:
    """Columns 37-41 of the payments: submitting name, then id, name, state and country of the payer.

    Any id has them, so that a world can be made of invented ids.
    """
    pools, rng = load_json("pools.json"), random.Random(f"payer/{company}")
    country, ending, state = "United States", rng.choice(pools["company_endings"]), rng.choice(pools["company_states"])
    if company in _FOREIGN:
        (country, ending), state = rng.choice(pools["foreign"]), ""
    stems = [rng.choice(pools["company_stems"]) for _ in range(1 + (rng.random() < 0.15))]
    name = f"{' & '.join(stems)} {rng.choice(pools['company_words'])}{ending}"
    if rng.random() < 0.1:
        name = name.upper()
    return (name, company, name, state, country)


def directory(settings: Settings) -> Directory:
    """The payers of the world that the settings describe."""
    rows = {year: dict(sorted(_rows_of_year(settings, year).items())) for year in settings.years}
    ids = {company for counts in rows.values() for company in counts}
    if not settings.restricted:
        ids |= {*_domestic(), *_FOREIGN}
    elif settings.first_companies is not None:
        # The list is longer than the payers of a year: below the last one stand those that paid nothing.
        last = max(ids & _domestic().keys(), default="")
        ids |= {company for company in _domestic() if company < last}
    return Directory(sorted(ids.difference(_UNLISTED)), rows)


def _rows_of_year(settings: Settings, year: int) -> dict[str, int]:
    """A year outside 2018-2024 borrows the nearest one's rows."""
    real = {company: counts[min(max(year, 2018), 2024) - 2018] for company, counts in _domestic().items()}
    weights = [(rank + 1) ** -1.3 for rank in range(_FOREIGN_PAYING)]
    one = sum(real.values()) * _FOREIGN_SHARE / (1 - _FOREIGN_SHARE) / sum(weights)
    extra = {company: max(1, round(one * weight)) for company, weight in zip(_FOREIGN, weights, strict=False)}
    extra |= dict(zip(_UNLISTED, _UNLISTED_ROWS, strict=True))
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

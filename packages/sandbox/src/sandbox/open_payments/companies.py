"""Payers: who they are, which of them the company list knows, and how many rows each has in a year."""

from __future__ import annotations

import csv
import math
import random
from functools import cache
from typing import NamedTuple

from sandbox.open_payments.columns import load_json, load_text
from sandbox.open_payments.datasets import Dataset, dataset_of
from sandbox.open_payments.settings import Settings

# With 2,530 domestic payers the list has the real "about 3,000" entries; the unlisted ones are not among them.
_FOREIGN = [str(100_000_000_411 + 3_061 * number) for number in range(470)]
_UNLISTED = [str(100_000_000_412 + 288_007 * number) for number in range(5)]
_FOREIGN_PAYING = 180
_FOREIGN_SHARE = 0.0036  # 55,559 of 15,385,047 rows in PY2024 (facts 2.3)
_UNLISTED_ROWS = (1200, 340, 75, 12, 3)
# Of payers without General Payments, so many have others compared with those that have some: about 80 in PY2025.
_PAYING_NOTHING_ELSE = 0.1


class Directory(NamedTuple):
    """A world's company list, and rows by dataset, year and payer at first publication; payers in ascending order."""

    listed: list[str]
    rows: dict[tuple[str, int], dict[str, int]]


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
    """The payers of the world that the settings describe; ValueError for a dataset that does not exist."""
    kinds = [dataset_of(name) for name in settings.datasets]
    rows = {
        (dataset.name, year): dict(sorted(_rows_of_year(settings, dataset, year).items()))
        for year in settings.years
        for dataset in kinds
    }
    ids = {company for counts in rows.values() for company in counts}
    if not settings.restricted:
        ids |= {*_domestic(), *_FOREIGN}
    elif settings.first_companies is not None:
        # The list is longer than the payers of a year: below the last one stand those that paid nothing.
        last = max(ids & _domestic().keys(), default="")
        ids |= {company for company in _domestic() if company < last}
    return Directory(sorted(ids.difference(_UNLISTED)), rows)


def _general(year: int) -> tuple[dict[str, int], dict[str, int]]:
    """Real General Payments rows of domestic and of extra payers; a year outside 2018-2024 borrows the nearest."""
    real = {company: counts[min(max(year, 2018), 2024) - 2018] for company, counts in _domestic().items()}
    weights = [(rank + 1) ** -1.3 for rank in range(_FOREIGN_PAYING)]
    one = sum(real.values()) * _FOREIGN_SHARE / (1 - _FOREIGN_SHARE) / sum(weights)
    extra = {company: max(1, round(one * weight)) for company, weight in zip(_FOREIGN, weights, strict=False)}
    return real, extra | dict(zip(_UNLISTED, _UNLISTED_ROWS, strict=True))


def _real_rows(dataset: Dataset, year: int) -> dict[str, int]:
    """Rows of every payer: General's as they are, the others' as a total spread over some of General's payers.

    On average, a payer with many General Payments has many here; a few have none there.
    """
    domestic, extra = _general(year)
    general = domestic | extra
    if not dataset.rows:
        return general
    weights = {}
    for company, count in general.items():
        rng = random.Random(f"{dataset.name}/{company}")
        if rng.random() < dataset.payers * (1 if count else _PAYING_NOTHING_ELSE):
            weights[company] = (count + 20) ** 0.8 * rng.uniform(0.2, 1.8)
    one = dataset.rows[min(max(year, min(dataset.rows)), max(dataset.rows))] / sum(weights.values())
    return {company: max(1, round(one * weight)) for company, weight in weights.items()}


def _rows_of_year(settings: Settings, dataset: Dataset, year: int) -> dict[str, int]:
    """Rows of the payers that the settings choose."""
    domestic, extra = _general(year)
    real = _real_rows(dataset, year)
    chosen = list(domestic)
    if settings.companies is not None:
        chosen = list(settings.companies)
    elif settings.first_companies is not None:
        chosen = [company for company, count in domestic.items() if count][: settings.first_companies]
    rows = {company: math.ceil(real.get(company, 0) * settings.scale) for company in chosen}
    if settings.company_rows is not None:
        given = settings.company_rows.items()
        rows = {company: count if isinstance(count, int) else count.get(dataset.name, 0) for company, count in given}
    if (not settings.restricted) if settings.extra_payers is None else settings.extra_payers:
        rows |= {company: math.ceil(real.get(company, 0) * settings.scale) for company in extra}
    return rows

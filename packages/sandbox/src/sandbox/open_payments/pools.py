"""What rows are drawn from. Columns that depend on each other are drawn together, from one pool of ready values."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_right
from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.slices import Block, Values

# One row in so many is hard to parse. Each list of hard rows fits into 2,000 rows, so that a slice of that size
# holds one of each; in the real file such rows are rarer by three orders of magnitude.
HARD_TEXT_EVERY, HARD_RECIPIENT_EVERY, HARD_DATE_EVERY = 127, 211, 1_500

# 75 rows of PY2024 carry this date in CMS's own file (facts 3.1).
_IMPOSSIBLE_DATE = "11/30/0002"
_PRODUCTS, _PRODUCTS_OF_A_PAYER = 4096, 256
_SLOTS_FILLED = (0.9361, 0.1492, 0.0338, 0.0182, 0.0118)  # PY2025 (facts 3.1)
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


@dataclass(frozen=True, eq=False)
class Pool:
    """Ready values. A row has one code, which picks a value from each of the blocks."""

    blocks: Sequence[Block]
    drawn: int  # codes below this are drawn; the others only as hard rows
    weights: Sequence[int] | None = None  # of the codes, summed up; without them all are equally likely
    window: int | None = None  # each payer draws from so many neighbours only: its own products
    hard: Sequence[int] = ()  # one row in `hard_every` takes one of these codes instead, in turn
    hard_every: int = 0

    def codes(self, rng: random.Random, own: str, rows: int) -> array[int]:
        """Codes for a payer's rows; `own` is the seed of the payer's window."""
        first = random.Random(own).randrange(self.drawn - self.window) if self.window else 0
        chosen = range(first, first + (self.window or self.drawn))
        return array("H", rng.choices(chosen, cum_weights=self.weights, k=rows))


def scatter(rng: random.Random, column: array[int], codes: Sequence[int], every: int) -> None:
    """Let one row in `every` have one of these codes, in turn."""
    for number, row in enumerate(range(rng.randrange(every), len(column), every)):
        column[row] = codes[number % len(codes)]


def sometimes(rng: random.Random, pool: list[str], column: str) -> str:
    """One of the texts, or nothing as often as the column is empty in the real file."""
    return "" if rng.random() < load_json("empty_shares.json")[column] else rng.choice(pool)


def amount(quantiles: list[float], share: float) -> str:
    """Dollars with two places at a point of a distribution, geometric between its quantiles."""
    right = min(bisect_right(_QUANTILES, share), len(_QUANTILES) - 1)
    low, high = quantiles[right - 1], quantiles[right]
    inside = (share - _QUANTILES[right - 1]) / (_QUANTILES[right] - _QUANTILES[right - 1])
    return f"{max(0.01, low * (high / low) ** inside):.2f}"


@lru_cache(maxsize=16)
def dates(_: int, year: int) -> Pool:
    """Date_of_Payment, in the order of the text."""
    months = load_json("pools.json")["months"]
    days = [date(year, 1, 1) + timedelta(days=day) for day in range(366 if isleap(year) else 365)]
    texts = sorted([f"{day:%m/%d/%Y}" for day in days] + [_IMPOSSIBLE_DATE])
    odd = texts.index(_IMPOSSIBLE_DATE)
    # Meals are on working days: a weekend day has a tenth of the rows.
    weights = [months[day.month - 1] * (1 if day.weekday() >= 5 else 10) for day in days]
    weights.insert(odd, 0)
    days_and_odd = [Block([(text,) for text in texts])]
    return Pool(days_and_odd, len(texts), list(accumulate(weights)), hard=[odd], hard_every=HARD_DATE_EVERY)


def _slot(rng: random.Random, pools: Any) -> Values:
    """Covered?, drug or device, category, name, NDC, PDI."""
    covered = "Non-Covered" if rng.random() < 0.0275 else "Covered"
    if rng.random() > 0.983:
        return (covered, "", "", "", "", "")
    category, kind, names, code = rng.choice(pools["products"])
    drug = kind in {"Drug", "Biological"}
    given = code if rng.random() < (0.97 if drug else 0.8) else ""
    return (covered, kind, category, rng.choice(names), *((given, "") if drug else ("", given)))


@lru_cache(maxsize=4)
def products(seed: int, _: int) -> Pool:
    """Disputed? (only General has it here), then related product?, then five slots of six columns."""
    pools, rng = load_json("pools.json"), random.Random(f"products/{seed}")
    rows: list[Values] = []
    for number in range(_PRODUCTS):
        drawn = rng.random()
        filled = sum(drawn < share for share in _SLOTS_FILLED)
        slots = [text for _ in range(filled) for text in _slot(rng, pools)]
        # 0.002 % of real rows are disputed. One product of the pool makes 0.02 %, with the payers that have it.
        disputed = "Yes" if number == _PRODUCTS // 2 else "No"
        rows.append((disputed, "Yes" if filled else "No", *slots, *("",) * (30 - len(slots))))
    return Pool([Block(rows)], _PRODUCTS, window=_PRODUCTS_OF_A_PAYER)

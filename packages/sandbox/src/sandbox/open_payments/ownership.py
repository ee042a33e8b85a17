"""What rows of Ownership Payments are drawn from. Its shares and amounts are guesses, unlike General's."""

from __future__ import annotations

import random
from functools import lru_cache

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.people import people
from sandbox.open_payments.pools import HARD_RECIPIENT_EVERY, HARD_TEXT_EVERY, Pool, amount
from sandbox.open_payments.slices import Block, Values

_INTERESTS = 1024


def _physician(row: Values) -> Values:
    """Columns 2-17: profile, NPI, names, address, one type and one specialty out of General's six."""
    return (*row[4:18], row[18], row[24])


@lru_cache(maxsize=4)
def physicians(seed: int, _: int) -> Pool:
    """Columns 2-17."""
    world = people(seed)
    drawn = [_physician(row) for row in world.physicians]
    rows = [*drawn, *map(_physician, world.odd)]
    return Pool([Block(rows)], len(drawn), hard=range(len(drawn), len(rows)), hard_every=HARD_RECIPIENT_EVERY)


@lru_cache(maxsize=4)
def interests(seed: int, _: int) -> Pool:
    """Invested, value and terms (columns 20-22), then whether it is disputed and who holds it (28-29)."""
    pools, rng = load_json("pools.json"), random.Random(f"interests/{seed}")
    rows: list[tuple[Values, Values]] = []
    for text in [*(None for _ in range(_INTERESTS)), *pools["hard_texts"].values()]:
        value = amount(pools["interest_amounts"], rng.random())
        invested = "0.00" if rng.random() < 0.4 else amount(pools["interest_amounts"], rng.random())
        holder = "Immediate family member" if rng.random() < 0.12 else "Physician Covered Recipient"
        terms = rng.choice(pools["interest_terms"]) if text is None else text
        rows.append(((invested, value, terms), ("No", holder)))
    blocks = [Block(values) for values in zip(*rows, strict=True)]
    return Pool(blocks, _INTERESTS, hard=range(_INTERESTS, len(rows)), hard_every=HARD_TEXT_EVERY)

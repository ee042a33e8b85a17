"""What rows of General Payments are drawn from."""

from __future__ import annotations

import random
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.people import people
from sandbox.open_payments.pools import HARD_RECIPIENT_EVERY, HARD_TEXT_EVERY, Pool, amount
from sandbox.open_payments.slices import Block, Values

_RECIPIENTS = _PAYMENTS = 8192


@lru_cache(maxsize=4)
def recipients(seed: int, _: int) -> Pool:
    """Columns 2-36."""
    rows = [row for kind in people(seed) for row in kind]
    hard = range(_RECIPIENTS, len(rows))
    return Pool([Block(rows)], _RECIPIENTS, hard=hard, hard_every=HARD_RECIPIENT_EVERY)


def _kind(rng: random.Random, pools: Any, nature: list[Any], context: str | None = None) -> Values:
    """Columns 44-56: number, form, nature, travel, ownership, third party, charity, context, delay (shares: PY2025)."""
    name, _, cash, _ = nature
    form = rng.choice(pools["forms"][2:]) if "ownership" in name else pools["forms"][rng.random() < cash]
    travel = ("", "", "")
    if name == "Travel and Lodging":
        abroad = rng.random() < 0.02
        city, place = rng.choice(pools["travel_abroad" if abroad else "travel"])
        travel = (city, "", place) if abroad else (city, place, "United States")
    owner = rng.choices(("No", "", "Yes"), (8394, 1602, 4))[0]
    third, equals = ("No Third Party Payment", ""), ""
    if rng.random() < 0.0103:
        kind, equals = rng.choices((("Entity", "No"), ("Individual", "Yes"), ("Individual", "No")), (77, 21, 5))[0]
        third = (kind, rng.choice(pools["third_parties"]) if kind == "Entity" else "")
    charity = "" if rng.random() < 0.7373 else "No"
    if context is None:
        context = rng.choice(pools["contexts"]) if rng.random() < 0.056 else ""
    number = "1" if rng.random() < 0.99 else str(rng.randrange(2, 9))
    return (number, form, name, *travel, owner, *third, charity, equals, context, "No")


@lru_cache(maxsize=4)
def payments(seed: int, _: int) -> Pool:
    """The amount (column 42), and its kind (columns 44-56); the hard rows have hard text in the context."""
    pools, rng = load_json("pools.json"), random.Random(f"payments/{seed}")
    natures = pools["natures"]
    bounds = list(accumulate(nature[1] for nature in natures))
    drawn = [natures[bisect_right(bounds, number / _PAYMENTS * bounds[-1])] for number in range(_PAYMENTS)]
    rng.shuffle(drawn)
    texts = [*(None for _ in drawn), *pools["hard_texts"].values()]
    drawn += [natures[1]] * len(pools["hard_texts"])
    rows = [
        ((amount(nature[3], rng.random()),), _kind(rng, pools, nature, text))
        for nature, text in zip(drawn, texts, strict=True)
    ]
    blocks = [Block(values) for values in zip(*rows, strict=True)]
    return Pool(blocks, _PAYMENTS, hard=range(_PAYMENTS, len(rows)), hard_every=HARD_TEXT_EVERY)

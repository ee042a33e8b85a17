"""Payments: amount, form, nature, travel, third party and context, drawn together because they depend on each other."""

from __future__ import annotations

import random
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sandbox.blocks import Block, Values
from sandbox.columns import load_json

PAYMENTS = 8192
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)
# A royalty of the first size is in the real file of PY2025; 114 rows of 16 million reach a million dollars.
_HUGE = ("400000000.00", "12500000.00", "1978000.00")


def _amount(quantiles: list[float], share: float) -> str:
    """Dollars with two places at a point of the nature's distribution, geometric between quantiles."""
    right = min(bisect_right(_QUANTILES, share), len(_QUANTILES) - 1)
    low, high = quantiles[right - 1], quantiles[right]
    inside = (share - _QUANTILES[right - 1]) / (_QUANTILES[right] - _QUANTILES[right - 1])
    return f"{max(0.01, low * (high / low) ** inside):.2f}"


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
def payments(seed: int) -> tuple[Block, Block, int]:
    """The amounts (column 42), the kinds (columns 44-56) under the same codes, and how many codes are hard.

    Codes below `PAYMENTS` are drawn evenly. Then follow rows with hard text in the context, then huge amounts.
    """
    pools, rng = load_json("pools.json"), random.Random(f"payments/{seed}")
    natures = pools["natures"]
    bounds = list(accumulate(nature[1] for nature in natures))
    drawn = [natures[bisect_right(bounds, number / PAYMENTS * bounds[-1])] for number in range(PAYMENTS)]
    rng.shuffle(drawn)
    rows = [(_amount(nature[3], rng.random()), _kind(rng, pools, nature)) for nature in drawn]
    hard = pools["hard_contexts"].values()
    rows += [(_amount(natures[1][3], rng.random()), _kind(rng, pools, natures[1], text)) for text in hard]
    royalty = next(nature for nature in natures if nature[0] == "Royalty or License")
    rows += [(amount, _kind(rng, pools, royalty)) for amount in _HUGE]
    return Block([(amount,) for amount, _ in rows]), Block([kind for _, kind in rows]), len(hard)

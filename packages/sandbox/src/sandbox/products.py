"""Products: up to five slots of six columns, filled as often as in the file of PY2025 (facts 3.1)."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Any

from sandbox.blocks import Block, Values
from sandbox.columns import load_json

PRODUCTS = 4096
PRODUCTS_OF_A_PAYER = 256
_SLOTS_FILLED = (0.9361, 0.1492, 0.0338, 0.0182, 0.0118)


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
def products(seed: int) -> Block:
    """Columns 58-89: disputed?, related product?, then the five slots."""
    pools, rng = load_json("pools.json"), random.Random(f"products/{seed}")
    rows: list[Values] = []
    for _ in range(PRODUCTS):
        drawn = rng.random()
        filled = sum(drawn < share for share in _SLOTS_FILLED)
        slots = [text for _ in range(filled) for text in _slot(rng, pools)]
        rows.append(("No", "Yes" if filled else "No", *slots, *("",) * (30 - len(slots))))
    # 0.002 % of real rows are disputed. One product of the pool makes 0.02 %, with the payers that have it.
    rows[PRODUCTS // 2] = ("Yes", *rows[PRODUCTS // 2][1:])
    return Block(rows)

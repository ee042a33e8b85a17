"""What rows are drawn from: recipients, what they were paid, and for which products.

Parts of a row that depend on each other are drawn together, and stored once as a block of columns.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from functools import lru_cache
from itertools import accumulate
from typing import Any

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.slices import Block, Values

RECIPIENTS = 8192  # two addresses for each person; half of all profiles have several (facts 3.1)

# Of 16,131,856 rows of PY2025: hospitals 35,569, physicians 10,129,623; NPIs missing on 0.04 % of the others.
_HOSPITALS = 18
_PHYSICIANS = 0.628
_NO_NPI = 0.0004

# Rare but real, by column number: a slice of 2,000 rows holds each of them (see generate.py).
_ODD: list[dict[int, str]] = [
    {7: ""},
    {8: "José", 10: "Muñoz", 14: "SAN JUAN", 15: "PR", 16: "00917"},
    {14: "TORONTO", 15: "", 16: "", 17: "Canada", 18: "Ontario", 19: "M5G 2C4"},
    {12: '45 "A" STREET, SUITE 5', 13: ""},
    {14: "WORCESTER", 15: "MA", 16: "01605"},
    {21: "Doctor of Dentistry", 27: "Dental Providers|Dentist"},
    {10: "O'Neil-Ångström"},
]
_NONE = ("",) * 17
PAYMENTS = 8192
PRODUCTS, PRODUCTS_OF_A_PAYER = 4096, 256
_SLOTS_FILLED = (0.9361, 0.1492, 0.0338, 0.0182, 0.0118)  # PY2025 (facts 3.1)
_QUANTILES = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999, 1.0)


def _address(rng: random.Random, pools: Any, city: list[str]) -> Values:
    """Columns 12-19. A zip code is text: it may start with 0, and nearly half have four further digits."""
    name, state, zone = city
    code = f"{zone}{rng.randrange(100):02d}" + (f"-{rng.randrange(1000, 9999)}" if rng.random() < 0.45 else "")
    second = _sometimes(rng, pools["second_lines"], "Recipient_Primary_Business_Street_Address_Line2")
    return (
        f"{rng.randrange(1, 9900)} {rng.choice(pools['streets'])}",
        second,
        name,
        state,
        code,
        "United States",
        "",
        "",
    )


def _sometimes(rng: random.Random, pool: list[str], column: str) -> str:
    return "" if rng.random() < load_json("empty_shares.json")[column] else rng.choice(pool)


def _person(rng: random.Random, pools: Any, number: int) -> list[Values]:
    """Columns 2-36 of one person at two addresses."""
    physician = rng.random() < _PHYSICIANS
    group = pools["physicians" if physician else "practitioners"]
    kind = "Covered Recipient " + ("Physician" if physician else "Non-Physician Practitioner")
    npi = "" if rng.random() < _NO_NPI else str(1_003_000_000 + number * 109_000 + rng.randrange(109_000))
    head = (kind, "", "", "", str(rng.randrange(1_000, 11_800_000)), npi)
    city, first, last = (rng.choice(pools[pool]) for pool in ("cities", "first_names", "last_names"))
    middle = _sometimes(rng, pools["middle_names"], "Covered_Recipient_Middle_Name")
    names = (middle, last, _sometimes(rng, pools["suffixes"], "Covered_Recipient_Name_Suffix"))
    states, licences = [state for _, state, _ in pools["cities"]], [city[1]]
    for place in range(2, 6):  # who lacks one licence lacks those after it
        column = f"Covered_Recipient_License_State_code{place}"
        licences.append(_sometimes(rng, states, column) if licences[-1] else "")
    kinds, weights = zip(*group["types"], strict=True)
    tail = (rng.choices(kinds, weights)[0], *_NONE[:5], rng.choice(group["specialties"]), *_NONE[:5], *licences)
    # Spelling drifts between the rows of a person, too.
    spellings = (first, first.title() if rng.random() < 0.2 else first)
    return [(*head, spelling, *names, *_address(rng, pools, city), *tail) for spelling in spellings]


@lru_cache(maxsize=4)
def recipients(seed: int) -> Block:
    """Columns 2-36. Codes below `RECIPIENTS` are drawn evenly, the rare ones follow."""
    pools, rng = load_json("pools.json"), random.Random(f"people/{seed}")
    hospitals = []
    for known in (pools["hospitals"] * 2)[: _HOSPITALS + 1]:
        address = _address(rng, pools, rng.choice(pools["cities"]))
        hospitals.append(("Covered Recipient Teaching Hospital", *known, *_NONE[:6], *address, *_NONE))
    people = [row for number in range((RECIPIENTS - _HOSPITALS) // 2) for row in _person(rng, pools, number)]
    odd = [
        tuple(texts.get(column, text) for column, text in enumerate(_person(rng, pools, RECIPIENTS + number)[0], 2))
        for number, texts in enumerate(_ODD)
    ]
    return Block([*people, *hospitals, *odd])


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
def payments(seed: int) -> tuple[Block, Block]:
    """The amounts (column 42), and the kinds (columns 44-56) under the same codes.

    Codes below `PAYMENTS` are drawn evenly. Then follow rows with hard text in the context.
    """
    pools, rng = load_json("pools.json"), random.Random(f"payments/{seed}")
    natures = pools["natures"]
    bounds = list(accumulate(nature[1] for nature in natures))
    drawn = [natures[bisect_right(bounds, number / PAYMENTS * bounds[-1])] for number in range(PAYMENTS)]
    rng.shuffle(drawn)
    texts = [*(None for _ in drawn), *pools["hard_contexts"].values()]
    drawn += [natures[1]] * len(pools["hard_contexts"])
    rows = [
        (_amount(nature[3], rng.random()), _kind(rng, pools, nature, text))
        for nature, text in zip(drawn, texts, strict=True)
    ]
    return Block([(amount,) for amount, _ in rows]), Block([kind for _, kind in rows])


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
    """Columns 58-89: disputed?, related product?, then five slots of six columns."""
    pools, rng = load_json("pools.json"), random.Random(f"products/{seed}")
    rows: list[Values] = []
    for number in range(PRODUCTS):
        drawn = rng.random()
        filled = sum(drawn < share for share in _SLOTS_FILLED)
        slots = [text for _ in range(filled) for text in _slot(rng, pools)]
        # 0.002 % of real rows are disputed. One product of the pool makes 0.02 %, with the payers that have it.
        disputed = "Yes" if number == PRODUCTS // 2 else "No"
        rows.append((disputed, "Yes" if filled else "No", *slots, *("",) * (30 - len(slots))))
    return Block(rows)

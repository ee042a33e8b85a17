"""What rows of Research Payments are drawn from. Its shares and amounts are guesses, unlike General's."""

from __future__ import annotations

import random
from functools import lru_cache
from itertools import chain
from typing import Any

from sandbox.open_payments import pools as common
from sandbox.open_payments.columns import load_json
from sandbox.open_payments.people import EMPTY, address, people
from sandbox.open_payments.pools import HARD_RECIPIENT_EVERY, HARD_TEXT_EVERY, Pool, amount
from sandbox.open_payments.slices import Block, Values

_SIZE = 2048
_ENTITIES, _HOSPITALS = 1500, 448  # of the recipients; the others are persons
_INVESTIGATORS = (6, 86, 4, 2, 1, 1)  # in a hundred rows, by their number
_COLUMNS_OF_AN_INVESTIGATOR = 32
_STUDIES, _STUDIES_OF_A_PAYER = 1024, 32


def _recipient(row: Values, entity: str = "") -> Values:
    """Columns 2-37: those of General with the name of an entity that the law does not cover."""
    return (row[0], entity, *row[1:])


@lru_cache(maxsize=4)
def recipients(seed: int, _: int) -> Pool:
    """Columns 2-37. Most recipients are sites and universities, with investigators named beside them."""
    pools, rng, world = load_json("pools.json"), random.Random(f"research recipients/{seed}"), people(seed)
    rows = [_recipient(row) for row in rng.sample(world.persons, _SIZE - _ENTITIES - _HOSPITALS)]
    rows += [_recipient(row) for row in rng.choices(world.hospitals, k=_HOSPITALS)]
    for _ in range(_ENTITIES):
        where = address(rng, pools, rng.choice(pools["cities"]))
        entity = ("Non-covered Recipient Entity", *EMPTY[:9], *where, *EMPTY)
        rows.append(_recipient(entity, rng.choice(pools["research_entities"])))
    rows += map(_recipient, world.odd)
    return Pool([Block(rows)], _SIZE, hard=range(_SIZE, len(rows)), hard_every=HARD_RECIPIENT_EVERY)


@lru_cache(maxsize=4)
def investigators(seed: int, _: int) -> Pool:
    """Columns 38-197: five times a person's columns of General without the hospital's."""
    rng, physicians = random.Random(f"investigators/{seed}"), people(seed).physicians
    rows: list[Values] = []
    for number in rng.choices(range(6), _INVESTIGATORS, k=_SIZE):
        named = chain.from_iterable((row[0], *row[4:]) for row in rng.sample(physicians, number))
        rows.append((*named, *("",) * _COLUMNS_OF_AN_INVESTIGATOR * (5 - number)))
    return Pool([Block(rows)], _SIZE)


@lru_cache(maxsize=4)
def products(seed: int, year: int) -> Pool:
    """Columns 203-233: General's without the dispute."""
    pool = common.products(seed, year)
    return Pool([Block([row[1:] for row in pool.blocks[0].values])], pool.drawn, window=pool.window)


@lru_cache(maxsize=4)
def payments(seed: int, _: int) -> Pool:
    """The amount (column 234), its kind (columns 236-244), and whether it is disputed (246)."""
    pools, rng = load_json("pools.json"), random.Random(f"research payments/{seed}")
    rows: list[tuple[Values, Values, Values]] = []
    for number in range(_SIZE):
        form = pools["forms"][rng.random() < 0.93]
        spent = rng.sample(pools["expenditures"], rng.choices(range(7), (80, 12, 4, 2, 1, 1, 1))[0])
        kind = (form, *spent, *("",) * (6 - len(spent)), "Yes" if rng.random() < 0.01 else "No", "No")
        rows.append(((amount(pools["study_amounts"], rng.random()),), kind, ("No" if number else "Yes",)))
    return Pool([Block(values) for values in zip(*rows, strict=True)], _SIZE)


@lru_cache(maxsize=4)
def studies(seed: int, _: int) -> Pool:
    """Name_of_Study (column 245), and registration, link and context (columns 250-252)."""
    pools, rng = load_json("pools.json"), random.Random(f"studies/{seed}")
    texts = [*(None for _ in range(_STUDIES)), *pools["hard_texts"].values()]
    rows = [_study(rng, pools, text) for text in texts]
    blocks = [Block(values) for values in zip(*rows, strict=True)]
    hard = range(_STUDIES, len(rows))
    return Pool(blocks, _STUDIES, window=_STUDIES_OF_A_PAYER, hard=hard, hard_every=HARD_TEXT_EVERY)


def _study(rng: random.Random, pools: Any, context: str | None) -> tuple[Values, Values]:
    product = rng.choice(rng.choice(pools["products"])[2])
    name = f"{rng.choice(pools['study_designs'])} of {product} in {rng.choice(pools['study_conditions'])}"
    number = f"NCT{rng.randrange(10**6, 7 * 10**6):08d}" if rng.random() < 0.6 else ""
    link = f"https://clinicaltrials.gov/study/{number}" if number and rng.random() < 0.2 else ""
    if context is None:
        context = rng.choice(pools["study_contexts"]) if rng.random() < 0.3 else ""
    return (name,), (number, link, context)

"""Rows from a seed: the codes of a slice after each publication of its year."""

from __future__ import annotations

import random
from array import array
from calendar import isleap
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate
from operator import add
from typing import NamedTuple

from sandbox.open_payments.columns import load_json
from sandbox.open_payments.companies import payer
from sandbox.open_payments.pools import (
    PAYMENTS,
    PRODUCTS,
    PRODUCTS_OF_A_PAYER,
    RECIPIENTS,
    payments,
    products,
    recipients,
)
from sandbox.open_payments.slices import Block, Slice

_MARKS = Block([("NEW",), ("ADD",), ("CHANGED",), ("UNCHANGED",)])  # Change_Type (facts 3.1)
_NEW, _ADD, _CHANGED, _UNCHANGED = range(4)
_ADDED_EVERY = 3_333  # three in ten thousand rows of a first publication are not NEW but ADD

# 75 rows of PY2024 carry this date in CMS's own file (facts 3.1).
_IMPOSSIBLE_DATE = "11/30/0002"

# One row in so many is hard to read. Each list of hard rows fits into 2,000 rows, so that a slice of that size
# holds one of each; in the real file such rows are rarer by three orders of magnitude.
_HARD_TEXT_EVERY, _HARD_RECIPIENT_EVERY, _HARD_DATE_EVERY = 127, 211, 1_500


class Codes(NamedTuple):
    """One code per row and block, rows in the order of the date's text."""

    mark: array[int]
    recipient: array[int]
    payment: array[int]
    date: array[int]
    record: array[int]
    product: array[int]

    def picked(self, rows: Sequence[int]) -> Codes:
        """These rows in this order."""
        return Codes(*(array(codes.typecode, map(codes.__getitem__, rows)) for codes in self))


NOTHING = Codes(*(array(typecode) for typecode in "BHHHQH"))


@dataclass(frozen=True)
class Edit:
    """What a publication does to one slice; the rows that it adds get `new_ids`."""

    release: int
    removed: int
    changed: int
    new_ids: range


@lru_cache(maxsize=16)
def dates(year: int) -> tuple[Block, list[int], int]:
    """Column 43 in the order of the text, the weight of each day summed up, and the code of the odd date."""
    months = load_json("pools.json")["months"]
    days = [date(year, 1, 1) + timedelta(days=day) for day in range(366 if isleap(year) else 365)]
    texts = sorted([f"{day:%m/%d/%Y}" for day in days] + [_IMPOSSIBLE_DATE])
    odd = texts.index(_IMPOSSIBLE_DATE)
    # Meals are on working days: a weekend day has a tenth of the rows.
    weights = [months[day.month - 1] * (1 if day.weekday() >= 5 else 10) for day in days]
    weights.insert(odd, 0)
    return Block([(text,) for text in texts]), list(accumulate(weights)), odd


def _drawn(seed: int, year: int, company: str, edit: Edit, rng: random.Random) -> Codes:
    """The rows that an edit adds."""
    _, weights, odd = dates(year)
    rows = len(edit.new_ids)
    # A payer has its own products: a window of the pool.
    first = random.Random(f"products/{company}").randrange(PRODUCTS - PRODUCTS_OF_A_PAYER)
    codes = Codes(
        mark=array("B", bytes([_ADD if edit.release else _NEW])) * rows,
        recipient=array("H", rng.choices(range(RECIPIENTS), k=rows)),
        payment=array("H", rng.choices(range(PAYMENTS), k=rows)),
        date=array("H", rng.choices(range(len(weights)), cum_weights=weights, k=rows)),
        record=array("Q", edit.new_ids),
        product=array("H", rng.choices(range(first, first + PRODUCTS_OF_A_PAYER), k=rows)),
    )
    for column, hard, every in (
        (codes.mark, range(_ADD, _ADD + 1), _ADDED_EVERY),
        (codes.payment, range(PAYMENTS, len(payments(seed)[0].values)), _HARD_TEXT_EVERY),
        (codes.recipient, range(RECIPIENTS, len(recipients(seed).values)), _HARD_RECIPIENT_EVERY),
        (codes.date, range(odd, odd + 1), _HARD_DATE_EVERY),
    ):
        for number, row in enumerate(range(rng.randrange(every), rows, every)):
            column[row] = hard[number % len(hard)]
    return codes


def published(seed: int, year: int, company: str, before: Codes, edit: Edit) -> Codes:
    """The slice after a publication: UNCHANGED but for the rows removed, changed (another amount) and added."""
    rng = random.Random(f"{seed}/{year}/{company}/{edit.release}")
    gone = set(rng.sample(range(len(before.mark)), edit.removed))
    codes = before.picked([row for row in range(len(before.mark)) if row not in gone])
    codes.mark[:] = array("B", bytes([_UNCHANGED])) * len(codes.mark)
    amounts = payments(seed)[0].values
    for row in rng.sample(range(len(codes.mark)), edit.changed):
        old = amounts[codes.payment[row]]
        while amounts[codes.payment[row]] == old:
            codes.payment[row] = rng.randrange(PAYMENTS)
        codes.mark[row] = _CHANGED
    if not edit.new_ids:
        return codes
    codes = Codes(*map(add, codes, _drawn(seed, year, company, edit, rng)))
    return codes.picked(sorted(range(len(codes.mark)), key=codes.date.__getitem__))


def assemble(seed: int, year: int, company: str, codes: Codes, modified: date) -> Slice:
    """Codes put beside each other in the order of the 91 columns."""
    amounts, kinds = payments(seed)
    rows = len(codes.mark)
    beside: list[tuple[Block, Sequence[int]]] = [
        (_MARKS, codes.mark),
        (recipients(seed), codes.recipient),
        (Block([payer(company)]), bytes(rows)),
        (amounts, codes.payment),
        (dates(year)[0], codes.date),
        (kinds, codes.payment),
        (Block([(str(number),) for number in codes.record]), range(rows)),
        (products(seed), codes.product),
        (Block([(str(year), f"{modified:%m/%d/%Y}")]), bytes(rows)),
    ]
    return Slice([block for block, _ in beside], [column for _, column in beside])

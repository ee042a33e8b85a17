"""Rows from a seed: the codes of a slice at its first publication, and after each further one."""

from __future__ import annotations

import random
from array import array
from calendar import isleap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from itertools import accumulate
from math import gcd
from typing import NamedTuple

from sandbox.blocks import Block, NumberBlock
from sandbox.columns import load_json
from sandbox.companies import payer
from sandbox.payments import PAYMENTS, payments
from sandbox.people import RECIPIENTS, recipients
from sandbox.products import PRODUCTS, PRODUCTS_OF_A_PAYER, products
from sandbox.slices import Slice

_MARKS = Block([("NEW",), ("ADD",), ("CHANGED",), ("UNCHANGED",)])  # Change_Type (facts 3.1)
_NEW, _ADD, _CHANGED, _UNCHANGED = range(4)

# 75 rows of PY2024 carry this date in CMS's own file (facts 3.1).
_IMPOSSIBLE_DATE = "11/30/0002"

# One row in so many is hard to read. Each list of hard rows fits into 2,000 rows, so that a slice of that size
# holds one of each; in the real file such rows are rarer by three orders of magnitude.
_HARD_TEXT_EVERY, _HARD_RECIPIENT_EVERY, _HARD_DATE_EVERY, _HUGE_EVERY = 127, 211, 1_500, 131_072

# Ids of one year fill a range of 95 million; the next 4 million are for rows added later. 2019 really spans 134
# million; this keeps the years apart. 2023 crosses 1,000,000,000, where the order of texts is not the order of numbers.
_IDS_OF_A_YEAR, _IDS_BETWEEN_YEARS, _FIRST_ID_OF_2018 = 95_000_000, 99_000_000, 480_000_000


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


@dataclass(frozen=True)
class Origin:
    """Which slice it is. `position` rows of the year come before it, of `rows_of_year`: they decide its record ids."""

    seed: int
    year: int
    company: str
    position: int
    rows_of_year: int

    def rng(self, release: int) -> random.Random:
        return random.Random(f"{self.seed}/{self.year}/{self.company}/{release}")


@dataclass(frozen=True)
class Edit:
    """What a publication does to one slice; `first_new_id` numbers the added rows."""

    release: int
    removed: int
    added: int
    changed: int
    first_new_id: int


def first_added_id(year: int) -> int:
    """The lowest record id of rows added after the first publication."""
    return _FIRST_ID_OF_2018 + (year - 2018) * _IDS_BETWEEN_YEARS + _IDS_OF_A_YEAR


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
    return Block([(text,) for text in texts], ordered=True), list(accumulate(weights)), odd


def _draw(origin: Origin, rng: random.Random, rows: int, mark: int) -> tuple[Codes, array[int]]:
    """Rows without record ids, dates ascending, and the 32 random bits of each row."""
    _, weights, _ = dates(origin.year)
    days = array("H", sorted(rng.choices(range(len(weights)), cum_weights=weights, k=rows)))
    bits, kinds = array("I", rng.randbytes(4 * rows)), array("H", rng.randbytes(2 * rows))
    # A payer has its own products: a window of the pool.
    first = random.Random(f"products/{origin.company}").randrange(PRODUCTS - PRODUCTS_OF_A_PAYER)
    codes = Codes(
        mark=array("B", bytes([mark])) * rows,
        recipient=array("H", [value & (RECIPIENTS - 1) for value in bits]),
        payment=array("H", [value & (PAYMENTS - 1) for value in kinds]),
        date=days,
        record=array("Q", bytes(8 * rows)),
        product=array("H", [first + (value >> 13) % PRODUCTS_OF_A_PAYER for value in bits]),
    )
    return codes, bits


def first_codes(origin: Origin, rows: int) -> Codes:
    """A slice as first published: NEW, three in ten thousand ADD."""
    rng = origin.rng(0)
    codes, bits = _draw(origin, rng, rows, _NEW)
    hard, odd_date = payments(origin.seed)[2], dates(origin.year)[2]
    odd_people = len(recipients(origin.seed).values) - RECIPIENTS
    for number, row in enumerate(range(rng.randrange(_HARD_TEXT_EVERY), rows, _HARD_TEXT_EVERY)):
        codes.payment[row] = PAYMENTS + number % hard
    for number, row in enumerate(range(rng.randrange(_HARD_RECIPIENT_EVERY), rows, _HARD_RECIPIENT_EVERY)):
        codes.recipient[row] = RECIPIENTS + number % odd_people
    for number, row in enumerate(range(_HUGE_EVERY // 2, rows, _HUGE_EVERY)):
        codes.payment[row] = PAYMENTS + hard + 2 - number % 3
    for row in range(3_332, rows, 3_333):
        codes.mark[row] = _ADD
    for row in range(rng.randrange(_HARD_DATE_EVERY), rows, _HARD_DATE_EVERY):
        codes.date[row] = odd_date
    # A step that visits every row once makes the ids run across the dates, as they do in the file.
    step = next(step for step in range(max(1, int(rows * 0.618)), rows + 2) if gcd(step, max(1, rows)) == 1)
    stride = max(1, _IDS_OF_A_YEAR // max(1, origin.rows_of_year))
    base = first_added_id(origin.year) - _IDS_OF_A_YEAR + origin.position * stride
    ids = [base + row * step % rows * stride + (value >> 21) % stride for row, value in enumerate(bits)]
    return codes._replace(date=array("H", sorted(codes.date)), record=array("Q", ids))


def next_codes(origin: Origin, before: Codes, edit: Edit) -> Codes:
    """The slice after a publication: UNCHANGED but for the rows removed, changed (another amount) and added."""
    rng = origin.rng(edit.release)
    gone = set(rng.sample(range(len(before.mark)), edit.removed))
    codes = before.picked([row for row in range(len(before.mark)) if row not in gone])
    codes.mark[:] = array("B", bytes([_UNCHANGED])) * len(codes.mark)
    amounts = payments(origin.seed)[0].values
    for row in rng.sample(range(len(codes.mark)), edit.changed):
        old = amounts[codes.payment[row]]
        while amounts[codes.payment[row]] == old:
            codes.payment[row] = rng.randrange(PAYMENTS)
        codes.mark[row] = _CHANGED
    if edit.added:
        more, _ = _draw(origin, rng, edit.added, _ADD)
        more.record[:] = array("Q", range(edit.first_new_id, edit.first_new_id + edit.added))
        for codes_of, new in zip(codes, more, strict=True):
            codes_of.extend(new)
        codes = codes.picked(sorted(range(len(codes.mark)), key=codes.date.__getitem__))
    return codes


def assemble(origin: Origin, codes: Codes, published: date, grown: Callable[[int], None]) -> Slice:
    """Codes put beside each other in the order of the 91 columns."""
    amounts, kinds, _ = payments(origin.seed)
    company, end = Block([payer(origin.company).columns]), Block([(str(origin.year), f"{published:%m/%d/%Y}")])
    beside: list[tuple[Block, array[int] | None]] = [
        (_MARKS, codes.mark),
        (recipients(origin.seed), codes.recipient),
        (company, None),
        (amounts, codes.payment),
        (dates(origin.year)[0], codes.date),
        (kinds, codes.payment),
        (NumberBlock(), codes.record),
        (products(origin.seed), codes.product),
        (end, None),
    ]
    return Slice([block for block, _ in beside], [column for _, column in beside], len(codes.mark), grown)

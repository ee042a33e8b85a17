"""Rows from a seed: the codes of a slice after each publication of its year."""

from __future__ import annotations

import random
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from operator import add
from typing import TypeAlias

from sandbox.open_payments.companies import payer
from sandbox.open_payments.datasets import Dataset
from sandbox.open_payments.pools import Pool, scatter
from sandbox.open_payments.slices import Block, Slice

_MARKS = Block([("NEW",), ("ADD",), ("CHANGED",), ("UNCHANGED",)])  # Change_Type (facts 3.1)
_NEW, _ADD, _CHANGED, _UNCHANGED = range(4)
_ADDED_EVERY = 3_333  # three in ten thousand rows of a first publication are not NEW but ADD

# One code per row: `mark`, `record`, and one for each pool of the dataset. Python 3.11 cannot subscript an array.
Codes: TypeAlias = "Mapping[str, array[int]]"


@dataclass(frozen=True)
class Edit:
    """What a publication does to one slice; the rows that it adds get `new_ids`."""

    release: int
    removed: int
    changed: int
    new_ids: range


def nothing(dataset: Dataset) -> Codes:
    """A slice before its first publication."""
    return {"mark": array("B"), "record": array("Q"), **{name: array("H") for name in dataset.pools}}


def _pools(dataset: Dataset, seed: int, year: int) -> dict[str, Pool]:
    return {name: made(seed, year) for name, made in dataset.pools.items()}


def _picked(codes: Codes, rows: Sequence[int]) -> Codes:
    """These rows in this order."""
    return {name: array(column.typecode, map(column.__getitem__, rows)) for name, column in codes.items()}


def _drawn(dataset: Dataset, seed: int, year: int, company: str, edit: Edit, rng: random.Random) -> Codes:
    """The rows that an edit adds."""
    pools, rows = _pools(dataset, seed, year), len(edit.new_ids)
    codes = {"mark": array("B", [_ADD if edit.release else _NEW]) * rows, "record": array("Q", edit.new_ids)}
    codes |= {name: pool.codes(rng, f"{name}/{company}", rows) for name, pool in pools.items()}
    scatter(rng, codes["mark"], [_ADD], _ADDED_EVERY)
    for name, pool in sorted(pools.items(), key=lambda item: item[1].hard_every):
        if pool.hard:
            scatter(rng, codes[name], pool.hard, pool.hard_every)
    return codes


def published(dataset: Dataset, seed: int, year: int, company: str, before: Codes, edit: Edit) -> Codes:
    """The slice after a publication: UNCHANGED but for the rows removed, changed (another amount) and added."""
    rng = random.Random(f"{dataset.salt}{seed}/{year}/{company}/{edit.release}")
    rows = len(before["mark"])
    gone = set(rng.sample(range(rows), edit.removed))
    codes = _picked(before, [row for row in range(rows) if row not in gone])
    marks, column = codes["mark"], codes[dataset.changed]
    marks[:] = array("B", [_UNCHANGED]) * len(marks)
    pool = dataset.pools[dataset.changed](seed, year)
    for row in rng.sample(range(len(marks)), edit.changed):
        old = pool.blocks[0].values[column[row]]
        while pool.blocks[0].values[column[row]] == old:
            column[row] = rng.randrange(pool.drawn)
        marks[row] = _CHANGED
    if not edit.new_ids:
        return codes
    drawn = _drawn(dataset, seed, year, company, edit, rng)
    codes = {name: add(column, drawn[name]) for name, column in codes.items()}
    order = codes[dataset.sorted_by]
    return _picked(codes, sorted(range(len(order)), key=order.__getitem__))


def assemble(dataset: Dataset, seed: int, year: int, company: str, codes: Codes, modified: date) -> Slice:
    """Codes put beside each other in the order of the dataset's columns."""
    rows = len(codes["mark"])
    alike = bytes(rows)  # the code of a block with one value
    beside: dict[str, tuple[Block, Sequence[int]]] = {
        "mark": (_MARKS, codes["mark"]),
        "payer": (Block([payer(company)]), alike),
        "record": (Block([(str(number),) for number in codes["record"]]), range(rows)),
        "year": (Block([(str(year),)]), alike),
        "published": (Block([(f"{modified:%m/%d/%Y}",)]), alike),
    }
    blocks = {name: iter(pool.blocks) for name, pool in _pools(dataset, seed, year).items()}
    layout = dataset.layout.split()
    placed = [beside[name] if name in beside else (next(blocks[name]), codes[name]) for name in layout]
    return Slice(placed, volatile=[layout.index("mark"), layout.index("published")])

"""Expressions of a query: arithmetic on columns and numbers, and aggregates over rows (facts 1.3).

They run on rows in short: the different texts of some columns, each with the number of rows that have them; `within`
says which columns. A text is a number as MySQL reads it, by its beginning; NULL is None.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.open_payments import errors
from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.query_schema import AGGREGATES
from sandbox.open_payments.tables import Scope

Value = str | float | None
Counted = Sequence[tuple[Sequence[str], int]]  # the texts of some columns, and how many rows have them

_BEGINNING = re.compile(r"\s*([+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)", re.IGNORECASE)
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": math.fmod,
}


@dataclass(frozen=True)
class Column:
    """A column; over several rows that of the first, which stands for all where it is grouped by."""

    place: int
    aggregates = False

    @property
    def needed(self) -> frozenset[int]:
        """The columns whose texts it needs."""
        return frozenset((self.place,))

    plain = needed  # those outside aggregates

    def within(self, columns: Sequence[int]) -> Expression:
        """The same for rows that have these columns alone."""
        return Column(columns.index(self.place))

    def value(self, rows: Counted) -> Value:
        return rows[0][0][self.place]


@dataclass(frozen=True)
class Number:
    """A number as it stands in the query."""

    number: float
    plain = needed = frozenset[int]()
    aggregates = False

    def within(self, _: Sequence[int]) -> Expression:
        return self

    def value(self, _: Counted) -> Value:
        return self.number


@dataclass(frozen=True)
class Arithmetic:
    """Operands joined by one operator, from left to right."""

    operator: str
    operands: Sequence[Expression]

    @property
    def plain(self) -> frozenset[int]:
        return frozenset().union(*(one.plain for one in self.operands))

    @property
    def needed(self) -> frozenset[int]:
        return frozenset().union(*(one.needed for one in self.operands))

    @property
    def aggregates(self) -> bool:
        return any(one.aggregates for one in self.operands)

    def within(self, columns: Sequence[int]) -> Expression:
        return Arithmetic(self.operator, [one.within(columns) for one in self.operands])

    def value(self, rows: Counted) -> Value:
        found, *others = [_number(one.value(rows)) for one in self.operands]
        for other in others:
            if found is None or other is None or (self.operator in "/%" and not other):
                return None
            found = _ARITHMETIC[self.operator](found, other)
        return found


@dataclass(frozen=True)
class Aggregate:
    """A function of all rows together."""

    function: str
    operand: Expression
    plain = frozenset[int]()
    aggregates = True

    @property
    def needed(self) -> frozenset[int]:
        return self.operand.needed

    def within(self, columns: Sequence[int]) -> Expression:
        return Aggregate(self.function, self.operand.within(columns))

    def value(self, rows: Counted) -> Value:
        found = [(self.operand.value([row]), row[1]) for row in rows]
        some = [(value, times) for value, times in found if value is not None]
        if self.function == "count":
            return sum(times for _, times in some)
        if not some:
            return None
        if self.function in {"max", "min"}:
            return (max if self.function == "max" else min)((value for value, _ in some), key=order)
        total = math.fsum((_number(value) or 0.0) * times for value, times in some)
        return total / sum(times for _, times in some) if self.function == "avg" else total


Expression = Column | Number | Arithmetic | Aggregate


def parse(expression: Mapping[str, Any], scope: Scope) -> Expression:
    """An expression of a checked query. ApiError: an unknown column, or what the database cannot run."""
    function, operands = expression.get("operator", ""), expression.get("operands", ())
    if not function or not operands:
        raise ApiError(errors.DATABASE_ERROR)
    ready = [_operand(one, scope) for one in operands]
    if function.lower() not in AGGREGATES:
        return Arithmetic(function, ready)
    if ready[0].aggregates:
        raise ApiError(errors.DATABASE_ERROR)
    counted = function.lower() == "count" and isinstance(ready[0], Column)
    return Aggregate(function.lower(), Number(1) if counted else ready[0])  # no text is NULL


def shown(value: Value) -> str | None:
    """A value as the API shows it; numbers are doubles, like 180214208.7 (facts 1.5)."""
    if value is None or isinstance(value, str):
        return value
    return str(int(value)) if value == int(value) else repr(round(value, 6))


def order(value: Value) -> tuple[bool, str | float]:
    """The key that sorts values of one kind as MySQL does, NULL first and texts without regard to case."""
    return value is not None, value.lower() if isinstance(value, str) else value or 0.0


def _operand(operand: Any, scope: Scope) -> Expression:
    match operand:
        case int() | float():
            return Number(operand)
        case str():
            return Column(scope.column(operand))
        case {"expression": inner}:
            return parse(inner, scope)
        case {"resource": alias, "property": name}:
            return Column(scope.column(name, alias))
    raise ApiError(f"Bad query property: {operand}")


def _number(value: Value) -> float | None:
    if not isinstance(value, str):
        return value
    found = _BEGINNING.match(value)
    return float(found[1]) if found else 0.0

"""What a query selects: columns and expressions, under the names that the source gives them (facts 1.3, 1.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from sandbox.open_payments.columns import Column as Named
from sandbox.open_payments.expressions import Column, Expression, parse
from sandbox.open_payments.tables import Scope, Table


class Selected(NamedTuple):
    """One property: its key in a row of JSON, and where its value comes from."""

    key: str
    source: Expression


def header(properties: Iterable[Any], table: Table) -> list[str]:
    """The CSV header: the titles of columns, also of those with an alias, and the aliases of expressions."""
    names = (one if isinstance(one, str) else one.get("property") or one.get("alias", "") for one in properties)
    return [table.titles.get(name, name) for name in names]


def selected(properties: Sequence[Any], scope: Scope) -> list[Selected]:
    """The properties in the order of the statement: columns first, whose header stays where it is, then expressions."""
    columns = [one for one in properties if not _is_expression(one)]
    expressions = [one for one in properties if _is_expression(one)]
    names = _Names(scope.alias)
    return [
        *(Selected(names.of_column(one), _column(one, scope)) for one in columns),
        *(Selected(names.of_expression(one["alias"]), parse(one["expression"], scope)) for one in expressions),
    ]


@cache
def whole(columns: Sequence[Named]) -> Sequence[Selected]:
    """All the columns of a table, as a query selects them that names none."""
    return [Selected(column.name, Column(place)) for place, column in enumerate(columns)]


def named(properties: Iterable[Any]) -> list[str]:
    """The names of the columns among properties or groupings."""
    return [one if isinstance(one, str) else one["property"] for one in properties if not _is_expression(one)]


def bare(name: str) -> str:
    """An alias as it reaches the database."""
    return re.sub(r"[^A-Za-z0-9_]", "", name)


class _Names:
    """Names that are taken get the alias of the table before them, or a number after them."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        self._columns: set[str] = set()
        self._expressions: set[str] = set()

    def of_column(self, one: Any) -> str:
        name = one if isinstance(one, str) else bare(one.get("alias", "")) or one["property"]
        return _free(f"{self._alias}_{name}" if name in self._columns else name, self._columns)

    def of_expression(self, alias: str) -> str:
        return _free(bare(alias) or "expression", self._expressions)


def _free(name: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    taken.add(candidate)
    return candidate


def _is_expression(one: Any) -> bool:
    return isinstance(one, dict) and "resource" not in one and "expression" in one


def _column(one: str | Mapping[str, str], scope: Scope) -> Column:
    if isinstance(one, str):
        return Column(scope.column(one))
    return Column(scope.column(one["property"], one["resource"]))

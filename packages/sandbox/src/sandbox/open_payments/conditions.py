"""The tree of a query's conditions, made ready for the parts of a table (facts 1.3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.open_payments import errors
from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.operators import Holds, can_seek, holds
from sandbox.open_payments.tables import Scope


class Node(NamedTuple):
    """One condition, or a group of them."""

    narrow: Callable[[str, Sequence[int]], Sequence[int]]  # of a part's rows, in order, those that meet it
    part: Holds | None  # whether a part of this name can have any; None: every part can
    decided: bool  # by `part` alone: a part has all its rows or none
    indexed: bool  # all its columns have an index that its operators can use
    seeks: bool  # an index on a column that varies inside a part leads to its rows


def ready(conditions: Sequence[Mapping[str, Any]], scope: Scope) -> list[Node]:
    """The conditions of a query, bound by *and*. ApiError: an unknown column, or what the database cannot run."""
    return [_node(condition, scope) for condition in conditions]


def _node(condition: Mapping[str, Any], scope: Scope) -> Node:
    if condition.get("property") is not None:
        return _test(condition, scope)
    if condition.get("groupOperator") is None:
        raise ApiError(errors.INVALID_CONDITION)
    members = ready(condition.get("conditions", ()), scope)
    if not members:
        raise ApiError(errors.DATABASE_ERROR)
    return _either(members) if condition["groupOperator"] == "or" else _all(members)


def _test(condition: Mapping[str, Any], scope: Scope) -> Node:
    name, asked = str(condition.get("operator", "=")).lower(), str(condition["property"])  # A lets any type through
    table, meets = scope.table, holds(name, condition.get("value"))
    if name == "match":
        columns = [scope.column(one) for one in asked.split(",")]
        if len(columns) > 1 or columns[0] not in table.fulltext:
            raise ApiError(errors.NOT_FULLTEXT)
    column = scope.column(asked, condition.get("resource"))

    def narrow(part: str, rows: Sequence[int]) -> Sequence[int]:
        texts = table.texts(part, column)
        good = set(filter(meets, set(texts)))
        return [row for row in rows if texts[row] in good]

    by_part, indexed = column == table.part_column, column in table.indexed and can_seek(name)
    return Node(narrow, meets if by_part else None, by_part, indexed, indexed and not by_part)


def _all(members: Sequence[Node]) -> Node:
    parts = [member.part for member in members if member.part]

    def narrow(part: str, rows: Sequence[int]) -> Sequence[int]:
        for member in members:
            rows = member.narrow(part, rows)
        return rows

    return Node(
        narrow,
        (lambda name: all(can(name) for can in parts)) if parts else None,
        all(member.decided for member in members),
        all(member.indexed for member in members),
        any(member.seeks for member in members),
    )


def _either(members: Sequence[Node]) -> Node:
    parts = [member.part for member in members if member.part]

    def narrow(part: str, rows: Sequence[int]) -> Sequence[int]:
        return sorted({row for member in members for row in member.narrow(part, rows)})

    return Node(
        narrow,
        (lambda name: any(can(name) for can in parts)) if len(parts) == len(members) else None,
        all(member.decided for member in members),
        all(member.indexed for member in members),
        all(member.seeks for member in members),
    )

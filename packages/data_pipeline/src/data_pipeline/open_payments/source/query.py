"""The query language of the source (DKAN's datastore API), as URL parameters. Pure.

Facts behind it: unknown parameters are ignored, so a misspelt one answers *unfiltered*; PHP
arrays need consecutive indexes; there is no default order; ``limit`` over 500 is refused
except on ``/download``, which has no limit and sends a header on every request.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.windows import Window

Params = list[tuple[str, str]]
# datastore.settings:rows_limit of the site; a query asking for more answers 400.
ROWS_PER_QUERY = 500


@dataclass(frozen=True)
class Condition:
    """``property operator value``; conditions of a query are joined by *and*."""

    property: str
    operator: str
    value: str


def conditions_of(columns: Columns, company_id: str, window: Window | None = None) -> tuple[Condition, ...]:
    """The rows of one payer, or of one window of its slice."""
    found = [Condition(columns.payer, "=", company_id)]
    if window is not None and window.low:
        found.append(Condition(columns.date, ">=", window.low))
    if window is not None and window.high:
        found.append(Condition(columns.date, "<", window.high))
    return tuple(found)


def describe(conditions: tuple[Condition, ...]) -> str:
    """Conditions as one line for audits and messages."""
    return " and ".join(f"{one.property} {one.operator} {one.value}" for one in conditions) or "all rows"


def count_params(conditions: tuple[Condition, ...] = ()) -> Params:
    """How many rows meet the conditions."""
    return [*_condition_params(conditions), ("results", "false"), ("count", "true"), ("schema", "false")]


def probe_params() -> Params:
    """Count, columns and distribution id of a table, without rows."""
    return [("results", "false"), ("count", "true"), ("schema", "true")]


def grouped_count_params(column: str, key: str, conditions: tuple[Condition, ...], offset: int) -> Params:
    """One page of (value of ``column``, number of rows), in ascending order of the value."""
    return [
        *_condition_params(conditions),
        ("properties[0]", column),
        ("properties[1][expression][operator]", "count"),
        ("properties[1][expression][operands][0]", key),
        ("properties[1][alias]", "rows"),
        ("groupings[0]", column),
        ("sorts[0][property]", column),
        ("sorts[0][order]", "asc"),
        ("limit", str(ROWS_PER_QUERY)),
        ("offset", str(offset)),
        ("count", "false"),
        ("schema", "false"),
    ]


def sum_params(column: str, conditions: tuple[Condition, ...]) -> Params:
    """The sum of a column over the rows that meet the conditions, as ``rows``."""
    return [
        *_condition_params(conditions),
        ("properties[0][expression][operator]", "sum"),
        ("properties[0][expression][operands][0]", column),
        ("properties[0][alias]", "rows"),
        ("count", "false"),
        ("schema", "false"),
    ]


def rows_params(
    columns: tuple[str, ...],
    conditions: tuple[Condition, ...] = (),
    *,
    sort: str = "",
    offset: int = 0,
    limit: int = ROWS_PER_QUERY,
) -> Params:
    """One page of rows as JSON; without ``sort`` in an order that may be another each time."""
    return [
        *_condition_params(conditions),
        *((f"properties[{index}]", name) for index, name in enumerate(columns)),
        *_sort_params(sort),
        ("limit", str(limit)),
        ("offset", str(offset)),
        ("count", "false"),
        ("schema", "false"),
    ]


def download_params(
    conditions: tuple[Condition, ...], *, sort: str = "", limit: int | None = None, offset: int = 0
) -> Params:
    """Rows as CSV: all of them in one answer, or one sorted page. ``count=false`` spares the source a COUNT."""
    params = [*_condition_params(conditions), ("format", "csv"), ("count", "false"), *_sort_params(sort)]
    if limit is not None:
        params += [("limit", str(limit)), ("offset", str(offset))]
    return params


def _condition_params(conditions: tuple[Condition, ...]) -> Params:
    return [
        (f"conditions[{index}][{name}]", getattr(condition, name))
        for index, condition in enumerate(conditions)
        for name in ("property", "operator", "value")
    ]


def _sort_params(column: str) -> Params:
    return [("sorts[0][property]", column), ("sorts[0][order]", "asc")] if column else []

"""From a request to a query: PHP's bracket parameters, coerced and checked (facts 1.2, 1.3)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote_plus

from sandbox.open_payments.csv_dialect import Dialect
from sandbox.open_payments.errors import not_simulated, violation

OPERATORS = ("=", "<>", "<", "<=", ">", ">=")
_UNSIMULATED = ("like", "between", "in", "not in", "contains", "starts with", "match")
_KINDS: dict[str, type] = {
    **dict.fromkeys(("limit", "offset"), int),
    **dict.fromkeys(("count", "results", "schema", "keys", "rowIds"), bool),
    **dict.fromkeys(("properties", "conditions", "groupings", "sorts", "joins", "resources"), list),
    "format": str,
}
_DEFAULTS: dict[str, Any] = dict.fromkeys(("count", "results", "schema", "keys"), True) | {
    "offset": 0,
    "format": "json",
    "rowIds": False,
}
_MEMBERS = {"conditions": ("property", "value"), "properties": ("expression", "alias"), "sorts": ("property",)}
_SHOWN = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", type(None): "null"}


def php_arrays(query_string: str) -> dict[str, Any]:
    """`a[0][b]=c` as `{"a": [{"b": "c"}]}`; indexes with gaps or out of order make an object, not an array."""
    root: dict[str, Any] = {}
    for pair in filter(None, query_string.split("&")):
        name, _, value = pair.partition("=")
        base, bracket, rest = unquote_plus(name).partition("[")
        *keys, last = [base, *re.findall(r"([^\]\[]*)\]", bracket + rest)]
        node: Any = root
        for key in keys:
            node = node.setdefault(_index(node, key), {})
            if not isinstance(node, dict):
                break
        else:
            node[_index(node, last)] = unquote_plus(value)
    return {key: _listed(value) for key, value in root.items()}


def _index(node: Mapping[str, Any], key: str) -> str:
    """An empty key is the next free number."""
    return key or str(max((int(used) for used in node if used.isdigit()), default=-1) + 1)


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(value) for key, value in node.items()}
    return list(inner.values()) if list(inner) == [str(at) for at in range(len(inner))] else inner


def checked(payload: Mapping[str, Any], *, dialect: Dialect, rows_limit: int | None) -> dict[str, Any]:
    """The query with its types and defaults, or the first breach of the schema of queries as an error.

    Without a `rows_limit` there is none; unknown parameters stay, and mean nothing.
    """
    query = {name: _coerced(value, _KINDS.get(name)) for name, value in payload.items()}
    for name in _KINDS.keys() & query.keys():
        _typed(query[name], _KINDS[name], name)
    limit = query.setdefault("limit", rows_limit)
    if limit is not None and rows_limit is not None and limit > rows_limit:
        raise violation("maximum", "limit", f"The attribute value must be less than or equal {rows_limit}.")
    if limit is not None and limit < 1 and dialect == "B":
        raise violation("minimum", "limit", "The attribute value must be greater than or equal 1.")
    for name, members in _MEMBERS.items():
        for at, item in enumerate(query.get(name, ())):
            if not (name == "properties" and isinstance(item, str)):
                _check_object(item, members, f"{name}/{at}")
    query = _DEFAULTS | query
    _one_of(query["format"], ("csv", "json"), "format")
    if query.get("joins") or query.get("resources") or query["rowIds"] or not query["keys"]:
        raise not_simulated("joins, resources, rowIds=true and keys=false")
    return query


def _coerced(value: Any, kind: type | None) -> Any:
    """Every parameter is a text; those that stand for numbers and flags become them."""
    if kind is int and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    return {"true": True, "false": False}.get(value, value) if kind is bool and isinstance(value, str) else value


def _typed(value: Any, kind: type, pointer: str) -> None:
    if type(value) is not kind:
        message = f"The attribute expected to be of type '{_SHOWN[kind]}' but '{_SHOWN[type(value)]}' given."
        raise violation("type", pointer, message)


def _one_of(value: str, allowed: tuple[str, ...], pointer: str) -> None:
    if value not in allowed:
        shown = "', '".join(allowed)
        raise violation("enum", pointer, f"The attribute must be one of the following values: '{shown}'.")


def _check_object(item: Any, members: Iterable[str], pointer: str) -> None:
    _typed(item, dict, pointer)
    operator = item.get("operator", "=")
    if "groupOperator" in item or operator in _UNSIMULATED or isinstance(item.get("value"), list | dict):
        raise not_simulated("groups of conditions, and operators other than comparisons")
    for name in members:
        if name not in item:
            raise violation("required", pointer, f"The attribute property '{name}' is required.")
    _one_of(operator, (*OPERATORS, *_UNSIMULATED), f"{pointer}/operator")

"""From a request to a query: bracket parameters or a JSON body, coerced and checked (facts 1.2, 1.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote_plus

from sandbox.open_payments import errors
from sandbox.open_payments.csv_dialect import Dialect
from sandbox.open_payments.errors import ApiError, not_simulated, violation
from sandbox.open_payments.json_schema import Check, check
from sandbox.open_payments.query_schema import query_schema


def payload(method: str, query_string: str, body: bytes, dialect: Dialect) -> Mapping[str, Any]:
    """What a request asks for: the parameters of a GET, the JSON body of a POST, whose parameters mean nothing."""
    if method == "GET":
        return php_arrays(query_string)
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, dict):
        return data
    if data is None and dialect == "B":
        raise ApiError(errors.INVALID_JSON)
    raise not_simulated("a POST whose body is no JSON object")  # PHP ends with an error of its own


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


@cache
def _check(dialect: Dialect, rows_limit: int | None) -> tuple[Check, dict[str, Any]]:
    """The check of the schema of queries, and the defaults in it."""
    schema = query_schema(dialect, rows_limit)
    return check(schema), {name: part["default"] for name, part in schema["properties"].items() if "default" in part}


def checked(payload: Mapping[str, Any], *, dialect: Dialect, rows_limit: int | None) -> dict[str, Any]:
    """The query with its types and defaults, or the first breach of the schema of queries as an error.

    Without a `rows_limit` there is none; unknown parameters stay, and mean nothing.
    """
    meets, defaults = _check(dialect, rows_limit)
    asked, breach = meets(dict(payload))
    if breach is not None:
        raise violation(*breach)
    query: dict[str, Any] = defaults | asked
    names = (one.get("property") if isinstance(one, dict) else one for one in query.get("properties", ()))
    if "record_number" in names:
        raise ApiError(errors.RECORD_NUMBER)
    if query["rowIds"]:
        raise ApiError(errors.ROW_IDS) if query.get("properties") else not_simulated("rowIds=true")
    return query

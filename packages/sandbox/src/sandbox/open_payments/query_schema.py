"""The JSON schema of queries: it checks them, and `/datastore/query/schema` shows it (facts 1.2, 1.3).

The two lines of DKAN differ in three places. A has no smallest `limit`. A spells operators in lower case, but its
group of conditions requires nothing, so that a condition with any operator passes as a group. B accepts the words in
any case and requires the members of a group.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sandbox.open_payments.csv_dialect import Dialect

COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
WORDS = ("like", "between", "in", "not in", "contains", "starts with", "match")
AGGREGATES = ("sum", "count", "avg", "max", "min")
ARITHMETIC = ("+", "-", "*", "/", "%")
_STRING, _NUMBER, _FALSE = {"type": "string"}, {"type": "number"}, {"type": "boolean", "default": False}
_TRUE = {"type": "boolean", "default": True}


@cache
def query_schema(dialect: Dialect, rows_limit: int | None) -> dict[str, Any]:
    """The schema, with the largest `limit` if there is one."""
    limit: dict[str, Any] = {"type": "integer"} | ({"minimum": 1} if dialect == "B" else {})
    limit |= {} if rows_limit is None else {"maximum": rows_limit, "default": rows_limit}
    alias = {"alias": _STRING}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Datastore Query",
        "type": "object",
        "properties": {
            "resources": _list(_object(id=_STRING, **alias)),
            "properties": _list(
                _ref("resource"),
                _object("resource", "property", resource=_ref("resource"), property=_ref("property"), **alias),
                _object("expression", "alias", expression=_ref("expression"), **alias),
            ),
            "conditions": _list(_ref("condition"), _ref("conditionGroup")),
            "joins": _list(
                _object("resource", "condition", resource=_ref("resource"), condition=_ref("condition")),
            ),
            "groupings": _list(_ref("resource"), _ref("resourceProperty")),
            "limit": limit,
            "offset": {"type": "integer", "default": 0},
            "sorts": _list(_ref("sort")),
            **dict.fromkeys(("count", "results", "schema", "keys"), _TRUE),
            "format": {"type": "string", "enum": ["csv", "json"], "default": "json"},
            "rowIds": _FALSE,
        },
        "definitions": _definitions(dialect),
    }


def _definitions(dialect: Dialect) -> dict[str, Any]:
    named = {"resource": _ref("resource"), "property": _ref("property")}
    members = {"groupOperator": {"type": "string", "enum": ["and", "or"]}}
    members["conditions"] = _list(_ref("condition"), _ref("conditionGroup"))
    compared = {"value": _any(_STRING, _NUMBER, _list(_STRING, _NUMBER), _ref("resourceProperty"))}
    compared["operator"] = _operators(dialect) | {"default": "="}
    nested = _object(expression=_ref("expression"))
    return {
        "resource": _STRING,
        "property": {"type": "string", "pattern": "^[^.]+$"},
        "resourceProperty": _object("property", **named),
        "conditionGroup": _object(*(["conditions"] if dialect == "B" else []), **members),
        "condition": _object("property", "value", **named, **compared),
        "expression": _object(
            operator=_functions(dialect),
            operands=_list(_NUMBER, _ref("property"), _ref("resourceProperty"), nested),
        ),
        "sort": _object(**named, order={"type": "string", "enum": ["asc", "desc"]}),
    }


def _operators(dialect: Dialect) -> dict[str, Any]:
    if dialect == "A":
        return {"type": "string", "enum": [*COMPARISONS, *WORDS]}
    return {"oneOf": [{"type": "string", "enum": list(COMPARISONS)}, _any_case(*WORDS)]}


def _functions(dialect: Dialect) -> dict[str, Any]:
    if dialect == "A":
        return {"type": "string", "enum": [*ARITHMETIC, *AGGREGATES]}
    return {"oneOf": [_any_case(*AGGREGATES), {"type": "string", "enum": list(ARITHMETIC)}]}


def _any_case(*words: str) -> dict[str, Any]:
    patterns = ("".join(f"[{one}{one.upper()}]" if one.isalpha() else one for one in word) for word in words)
    return {"type": "string", "pattern": f"^({'|'.join(patterns)})$"}


def _any(*schemas: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": list(schemas)}


def _list(*items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items[0] if len(items) == 1 else _any(*items)}


def _object(*required: str, **members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members} | ({"required": list(required)} if required else {})


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/definitions/{name}"}

"""From a request to a query: PHP's bracket parameters or a JSON body, coerced and checked (facts 1.2, 1.3)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_plus

from sandbox import errors
from sandbox.columns import load_json
from sandbox.csv_dialect import Dialect
from sandbox.errors import ApiError, violation

AGGREGATES = frozenset(("sum", "count", "avg", "max", "min"))
_TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": float}


def php_arrays(query_string: str) -> dict[str, Any]:
    """`a[0][b]=c` as `{"a": [{"b": "c"}]}`; indexes with gaps or out of order make an object, not an array."""
    root: dict[str, Any] = {}
    for pair in filter(None, query_string.split("&")):
        name, _, value = pair.partition("=")
        base, bracket, rest = unquote_plus(name).partition("[")
        keys = [re.sub(r"[ .]", "_", base), *re.findall(r"([^\]\[]*)\]", bracket + rest)]
        node: Any = root
        for key in keys[:-1]:
            node = node.setdefault(_index(node, key), {})
            if not isinstance(node, dict):
                break
        else:
            node[_index(node, keys[-1])] = unquote_plus(value)
    return {key: _listed(value) for key, value in root.items()}


def _index(node: Mapping[str, Any], key: str) -> str:
    """An empty key is the next free number."""
    return key or str(max((int(used) for used in node if used.isdigit()), default=-1) + 1)


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {key: _listed(value) for key, value in node.items()}
    return list(inner.values()) if list(inner) == [str(at) for at in range(len(inner))] else inner


def read_json(body: bytes) -> dict[str, Any]:
    """A POST body; an empty one is an empty query."""
    try:
        data = json.loads(body or b"{}")
    except ValueError:
        data = None
    if not isinstance(data, dict):
        raise ApiError("Invalid JSON")
    return data


def checked(payload: Mapping[str, Any], *, dialect: Dialect, rows_limit: int | None) -> dict[str, Any]:
    """The query with its types coerced, held against the schema; `rows_limit` is the cap outside /download.

    What is left out gets its default, after what is there, as DKAN's echo of the query shows (facts 1.5).
    """
    schema = load_json("query_schema.json")
    properties = dict(schema["properties"])
    limit = dict(properties["limit"])
    if rows_limit is not None:
        limit |= {"maximum": rows_limit, "default": rows_limit}
    if dialect == "B":
        limit["minimum"] = 1
    properties["limit"] = limit
    data = {name: _coerced(value, properties.get(name, {}).get("type")) for name, value in payload.items()}
    _check(data, {**schema, "properties": properties}, schema["definitions"], "")
    defaults = {name: rule["default"] for name, rule in properties.items() if "default" in rule and name not in data}
    return data | defaults


def _coerced(value: Any, kind: str | None) -> Any:
    """Every GET parameter is a text; those that stand for numbers and flags become them."""
    if kind == "integer" and isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    return {"true": True, "false": False}.get(value, value) if kind == "boolean" and isinstance(value, str) else value


def _check(value: Any, rule: Mapping[str, Any], definitions: Mapping[str, Any], pointer: str) -> None:
    """Hold a value against a rule; of several ways to fail the one deepest inside is told."""
    rule = definitions[rule["$ref"]] if "$ref" in rule else rule
    problems: list[ApiError] = []
    for option in rule.get("anyOf", ()):
        try:
            return _check(value, option, definitions, pointer)
        except ApiError as problem:
            problems.append(problem)
    if problems:
        raise max(problems, key=_depth)
    _check_value(value, rule, pointer)
    if isinstance(value, dict):
        for name, inner in rule.get("properties", {}).items():
            if name in value:
                _check(value[name], inner, definitions, f"{pointer}/{name}".lstrip("/"))
    for at, item in enumerate(value if isinstance(value, list) else ()):
        _check(item, rule.get("items", {}), definitions, f"{pointer}/{at}")
    return None


def _depth(problem: ApiError) -> tuple[int, bool]:
    data = problem.data or {}
    return data["pointer"].count("/"), data["keyword"] != "type"


def _check_value(value: Any, rule: Mapping[str, Any], pointer: str) -> None:
    if "type" in rule and type(value) is not _TYPES[rule["type"]]:
        used = next((name for name, kind in _TYPES.items() if type(value) is kind), "null")
        raise violation("type", pointer, f"The attribute expected to be of type '{rule['type']}' but '{used}' given.")
    if "enum" in rule and value not in rule["enum"]:
        expected = "', '".join(rule["enum"])
        raise violation("enum", pointer, f"The attribute must be one of the following values: '{expected}'.")
    if "maximum" in rule and value > rule["maximum"]:
        raise violation("maximum", pointer, f"The attribute value must be less than or equal {rule['maximum']}.")
    if "minimum" in rule and value < rule["minimum"]:
        raise violation("minimum", pointer, f"The attribute value must be greater than or equal {rule['minimum']}.")
    if "pattern" in rule and not re.search(rule["pattern"], value):
        raise violation("pattern", pointer, "The attribute has invalid format.")
    for name in rule.get("required", ()):
        if name not in value:
            raise violation("required", pointer, f"The attribute property '{name}' is required.")


def check_row_ids(data: Mapping[str, Any], *, single_table: bool) -> None:
    """Rules the schema cannot hold: record_number, rowIds beside properties, joins on an identifier's endpoint."""
    for item in data.get("properties") or ():
        if "record_number" in (item, item.get("property") if isinstance(item, dict) else None):
            raise ApiError(errors.RECORD_NUMBER)
    if data.get("properties") and data.get("rowIds") in (True, "true"):
        raise ApiError(errors.ROW_IDS)
    if single_table and (data.get("resources") or data.get("joins")):
        raise ApiError(errors.NO_JOINS)

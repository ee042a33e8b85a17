"""The part of JSON Schema that the schema of queries uses: coercion of texts, and the first breach (facts 1.2, 1.6)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}
_SHOWN = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_NUMBER, _WHOLE = re.compile(r"-?\d+(\.\d+)?"), re.compile(r"-?\d+(\.0+)?")


class Breach(NamedTuple):
    """What a value breaks: the schema's keyword, where (`conditions/0/operator`), and a sentence."""

    keyword: str
    pointer: str
    message: str


def coerced(value: Any, schema: Schema, root: Schema) -> Any:
    """The value with the types that the schema wants: query parameters are texts, also numbers and flags."""
    schema = _resolved(schema, root)
    for branch in _branches(schema):
        candidate = coerced(value, branch, root)
        if breach(candidate, branch, root) is None:
            return candidate
    match schema.get("type"), value:
        case "object", dict():
            known = schema["properties"]
            return {key: coerced(inner, known.get(key, {}), root) for key, inner in value.items()}
        case "array", list():
            return [coerced(inner, schema["items"], root) for inner in value]
        case "boolean", "true" | "false":
            return value == "true"
        case "number", str() if _NUMBER.fullmatch(value):
            return float(value) if "." in value else int(value)
        case "integer", (float() | str()) if _WHOLE.fullmatch(str(value)):
            return int(str(value).partition(".")[0])
    return value


def breach(value: Any, schema: Schema, root: Schema, pointer: str = "") -> Breach | None:
    """The first breach of the schema. Of several alternatives the one counts that reaches furthest into the value."""
    schema = _resolved(schema, root)
    if branches := _branches(schema):
        found = [breach(value, branch, root, pointer) for branch in branches]
        failed = [one for one in found if one is not None]
        return max(failed, key=_reach) if len(failed) == len(found) else None
    if (kind := schema.get("type")) and type(value) not in _KINDS[kind]:
        shown = _SHOWN.get(type(value), "null")
        return Breach("type", pointer, f"The attribute expected to be of type '{kind}' but '{shown}' given.")
    for keyword, message in _limits(value, schema):
        return Breach(keyword, pointer, message)
    inner: list[tuple[Any, Any, Schema]] = []
    if isinstance(value, dict):
        inner = [(key, value[key], part) for key, part in schema.get("properties", {}).items() if key in value]
    elif isinstance(value, list):
        inner = [(at, one, schema.get("items", {})) for at, one in enumerate(value)]
    broken = (breach(one, part, root, f"{pointer}/{key}".lstrip("/")) for key, one, part in inner)
    return next(filter(None, broken), None)


def _limits(value: Any, schema: Schema) -> list[tuple[str, str]]:
    """Keyword and sentence of each limit that the value itself breaks."""
    found = []
    if "enum" in schema and value not in schema["enum"]:
        shown = "', '".join(schema["enum"])
        found.append(("enum", f"The attribute must be one of the following values: '{shown}'."))
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(("pattern", f"The attribute should match the pattern '{schema['pattern']}'."))
    if "maximum" in schema and value > schema["maximum"]:
        found.append(("maximum", f"The attribute value must be less than or equal {schema['maximum']}."))
    if "minimum" in schema and value < schema["minimum"]:
        found.append(("minimum", f"The attribute value must be greater than or equal {schema['minimum']}."))
    missing = [name for name in schema.get("required", ()) if name not in value]
    found += [("required", f"The attribute property '{name}' is required.") for name in missing]
    return found


def _resolved(schema: Schema, root: Schema) -> Schema:
    """What a reference stands for."""
    found: Schema = root["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    return found


def _branches(schema: Schema) -> list[Schema]:
    """Alternatives; those of `oneOf` exclude each other here."""
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _reach(one: Breach) -> tuple[int, bool]:
    return one.pointer.count("/"), one.keyword != "type"

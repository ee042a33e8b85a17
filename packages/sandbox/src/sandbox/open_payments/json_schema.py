"""The part of JSON Schema that the schema of queries uses, as functions (facts 1.2, 1.6).

A check coerces as it goes: parameters of an address are texts, also those that stand for numbers and flags.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

_SHOWN = {dict: "object", list: "array", str: "string", bool: "boolean", int: "integer", float: "number"}
_NUMBER, _WHOLE = re.compile(r"-?\d+(\.\d+)?"), re.compile(r"-?\d+(\.0+)?")


class Breach(NamedTuple):
    """What a value breaks: the schema's keyword, where (`conditions/0/operator`), and a sentence."""

    keyword: str
    pointer: str
    message: str

    def under(self, key: object) -> Breach:
        """The same, seen from the value that has this one under a key."""
        return self._replace(pointer=f"{key}/{self.pointer}".rstrip("/"))


Checked = tuple[Any, Breach | None]  # the coerced value, and the first thing it breaks
Check = Callable[[Any], Checked]
Limits = list[tuple[Callable[[Any], object], Breach]]  # a test, and what its failure breaks


def check(schema: Schema, root: Schema | None = None) -> Check:
    """A schema as a function; `root` has the definitions that it refers to."""
    root = root or schema
    if "$ref" in schema:
        return _later(root["definitions"][schema["$ref"].rpartition("/")[2]], root)
    if branches := schema.get("anyOf") or schema.get("oneOf"):  # those of oneOf exclude each other here
        return partial(_one_of, [check(branch, root) for branch in branches])
    match schema["type"]:
        case "object":
            parts = {name: check(part, root) for name, part in schema["properties"].items()}
            return partial(_object, parts, schema.get("required", ()))
        case "array":
            return partial(_array, check(schema["items"], root))
        case kind:
            return partial(_scalar, _COERCE[kind], kind, _limits(schema))


def _later(schema: Schema, root: Schema) -> Check:
    """A definition may refer to itself: it becomes a function when it is first needed."""
    made: list[Check] = []

    def run(value: Any) -> Checked:
        if not made:
            made.append(check(schema, root))
        return made[0](value)

    return run


def _one_of(branches: list[Check], value: Any) -> Checked:
    """Of several alternatives that fail, the one counts that reaches furthest into the value."""
    broken = []
    for branch in branches:
        made, breach = branch(value)
        if breach is None:
            return made, None
        broken.append(breach)
    return value, max(broken, key=lambda one: (bool(one.pointer), one.pointer.count("/"), one.keyword != "type"))


def _object(parts: Mapping[str, Check], required: tuple[str, ...], value: Any) -> Checked:
    if type(value) is not dict:
        return value, _of_type("object", value)
    for name in required:
        if name not in value:
            return value, Breach("required", "", f"The attribute property '{name}' is required.")
    made = dict(value)
    for name in value:
        if name in parts:
            made[name], breach = parts[name](value[name])
            if breach is not None:
                return value, breach.under(name)
    return made, None


def _array(item: Check, value: Any) -> Checked:
    if type(value) is not list:
        return value, _of_type("array", value)
    made = []
    for at, one in enumerate(value):
        found, breach = item(one)
        if breach is not None:
            return value, breach.under(at)
        made.append(found)
    return made, None


def _scalar(coerce: Callable[[Any], Any], kind: str, limits: Limits, value: Any) -> Checked:
    made = coerce(value)
    if made is None:
        return value, _of_type(kind, value)
    for meets, breach in limits:
        if not meets(made):
            return value, breach
    return made, None


def _limits(schema: Schema) -> Limits:
    """What the value must meet beside its type."""
    found: Limits = []
    for keyword, limit in schema.items():
        match keyword:
            case "enum":
                shown = "', '".join(limit)
                text = f"The attribute must be one of the following values: '{shown}'."
                found.append((limit.__contains__, Breach(keyword, "", text)))
            case "pattern":
                text = f"The attribute should match the pattern '{limit}'."
                found.append((partial(re.search, limit), Breach(keyword, "", text)))
            case "maximum":
                text = f"The attribute value must be less than or equal {limit}."
                found.append((limit.__ge__, Breach(keyword, "", text)))
            case "minimum":
                text = f"The attribute value must be greater than or equal {limit}."
                found.append((limit.__le__, Breach(keyword, "", text)))
    return found


def _of_type(kind: str, value: Any) -> Breach:
    shown = _SHOWN.get(type(value), "null")
    return Breach("type", "", f"The attribute expected to be of type '{kind}' but '{shown}' given.")


def _boolean(value: Any) -> bool | None:
    return value if type(value) is bool else {"true": True, "false": False}.get(str(value))


def _integer(value: Any) -> int | None:
    if type(value) is int:
        return value
    whole = _WHOLE.fullmatch(str(value))
    return int(str(value).partition(".")[0]) if whole else None


def _number(value: Any) -> float | None:
    if isinstance(value, int | float) and type(value) is not bool:
        return value
    if type(value) is str and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return None


def _string(value: Any) -> str | None:
    return value if type(value) is str else None


_COERCE: dict[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "string": _string,
}

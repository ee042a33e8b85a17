"""The operators of conditions, as tests of one text (facts 1.3).

All columns are text under a collation that ignores case; order is the order of characters, so "100" < "20".
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

from sandbox.open_payments import errors
from sandbox.open_payments.errors import ApiError, not_simulated

Holds = Callable[[str], bool]

_COMPARE: dict[str, Callable[[str, str], bool]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_UNSEEKABLE = {"like", "contains"}  # no index finds their rows


def holds(name: str, value: Any) -> Holds:
    """The test of an operator with its value or values; ApiError as the source answers what it cannot run."""
    values = [_text(one).lower() for one in (value if isinstance(value, list) else [value])]
    match name, values:
        case _, []:
            raise ApiError(f"Query condition '{name.upper()} ()' cannot be empty.")
        case (("in" | "not in"), _):
            chosen, wanted = frozenset(values), name == "in"
            return lambda text: (text.lower() in chosen) is wanted
        case "between", [low, high]:
            return lambda text: low <= text.lower() <= high
        case ("between", [_, _, *_]) | ("contains" | "starts with" | "match", _) if isinstance(value, list):
            raise not_simulated(f"the operator {name!r} with a list of {len(values)}")
        case ("between", _) | (_, [_, _, *_]):
            raise ApiError(errors.DATABASE_ERROR)
    return _of_one(name, values[0])


def can_seek(name: str) -> bool:
    """Whether an index on the column finds the rows of an operator."""
    return name not in _UNSEEKABLE


def _of_one(name: str, value: str) -> Holds:
    match name:
        case "like":
            pattern = _like(value)
        case "contains":
            pattern = _like(f"%{value}%")
        case "starts with":
            pattern = _like(f"{value}%")
        case "match":
            return _fulltext(value)
        case _ if name in _COMPARE:
            compare = _COMPARE[name]
            return lambda text: compare(text.lower(), value)
        case _:
            raise not_simulated(f"the operator {name!r}")
    return lambda text: pattern.fullmatch(text.lower()) is not None


def _like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE: % is any text, _ any character, a backslash takes the next character as it is."""
    signs = {"%": ".*", "_": "."}
    parts = re.findall(r"\\?.", pattern, re.DOTALL)
    return re.compile("".join(signs.get(part) or re.escape(part[-1]) for part in parts), re.DOTALL)


def _fulltext(value: str) -> Holds:
    """MySQL's boolean mode: any of the words; those with `+` must be there, those with `-` must not, `*` begins one."""
    if set(value) & set('"()<>~@'):
        raise not_simulated("operators of a fulltext search beyond +, - and *")
    asked = [(sign, word, bool(star)) for sign, word, star in re.findall(r"([+-]?)(\w+)(\*?)", value)]

    def found(text: str) -> bool:
        words = re.findall(r"\w+", text.lower())
        signs = [
            (sign, any(one.startswith(word) if star else one == word for one in words)) for sign, word, star in asked
        ]
        return any(there for sign, there in signs if sign != "-") and all(
            there is (sign == "+") for sign, there in signs if sign
        )

    return found


def _text(value: Any) -> str:
    """A value as PHP hands it to the database, as a text."""
    match value:
        case str():
            return value
        case bool() | None:
            raise ApiError(errors.BAD_PROPERTY)
        case int() | float():
            return str(int(value)) if value == int(value) else repr(value)
    raise not_simulated("a condition whose value is a property")

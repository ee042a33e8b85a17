"""The columns of the extract, and what stands in them for a record. Pure.

The columns are declared, so that a new field does not change the header in the middle of a file.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

# Of a value, by what JSON calls its type.
EXPECTED = {
    "id": ("string", "number"),
    "decimal": ("number", "string"),
    "integer": ("number", "string"),
    "boolean": ("boolean",),
}
TYPES = {str: "string", bool: "boolean", int: "number", float: "number", list: "array", dict: "object"}


CONTRACT = resources.files(__package__).joinpath("contract", "customers.toml").read_text(encoding="utf-8")
_SAID = tomllib.loads(CONTRACT)
KEY: str = _SAID["key"]
MISSING: bytes = _SAID["missing"].encode()
COLUMNS: Mapping[str, tuple[str, ...]] = {
    name: EXPECTED.get(_SAID["types"][one["type"]]["kind"], ("string",)) for name, one in _SAID["columns"].items()
}
HEADER = [name.encode() for name in COLUMNS]


def type_of(value: Any) -> str:  # noqa: ANN401 - JSON
    """What JSON calls the type of a value that is not null."""
    return TYPES[type(value)]


def text_of(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """A value as it stands in the extract: a text as it is, null as nothing, anything else as JSON."""
    if value is None:
        return b""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    return text.encode("utf-8", "backslashreplace")

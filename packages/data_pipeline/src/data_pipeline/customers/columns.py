"""The contract of customers, and the columns of the extract that follow from it. Pure."""

from __future__ import annotations

import tomllib
from importlib import resources

from etl_core.csv_stream.from_json import Columns

CONTRACT = resources.files(__package__).joinpath("contract", "customers.toml").read_text(encoding="utf-8")
# What JSON may call the type of a value, by the kind of its column; a string for all others.
EXPECTED = {
    "id": ("string", "number"),
    "decimal": ("number", "string"),
    "integer": ("number", "string"),
    "boolean": ("boolean",),
}


def columns(id_field: str) -> Columns:
    """The columns of the contract; the id is read from ``id_field``, any other from the field of its name."""
    said = tomllib.loads(CONTRACT)
    kinds = {title: said["types"][one["type"]]["kind"] for title, one in said["columns"].items()}
    fields = {
        id_field if title == said["key"] else title: EXPECTED.get(kind, ("string",)) for title, kind in kinds.items()
    }
    return Columns(tuple(kinds), fields, id_field, said["missing"])

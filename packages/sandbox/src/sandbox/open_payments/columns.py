"""The columns of the tables, each with two names: the file's title and the database's machine name."""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple


def load_text(name: str) -> str:
    """A file of `data`: real figures of the source, trimmed to what the simulator uses."""
    return (files("sandbox.open_payments") / "data" / name).read_text(encoding="utf-8")


@cache
def load_json(name: str) -> Any:
    return json.loads(load_text(name))


class Column(NamedTuple):
    """One column: `name` as the API uses it, `title` as the CSV header prints it."""

    name: str
    title: str


def machine_name(title: str) -> str:
    """The database name DKAN derives from a header title (facts 1.10); MySQL allows 64 characters."""
    name = re.sub(r"[^A-Za-z0-9_]", "", re.sub(r"\s", "_", title)).strip("_").lower()
    digest = hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()
    return name if len(name) <= 64 else f"{name[:59]}_{digest[:4]}"


@cache
def columns(table: str) -> tuple[Column, ...]:
    """Columns in file order; `summary` is by payer, `hospitals` by teaching hospital."""
    return tuple(Column(machine_name(title), title) for title in load_json("columns.json")[table])


@cache
def position(table: str, title: str) -> int:
    """Zero-based place of a column, found by its title."""
    return [column.title for column in columns(table)].index(title)

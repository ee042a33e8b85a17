"""Conditions as SQL for SQLite, which stands in for the source's MySQL (facts 1.3).

All columns are text under a collation that ignores (ASCII) case; order is the order of characters, so "100" < "20".
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sandbox import errors
from sandbox.errors import ApiError
from sandbox.tables import Table

Condition = Mapping[str, Any]


def connect(columns: Sequence[int]) -> sqlite3.Connection:
    """A database in memory with a table of spans: part, first row, row after the last, and some columns' texts."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.create_function("boolean_match", 2, boolean_match, deterministic=True)
    texts = "".join(f", c{column} TEXT COLLATE NOCASE" for column in columns)
    database.execute(f"CREATE TABLE t (part INTEGER, start INTEGER, stop INTEGER{texts})")
    database.execute("BEGIN")
    return database


def fill(database: sqlite3.Connection, spans: Iterable[tuple[Any, ...]]) -> None:
    width = len(database.execute("PRAGMA table_info(t)").fetchall())
    database.executemany(f"INSERT INTO t VALUES ({', '.join('?' * width)})", spans)  # noqa: S608 - question marks


def find(
    database: sqlite3.Connection, wanted: str, condition: str, values: Sequence[str], order: str = ""
) -> list[tuple[Any, ...]]:
    """All texts from outside are among the values; the rest is made of column numbers and fixed words."""
    return database.execute(f"SELECT {wanted} FROM t WHERE {condition} {order}", values).fetchall()  # noqa: S608


def column_number(table: Table, name: Any) -> int:
    """The place of a column; MySQL ignores the case of column names."""
    for number, column in enumerate(table.columns):
        if isinstance(name, str) and column.name == name.lower():
            return number
    raise ApiError(errors.COLUMN_NOT_FOUND)


def columns_of(conditions: Sequence[Condition], table: Table) -> set[int]:
    """All columns that conditions speak of."""
    found: set[int] = set()
    for condition in conditions:
        if "groupOperator" in condition:
            found |= columns_of(condition.get("conditions", []), table)
        else:
            names = (
                condition["property"].split(",") if condition.get("operator") == "match" else [condition["property"]]
            )
            found |= {column_number(table, name.strip()) for name in names}
    return found


def where(conditions: Sequence[Condition], table: Table, joined: str = "and") -> tuple[str, list[str]]:
    """The conditions as an SQL expression and its values; without conditions the expression is true."""
    terms, values = [], []
    for condition in conditions:
        grouped = "groupOperator" in condition
        term, more = (
            where(condition.get("conditions", []), table, condition["groupOperator"])
            if grouped
            else _term(condition, table)
        )
        terms.append(term)
        values += more
    return "(" + (f" {joined} ".join(terms) or "1") + ")", values


def _term(condition: Condition, table: Table) -> tuple[str, list[str]]:
    operator, value = condition.get("operator", "="), condition["value"]
    if operator == "match":
        columns = sorted(columns_of([condition], table))
        if not table.fulltext.issuperset(columns):
            raise ApiError(errors.NO_FULLTEXT)
        return "(" + " or ".join(f"boolean_match(c{c}, ?)" for c in columns) + ")", [str(value)] * len(columns)
    column = f"c{column_number(table, condition['property'])}"
    several = operator in {"in", "not in", "between"}
    values = [str(item) for item in (value if isinstance(value, list) and several else [value])]
    if (isinstance(value, list | dict) and not several) or (operator == "between" and len(values) != 2):
        raise ApiError(errors.DATABASE_ERROR)
    match operator:
        case "in" | "not in":
            return f"{column} {operator} ({', '.join('?' * len(values))})", values
        case "between":
            return f"{column} between ? and ?", values
        case "contains" | "starts with":
            return f"{column} like ?", [f"{'%' if operator == 'contains' else ''}{values[0]}%"]
    return f"{column} {operator} ?", values


def boolean_match(text: str, words: str) -> bool:
    """MySQL's full-text search in boolean mode, as far as the site uses it: `word`, `word*`, `+word`, `-word`."""
    found = re.findall(r"([+-]?)([\w&.']+)(\*?)", words)
    hits = [(sign, bool(re.search(rf"\b{re.escape(word)}" + ("" if star else r"\b"), text, re.IGNORECASE)))
            for sign, word, star in found]  # fmt: skip
    must = [hit for sign, hit in hits if sign == "+"]
    may = [hit for sign, hit in hits if not sign]
    return all(must) and any(must + may) and not any(hit for sign, hit in hits if sign == "-")

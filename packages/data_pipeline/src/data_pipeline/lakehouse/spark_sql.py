"""From a contract to SQL of Spark, as ``sql`` makes that of DuckDB: the same rows, flags and reasons. Pure.

Only functions are used that mean the same in both: a whole match of a regular expression, and casts of texts that
matched one. Spark must run without ANSI errors, where a failed cast is NULL (``spark`` sets that).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from data_pipeline.lakehouse.sql import FILE, FLAGS, NOT_UTF8, NUMBER, PART, PART_SHA256, REASONS, RECORD, TYPES, rules
from etl_core.errors import DataError

if TYPE_CHECKING:
    from data_pipeline.lakehouse.contract import Column, Contract, Rule

# Spark's reader fills it where a record has another number of fields than the header.
BROKEN = "_broken"
# What RE2 and Java read alike: no back references, look-around, flags, classes of letters or sets within sets.
PORTABLE = re.compile(
    r"(?:[^\\\[\](){}.^$*+?|]|\\[^A-Za-z0-9]|\[\^?(?:[^\\\[\]&^]|\\[^A-Za-z0-9]|\\s)+\]|\((?!\?)|\(\?:|\)|[|*+?]|\{\d+(?:,\d*)?\})*"
)
# The fields of a date, and how many digits each has.
DIGITS = {"%Y": 4, "%m": 2, "%d": 2}


def name(text: str) -> str:
    """An identifier."""
    return "`" + text.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A text."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def is_portable(pattern: str) -> bool:
    """Whether a regular expression surely means the same to RE2 and to Java."""
    return PORTABLE.fullmatch(pattern) is not None


def matches(column: Column) -> str:
    """Whether the whole text of a column matches its pattern; Java's ``$`` would also match before a line feed."""
    if not is_portable(column.pattern):
        raise DataError(f"{column.name}: Spark may read the pattern {column.pattern!r} in another way than DuckDB.")
    pattern = column.pattern.replace(r"\s", r"\t\n\f\r ")  # in Java also a vertical tab
    return f"{name(column.name)} RLIKE {literal(chr(92) + 'A(?:' + pattern + ')' + chr(92) + 'z')}"


def cast(column: Column) -> str:
    """The value of a text that matches its pattern; NULL if it cannot be cast."""
    text = name(column.name)
    if column.kind == "date":
        return _date(text, column.format)
    if column.kind == "boolean":
        return f"({text} = {literal(column.values[0])})"
    return f"CAST({text} AS {TYPES[column.kind]})" if column.kind in TYPES else text


def violation(column: Column, rule: Rule) -> str:
    """Whether a value violates a rule; NULL for an empty one, unless the rule is ``required``."""
    text = name(column.name)
    if rule == "required":
        return f"{text} IS NULL"
    if rule == "pattern":
        return f"NOT {matches(column)}"
    if rule == "type":
        return f"({matches(column)} AND {cast(column)} IS NULL)"
    if rule == "length":
        return f"char_length({text}) > {column.length}"
    if rule == "range":
        bounds = (("<", column.low), (">", column.high))
        kind = TYPES[column.kind]
        outside = " OR ".join(f"{cast(column)} {sign} CAST({literal(at)} AS {kind})" for sign, at in bounds if at)
        return f"({matches(column)} AND ({outside}))"
    return f"{text} NOT IN ({', '.join(map(literal, column.values))})"


def reasons(found: Iterable[tuple[Column, Rule]], *, more: str = "") -> str:
    """The violated rules of a record as text, NULL if it violates none."""
    cases = [
        f"CASE WHEN {violation(column, rule)} THEN {literal(f'{column.title}.{rule}')} END" for column, rule in found
    ]
    return f"nullif(concat_ws(',', {', '.join([*cases, *filter(None, [more])]) or 'NULL'}), '')"


def quarantined(contract: Contract, *, transcoded: bool) -> str:
    """Whether a record is taken out; never NULL."""
    checks = [f"({violation(column, rule)})" for column, rule in rules(contract, "quarantine")]
    return f"(({' OR '.join([*checks, *([f'{NOT_UTF8} IS NOT NULL'] if transcoded else [])]) or 'false'}) IS TRUE)"


def text_schema(header: Sequence[str]) -> str:
    """The columns of a CSV file."""
    return ", ".join(f"{name(one)} STRING" for one in (*header, BROKEN))


def typed_schema(contract: Contract) -> str:
    """The columns of staged records."""
    columns = [f"{name(one.title)} {TYPES.get(one.kind, 'STRING')}" for one in contract.columns]
    return ", ".join([*columns, f"{FLAGS} STRING", f"{PART} STRING"])


def named(parts: Mapping[str, tuple[str, str]]) -> str:
    """The names and hashes of parts by the paths of their files, as a table."""
    rows = ", ".join(f"({', '.join(map(literal, (path, *said)))})" for path, said in parts.items())
    return f"SELECT * FROM VALUES {rows} AS named({FILE}, {PART}, {PART_SHA256})"


def numbered(files: Mapping[str, int]) -> str:
    """The numbers of files by their paths, as a table."""
    rows = ", ".join(f"({literal(path)}, {number})" for path, number in files.items())
    return f"SELECT * FROM VALUES {rows} AS numbered({FILE}, {NUMBER})"


def file_path() -> str:
    """The path of the file that a record is of; Spark has it as an address."""
    path = "url_decode(replace(_metadata.file_path, '+', '%2B'))"
    return f"regexp_replace({path}, '^file:/+', 'file:/') AS {FILE}"


def place() -> str:
    """Where a record stands in its file, from 1: each file is read as one partition of its own."""
    return f"(monotonically_increasing_id() & {(1 << 33) - 1}L) + 1 AS {RECORD}"


def staged(contract: Contract) -> list[str]:
    """The columns of good records, cast and flagged."""
    columns = [f"{cast(column)} AS {name(column.title)}" for column in contract.columns]
    return [*columns, f"{reasons(rules(contract, 'flag'))} AS {FLAGS}", PART]


def quarantine(contract: Contract, header: Sequence[str]) -> list[str]:
    """The columns of the other records: their text, why, and where they stand."""
    more = f"CASE WHEN {NOT_UTF8} IS NOT NULL THEN 'record.encoding' END" if NOT_UTF8 in header else ""
    columns = [f"{name(column)} AS {name(column.lower())}" for column in header if column != NOT_UTF8]
    why = f"{reasons(rules(contract, 'quarantine'), more=more)} AS {REASONS}"
    return [*columns, why, PART_SHA256, PART, RECORD]


def measures(contract: Contract) -> list[str]:
    """About the staged records of a part: as ``sql.measured``, with the least and the greatest of the new values."""
    first = name(contract.order[0].lower())
    columns = ["count(*)", f"count({FLAGS})", f"min({first})", f"max({first})"]
    columns += [f"coalesce(sum({name(one.title)}), 0)" for one in contract.amounts]
    for one in contract.listed:
        is_new = f"{name(one.title)} NOT IN ({', '.join(map(literal, one.values))})"
        new = f"CASE WHEN {is_new} THEN {name(one.title)} END"
        columns += [f"count({new})", f"min({new})", f"max({new})"]
    return [f"{one} AS m{number}" for number, one in enumerate(columns)]


def _date(text: str, form: str) -> str:
    """A date whose fields have a fixed number of digits; NULL if there is no such day."""
    place, fields = 1, {}
    for piece in re.findall("%.|.", form):
        if piece in DIGITS:
            fields[piece] = f"CAST(substr({text}, {place}, {DIGITS[piece]}) AS INT)"
        elif piece.startswith("%"):
            raise DataError(f"Spark reads no dates as {form!r}: only %Y, %m and %d have a fixed number of digits.")
        place += DIGITS.get(piece, 1)
    return f"make_date({fields['%Y']}, {fields['%m']}, {fields['%d']})"

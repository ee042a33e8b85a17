"""From a contract to SQL of DuckDB. Pure.

One statement reads a part as text, checks the text, and only then casts: a typed read alone takes ``12.345`` for 12.35
and ``11/30/0002`` for a date like any other. ``(…) IS NOT TRUE`` keeps a record whose checks gave NULL; ``(…) IS TRUE``
takes out the others, so each record is on exactly one side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from data_pipeline.lakehouse.contract import Action, Column, Contract, Rule

FLAGS, PART, FILE, NUMBER = "_flags", "_part", "_file", "_number"
REASONS, PART_SHA256, RECORD = "_reasons", "_part_sha256", "_record"
# A column that a transcoded part has besides its own: filled where bytes of the record are no UTF-8.
NOT_UTF8 = "_not_utf8"
TYPES = {"date": "DATE", "decimal": "DECIMAL(18,2)", "integer": "BIGINT", "boolean": "BOOLEAN"}
# Wide text decides about memory: with 122,880 rows of 252 columns in a group, DuckDB was near its limit and ten times
# slower. So many values are 90,112 rows of 91 columns, 32,768 of 252. DuckDB wants multiples of its 2,048.
VALUES_IN_ROW_GROUP = 8_388_608
# A quoted field may be long; our own reader gives up past a megabyte, too.
LONGEST_LINE = 4 << 20


def name(text: str) -> str:
    """An identifier."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text."""
    return "'" + text.replace("'", "''") + "'"


def pattern_of(path: str) -> str:
    """A path for a function that takes it for a pattern."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def read_csv(parts: Mapping[str, str], header: Sequence[str], missing: str = "") -> str:
    """The records of CSV files in RFC 4180, every field as text, an empty or a ``missing`` one as NULL, and the part
    each is of with its number from 1.

    ``parts`` are the parts' names by path; ``header`` names the columns of all of them in their order.
    """
    columns = ", ".join(f"{literal(one)}: 'VARCHAR'" for one in header)
    nulls = _texts(["", missing]) if missing else literal("")
    options = (
        f"columns={{{columns}}}, auto_detect=false, header=true, delim=',', quote='\"', escape='\"', nullstr={nulls},"
        f" new_line='\\n', strict_mode=true, max_line_size={LONGEST_LINE}, buffer_size={2 * LONGEST_LINE},"
        f" parallel=false, filename='{FILE}'"
    )
    number = f"list_position({_texts(parts)}, {FILE})"
    named = f"{_texts(parts.values())}[{number}] AS {PART}, {number} AS {NUMBER}"
    return f"(SELECT * EXCLUDE {FILE}, {named} FROM read_csv({_paths(parts)}, {options}))"


def read_parquet(paths: Iterable[str]) -> str:
    """The records of Parquet files: their own columns, none taken from the names of folders."""
    return f"read_parquet({_paths(paths)}, hive_partitioning=false)"


def typed(column: Column) -> str:
    """The value of a column; NULL where the text cannot be cast."""
    text = name(column.name)
    if column.kind == "date":
        return f"CAST(try_strptime({text}, {literal(column.format)}) AS DATE)"
    if column.kind == "boolean":
        return f"({text} = {literal(column.values[0])})"
    return f"TRY_CAST({text} AS {TYPES[column.kind]})" if column.kind in TYPES else text


def violation(column: Column, rule: Rule) -> str:
    """Whether a value violates a rule; NULL for an empty one, unless the rule is ``required``."""
    text = name(column.name)
    if rule == "required":
        return f"{text} IS NULL"
    if rule == "pattern":
        return f"NOT regexp_full_match({text}, {literal(column.pattern)})"
    if rule == "type":
        # What does not match its pattern is not cast: another engine would cast other texts.
        return f"(regexp_full_match({text}, {literal(column.pattern)}) AND {typed(column)} IS NULL)"
    if rule == "length":
        return f"length({text}) > {column.length}"
    if rule == "range":
        kind = TYPES[column.kind]
        bounds = (("<", column.low), (">", column.high))
        return " OR ".join(f"{typed(column)} {sign} {kind} {literal(at)}" for sign, at in bounds if at)
    return f"{text} NOT IN ({', '.join(map(literal, column.values))})"


def suspicion(column: Column, rule: Rule) -> str:
    """Whether a value may violate a rule: cheaper, and true wherever the rule is violated."""
    # A text has no more characters than bytes, and the number of its bytes is at hand.
    return f"strlen({name(column.name)}) > {column.length}" if rule == "length" else violation(column, rule)


def rules(contract: Contract, action: Action) -> Iterator[tuple[Column, Rule]]:
    """The rules with an action."""
    for column in contract.columns:
        for rule in column.rules:
            if column.action(rule) == action:
                yield column, rule


def reasons(found: Iterable[tuple[Column, Rule]], *, more: str = "") -> str:
    """The violated rules of a record as text: ``date_of_payment.range,recipient_state.pattern``."""
    cases = [
        f"CASE WHEN {violation(column, rule)} THEN {literal(f'{column.title}.{rule}')} END" for column, rule in found
    ]
    return f"concat_ws(',', {', '.join([*cases, *filter(None, [more])]) or 'NULL'})"


def quarantined(contract: Contract, *, transcoded: bool) -> str:
    """Whether a record is taken out."""
    checks = [f"({violation(column, rule)})" for column, rule in rules(contract, "quarantine")]
    return " OR ".join([*checks, *([f"{NOT_UTF8} IS NOT NULL"] if transcoded else [])]) or "false"


def stage(contract: Contract, parts: Mapping[str, str], header: Sequence[str]) -> str:
    """The good records of parts, cast and flagged, in their order, with the number of the part of each."""
    flags = list(rules(contract, "flag"))
    suspect = " OR ".join(f"({suspicion(column, rule)})" for column, rule in flags) or "false"
    columns = ", ".join(f"{typed(column)} AS {name(column.title)}" for column in contract.columns)
    found = f"CASE WHEN {suspect} THEN nullif({reasons(flags)}, '') END AS {FLAGS}"
    where = quarantined(contract, transcoded=NOT_UTF8 in header)
    source = read_csv(parts, header, contract.missing)
    return f"SELECT {columns}, {found}, {PART}, {NUMBER} FROM {source} WHERE ({where}) IS NOT TRUE"


def quarantine(contract: Contract, path: str, header: Sequence[str], part: str, sha256: str) -> str:
    """The other records of one part: their text, why, and where they stand in it, counted from 1."""
    transcoded = NOT_UTF8 in header
    more = f"CASE WHEN {NOT_UTF8} IS NOT NULL THEN 'record.encoding' END" if transcoded else ""
    columns = ", ".join(f"{name(column)} AS {name(column.lower())}" for column in header if column != NOT_UTF8)
    why = f"{reasons(rules(contract, 'quarantine'), more=more)} AS {REASONS}, {literal(sha256)} AS {PART_SHA256}"
    source = read_csv({path: part}, header, contract.missing)
    numbered = f"SELECT *, row_number() OVER () AS {RECORD} FROM {source}"
    where = quarantined(contract, transcoded=transcoded)
    return f"SELECT {columns}, {why}, {PART}, {RECORD} FROM ({numbered}) WHERE ({where}) IS TRUE"


def rows_in_group(columns: int) -> int:
    """Of a Parquet file with so many columns."""
    return max(VALUES_IN_ROW_GROUP // columns // 2048, 1) * 2048


def copy(select: str, path: str, *, columns: int, by: str = "") -> str:
    """Write a query as Parquet, its rows in order. With ``by`` a file per value of that column, which it lacks, below
    the folder ``path``. ``columns`` is how many there are, which decides the size of row groups.
    """
    rows = rows_in_group(columns)
    more = f", PARTITION_BY ({name(by)})" if by else ""
    return f"COPY ({select}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {rows}{more})"


def counts(text: str, source: str) -> str:
    """By part, how often each of the comma-joined names in a column occurs."""
    return (
        f"SELECT {PART}, one, count(*) FROM (SELECT {PART}, unnest(string_split({text}, ',')) AS one FROM {source}"
        f" WHERE {text} IS NOT NULL) GROUP BY ALL ORDER BY ALL"
    )


def measured(contract: Contract, source: str) -> str:
    """By part, about typed records: their number, how many are flagged, the least and greatest value of the first
    column of the order, the sum of each amount, and of each code with known values how many are new.
    """
    sums = [f"sum({name(one.title)})" for one in contract.amounts]
    first = name(contract.order[0].lower())
    new = [f"count(*) FILTER ({is_new(one)})" for one in contract.listed]
    columns = [PART, "count(*)", f"count({FLAGS})", f"min({first})", f"max({first})", *sums, *new]
    return f"SELECT {', '.join(columns)} FROM {source} GROUP BY {PART}"


def is_new(column: Column) -> str:
    """Whether a typed value is none of the known ones."""
    return f"{name(column.title)} NOT IN ({', '.join(map(literal, column.values))})"


def new_values(column: Column, source: str) -> str:
    """By part, how many records have a new value of a column, with the least and the greatest of the values."""
    text = name(column.title)
    return f"SELECT {PART}, count(*), min({text}), max({text}) FROM {source} WHERE {is_new(column)} GROUP BY {PART}"


def no_records(contract: Contract) -> str:
    """A table of a contract without any record, as a source of a query."""
    nothing = [f"NULL::{TYPES.get(one.kind, 'VARCHAR')} AS {name(one.title)}" for one in contract.columns]
    return f"(SELECT {', '.join(nothing)}, NULL::VARCHAR AS {FLAGS}, NULL::VARCHAR AS {PART} WHERE false)"


def ordered(contract: Contract, source: str) -> str:
    """The records of a table, in its total order: it ends in the key."""
    return f"SELECT * FROM {source} ORDER BY {', '.join(name(one.lower()) for one in contract.order)}"


def sums(contract: Contract, source: str) -> str:
    """One row: the number of records, and the sum of each amount."""
    amounts = [f"coalesce(sum({name(one.title)}), 0)" for one in contract.amounts]
    return f"SELECT {', '.join(['count(*)', *amounts])} FROM {source}"


def _texts(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def _paths(paths: Iterable[str]) -> str:
    return _texts(map(pattern_of, paths))

"""One query as the database runs it: a statement for the rows and one for their count."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby
from operator import itemgetter
from typing import Any

from sandbox import errors
from sandbox.blocks import Block, Values
from sandbox.errors import ApiError
from sandbox.payload import AGGREGATES
from sandbox.result import ROW_NUMBER, Piece, Result
from sandbox.runs import Run, cut, rotated, total
from sandbox.slices import Slice, Span
from sandbox.sql import column_number, columns_of, connect, fill, find, where
from sandbox.tables import Table

# An order by a unique column is kept, so that the pages of one table are not sorted anew each time.
_ORDERS_KEPT = 8
Orders = OrderedDict[object, list[Run]]


@dataclass
class Cost:
    """Rows the database went through for nothing the client sees."""

    skipped: int = 0
    scanned: int = 0
    sorted: int = 0


class Statement:
    """A checked query on a table. What the source finds when it builds the SQL is raised here already."""

    def __init__(self, table: Table, query: Mapping[str, Any], orders: Orders, turn: int) -> None:
        """`turn` numbers the statements: it decides the order of rows that no sort decides."""
        self.table, self.query, self.cost = table, query, Cost()
        self._orders, self._turn = orders, turn
        self.miscounted = 0  # a fault adds this to the count, or to the count of one group
        self._conditions: Sequence[Mapping[str, Any]] = query.get("conditions") or []
        self._properties: list[Any] = query.get("properties") or []
        self._groupings = [
            item["property"] if isinstance(item, dict) else item for item in query.get("groupings") or []
        ]
        self._sorts: list[Mapping[str, Any]] = query.get("sorts") or []
        self._titles = {column.name: column.title for column in table.columns}
        if any(sort.get("order") not in {"asc", "desc"} for sort in self._sorts):
            raise ApiError(errors.INVALID_SORT)
        plain = [name for name in map(name_of, self._properties or self._titles) if name is not None]
        if self._groupings and (loose := [name for name in plain if name not in self._groupings]):
            raise ApiError(f"Un-grouped properties found in aggregate query: {', '.join(loose)}")
        self.aggregates = bool(self._groupings) or len(plain) < len(self._properties)
        expressions = [item["expression"] for item in self._properties if name_of(item) is None]
        self.counts_groups = any(expression["operator"] == "count" for expression in expressions)

    def count(self) -> int:
        """COUNT(*) of the statement: matching rows, or groups if it has groupings. Ignores limit and offset."""
        self.cost.scanned += self._scanned
        if self._groupings:
            return len(self._grouped([]))
        return max(0, total(self._matching) + self.miscounted)

    def result(self) -> Result:
        """The rows asked for, in order, cut by offset and limit."""
        if self.aggregates:
            return self._groups()
        names, header, pick = self._projection()
        sorts = [(column_number(self.table, sort.get("property")), sort["order"]) for sort in self._sorts]
        self.cost.scanned += self._scanned
        runs = self._sorted(sorts) if sorts else rotated(self._matching, self._turn)
        pieces: list[Piece] = [*self._page(runs)]
        return Result(self.table.read, names, header, pick, pieces, lambda part: self._rows_before.get(part, 0))

    # Finding rows.

    def _ask(self, wanted: str, columns: set[int], order: str = "", *, split: bool = False) -> list[tuple[Any, ...]]:
        """Select `wanted` from the spans that the payer id and the conditions leave.

        A part whose columns needed are all constant is one span: its rows need not exist to be counted.
        """
        condition, values = where(self._conditions, self.table)
        needed = columns | self._columns(self._conditions)
        varying, fixed = sorted(needed - self.table.constant), sorted(needed & self.table.constant)
        with closing(connect([*varying, *fixed])) as database:
            for number, (part, rows) in enumerate(self._candidate_parts.items()):
                known = self.table.constants(part) if fixed else {}
                texts_known = tuple(known[column] for column in fixed)
                spans: Iterable[Span] = [(0, rows, ())] if not split else ((row, row + 1, ()) for row in range(rows))
                if varying:
                    spans = self.table.read(part).spans(varying, rows, split=split)
                fill(database, ((number, start, stop, *texts, *texts_known) for start, stop, texts in spans))
            return find(database, wanted, condition, values, order)

    @cached_property
    def _candidate_parts(self) -> Mapping[str, int]:
        """Parts that conditions on the payer id leave, which is the index the source has for them."""
        parts, column = self.table.parts(), self.table.payer_column
        tests = [item for item in self._conditions if column is not None and self._columns([item]) == {column}]
        if not tests:
            return parts
        condition, values = where(tests, self.table)
        names = list(parts)
        with closing(connect([column or 0])) as database:
            fill(database, ((number, 0, 0, part) for number, part in enumerate(names)))
            found = find(database, "part", condition, values)
        return {names[number]: parts[names[number]] for (number,) in found}

    def _columns(self, conditions: Sequence[Mapping[str, Any]]) -> set[int]:
        return columns_of(conditions, self.table)

    @cached_property
    def _matching(self) -> list[Run]:
        columns = self._columns(self._conditions)
        if not columns - {self.table.payer_column}:
            return [Run(part, range(rows)) for part, rows in self._candidate_parts.items()]
        names = list(self._candidate_parts)
        found = self._ask("part, start, stop", columns, "ORDER BY rowid")
        return joined([Run(names[part], range(start, stop)) for part, start, stop in found])

    @cached_property
    def _scanned(self) -> int:
        """Rows looked at in vain. An index leads to the rows of a payer; the rest is checked row by row."""
        columns = self._columns(self._conditions)
        alone = [self._columns([item]) for item in self._conditions]
        if columns <= self.table.indexed or any(
            len(c) == 1 and c <= self.table.indexed - {self.table.payer_column} for c in alone
        ):
            return 0
        by_payer = any(c == {self.table.payer_column} for c in alone)
        return sum((self._candidate_parts if by_payer else self.table.parts()).values()) - total(self._matching)

    # Rows in an order, and their columns.

    def _sorted(self, sorts: Sequence[tuple[int, str]]) -> list[Run]:
        self.cost.sorted += total(self._matching)
        key = (self.table.version, json.dumps(self._conditions), tuple(sorts))
        if key in self._orders:
            return self._orders[key]
        # Rows that are equal under the sort come in any order: here by a number that each statement shuffles.
        order = ", ".join(f"c{column} {order}" for column, order in sorts)
        order = f"ORDER BY {order}, (rowid * 7919 + {self._turn} * 104729) % 65521"
        names = list(self._candidate_parts)
        found = self._ask("part, start", {column for column, _ in sorts}, order, split=True)
        runs = [Run(names[part], [row for _, row in rows]) for part, rows in groupby(found, key=itemgetter(0))]
        if any(self.table.columns[column].name == "record_id" for column, _ in sorts):
            self._orders[key] = runs
            while len(self._orders) > _ORDERS_KEPT:
                self._orders.popitem(last=False)
        return runs

    def _page(self, runs: Sequence[Run]) -> Sequence[Run]:
        rows, offset = total(runs), self.query.get("offset") or 0
        if offset < 0 or (self.query.get("limit") or 0) < 0:
            raise ApiError(errors.DATABASE_ERROR)
        self.cost.skipped += min(offset, rows)
        return cut(runs, offset, offset + (self.query.get("limit") or rows))

    @cached_property
    def _rows_before(self) -> dict[str, int]:
        parts = self.table.parts()
        return dict(zip(parts, accumulate(parts.values(), initial=0), strict=False))

    def _projection(self) -> tuple[list[str], list[str], list[int] | None]:
        """JSON keys, header texts and columns. Header texts are titles only for an explicit list (facts 1.7)."""
        if not self._properties:
            names = list(self._titles)
            if self.query.get("rowIds"):
                names.insert(0, "record_number")
                return names, list(names), [ROW_NUMBER, *range(len(self._titles))]
            return names, list(self._titles.values()), None
        picked = [column_number(self.table, name_of(item)) for item in self._properties]
        names = [key_of(item) for item in self._properties]
        return names, self.header(), None if picked == list(range(len(self._titles))) else picked

    def header(self) -> list[str]:
        """The header of the properties, by default of all: titles of columns, aliases of expressions."""
        listed: list[Any] = self._properties or [*self._titles]
        names = [name_of(item) or item["alias"] for item in listed]
        return [self._titles.get(name, name) for name in names]

    # Groups.

    def _grouped(self, outputs: Sequence[tuple[str, int]], order: str = "") -> list[Values]:
        """One row a group: for each output, an aggregate (or "") over a column."""
        by = [column_number(self.table, name) for name in self._groupings]
        columns = set(by) | {column for operator, column in outputs if operator != "count"}
        forms = {
            "": "c{0}",
            "count": "sum(stop - start)",
            "sum": "sum(c{0} * (stop - start))",
            "avg": "1.0 * sum(c{0} * (stop - start)) / sum(stop - start)",
            "max": "max(c{0})",
            "min": "min(c{0})",
        }
        wanted = ", ".join(forms[operator].format(column) for operator, column in outputs) or "1"
        grouping = "GROUP BY " + ", ".join(f"c{column}" for column in by) if by else ""
        return [tuple(map(text_of, row)) for row in self._ask(wanted, columns, f"{grouping} {order}")]

    def _groups(self) -> Result:
        outputs = [self._output(item) for item in self._properties]
        if not self._groupings and any(not operator for operator, _ in outputs):
            raise ApiError(errors.MIXED)
        self.cost.scanned += self._scanned
        names = [key_of(item) for item in self._properties]
        if any(sort.get("property") not in names for sort in self._sorts):
            raise ApiError(errors.COLUMN_NOT_FOUND)
        order = ", ".join(f"{names.index(sort['property']) + 1} {sort['order']}" for sort in self._sorts)
        rows = self._miscount(self._grouped(outputs, f"ORDER BY {order}" if order else ""), outputs)
        self.cost.sorted += len(rows) if order else 0
        groups = Slice((Block(rows or [("",) * len(outputs)]),), (range(len(rows)),), len(rows))
        runs = [Run("", range(len(rows)))]
        pieces = self._page(runs if order else rotated(runs, self._turn))
        return Result(lambda _: groups, names, self.header(), None, [*pieces])

    def _output(self, item: Any) -> tuple[str, int]:
        """Aggregate and column of a property."""
        if name_of(item) is not None:
            return "", column_number(self.table, name_of(item))
        operator, operands = item["expression"]["operator"], item["expression"]["operands"]
        if operator not in AGGREGATES or len(operands) != 1:
            raise ApiError(errors.DATABASE_ERROR)
        return operator, column_number(
            self.table, operands[0]["property"] if isinstance(operands[0], dict) else operands[0]
        )

    def _miscount(self, rows: list[Values], outputs: Sequence[tuple[str, int]]) -> list[Values]:
        counts = [at for at, (operator, _) in enumerate(outputs) if operator == "count"]
        if self.miscounted and counts and rows:
            at, number = counts[0], self._turn % len(rows)
            row = rows[number]
            rows[number] = (*row[:at], str(int(row[at]) + self.miscounted), *row[at + 1 :])
        return rows


def joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbouring ranges of a part made one."""
    longer: list[Run] = []
    for run in runs:
        last = longer[-1] if longer else None
        if last is not None and last.part == run.part and last.rows[-1] + 1 == run.rows[0]:
            longer[-1] = Run(run.part, range(last.rows[0], run.rows[-1] + 1))
        else:
            longer.append(run)
    return longer


def name_of(item: Any) -> str | None:
    """The column of a property; None for an expression."""
    if isinstance(item, str):
        return item
    return None if "expression" in item else item["property"]


def key_of(item: Any) -> str:
    """The JSON key of a property: its alias, else its name as written."""
    return str(item if isinstance(item, str) else item.get("alias", item.get("property")))


def text_of(value: float | str | None) -> str:
    """A value of SQL as JSON shows it; sums are doubles, like 180214208.7 (facts 1.5)."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(round(value, 6))
    return "" if value is None else str(value)

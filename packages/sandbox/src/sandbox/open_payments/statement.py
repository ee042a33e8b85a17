"""One query as the database runs it (facts 1.3).

All columns are text under a collation that ignores case; order is the order of characters, so "100" < "20".
"""

from __future__ import annotations

import heapq
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from sandbox.open_payments import errors
from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.payload import OPERATORS
from sandbox.open_payments.rows import Result, Run, cut, rotated, total
from sandbox.open_payments.slices import Slice, Values
from sandbox.open_payments.tables import Table

_COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
_COMPARE: dict[str, Callable[[str, str], bool]] = dict(zip(OPERATORS, _COMPARISONS, strict=True))


class Statement:
    """A checked query on a table. Errors that the source finds while building the SQL are raised by the constructor."""

    def __init__(self, table: Table, query: dict[str, Any], turn: int) -> None:
        """`turn` numbers the statements: it decides the order of rows that no sort decides."""
        self.table, self.query, self.cost = table, query, Counter(rows_skipped=0, rows_scanned=0, rows_sorted=0)
        self._turn = turn
        self.miscounted = 0  # a fault adds this to the count, or to the count of one group
        self._conditions: list[Mapping[str, str]] = query.get("conditions", [])
        self._properties: list[Any] = query.get("properties") or list(table.titles)
        self._groupings: list[str] = query.get("groupings", [])
        self._sorts: list[Mapping[str, Any]] = query.get("sorts", [])
        if any(sort.get("order") not in {"asc", "desc"} for sort in self._sorts):
            raise ApiError(errors.INVALID_SORT)
        self._plain = [item for item in self._properties if isinstance(item, str)]
        if self._groupings and (loose := [name for name in self._plain if name not in self._groupings]):
            raise ApiError(f"Un-grouped properties found in aggregate query: {', '.join(loose)}")

    def count(self) -> int:
        """COUNT(*) of the statement: matching rows, or groups if it has groupings. Ignores limit and offset."""
        self.cost["rows_scanned"] += self._scanned
        found = len(self._grouped()) if self._groupings else total(self._matching)
        return max(0, found + self.miscounted)

    def result(self) -> Result:
        """The rows of the query, in order, cut by offset and limit."""
        if self._groupings or len(self._plain) < len(self._properties):
            return self._groups()
        picked = [self._column(name) for name in self._properties]
        sorts = [(self._column(sort.get("property")), sort["order"] == "desc") for sort in self._sorts]
        self.cost["rows_scanned"] += self._scanned
        pieces = self._page(self._sorted(sorts) if sorts else rotated(self._matching, self._turn))
        whole = picked == list(range(len(self.table.columns)))
        return Result(self.table.read, self._properties, self.header, None if whole else picked, pieces)

    @property
    def header(self) -> list[str]:
        """The titles of columns, the aliases of expressions (facts 1.7)."""
        return [self.table.titles.get(name, name) for name in map(_name, self._properties)]

    def _column(self, name: Any) -> int:
        """The place of a column; MySQL ignores the case of column names."""
        names = list(self.table.titles)
        if not isinstance(name, str) or name.lower() not in names:
            raise ApiError(errors.COLUMN_NOT_FOUND)
        return names.index(name.lower())

    # Finding rows.

    @cached_property
    def _tests(self) -> list[tuple[int, Callable[[str], bool]]]:
        return [(self._column(one["property"]), _test(one)) for one in self._conditions]

    @cached_property
    def _candidates(self) -> Mapping[str, int]:
        """Parts that conditions on the payer id leave, which is the index the source has for them."""
        tests = [holds for column, holds in self._tests if column == self.table.part_column]
        return {part: rows for part, rows in self.table.parts.items() if all(holds(part) for holds in tests)}

    @cached_property
    def _matching(self) -> list[Run]:
        tests = [test for test in self._tests if test[0] != self.table.part_column]
        runs = []
        for part, rows in self._candidates.items():
            found: Sequence[int] = range(rows)
            for column, holds in tests:
                texts = self.table.texts(part, column)
                good = set(filter(holds, set(texts)))
                found = [row for row in found if texts[row] in good]
            if found:
                together = found[-1] - found[0] + 1 == len(found)
                runs.append(Run(part, range(found[0], found[-1] + 1) if together else found))
        return runs

    @cached_property
    def _scanned(self) -> int:
        """Rows read that do not match. An index leads to the rows of a payer; the rest is checked row by row."""
        columns, indexed = {column for column, _ in self._tests}, self.table.indexed
        if columns <= indexed or columns & (indexed - {self.table.part_column}):
            return 0
        return sum(self._candidates.values()) - total(self._matching)

    def _sorted(self, sorts: Sequence[tuple[int, bool]]) -> list[Run]:
        self.cost["rows_sorted"] += total(self._matching)
        # Rows that are equal under the sort stay in the order that the turn gives them.
        placed = [(run.part, row) for run in rotated(self._matching, self._turn) for row in run.rows]
        last = self.query["offset"] + (self.query["limit"] or len(placed))
        for column, descending in reversed(sorts):
            texts = {run.part: self.table.texts(run.part, column) for run in self._matching}

            def key(at: tuple[str, int], texts: Mapping[str, Sequence[str]] = texts) -> str:
                return texts[at[0]][at[1]].lower()

            if len(sorts) == 1 and 0 <= last < len(placed) // 100:
                # As from an index: the few rows asked for, and no others in order.
                placed = (heapq.nlargest if descending else heapq.nsmallest)(last, placed, key)
            else:
                placed.sort(key=key, reverse=descending)
        return [Run(part, [row for _, row in rows]) for part, rows in groupby(placed, operator.itemgetter(0))]

    def _page(self, runs: Sequence[Run]) -> list[Run]:
        offset, limit = self.query["offset"], self.query["limit"]
        if offset < 0 or (limit or 0) < 0:
            raise ApiError(errors.DATABASE_ERROR)
        self.cost["rows_skipped"] += min(offset, total(runs))
        return cut(runs, offset, offset + (limit or total(runs)))

    # Groups.

    def _groups(self) -> Result:
        names = [_name(item) for item in self._properties]
        if not self._groupings and self._plain:
            raise ApiError(errors.MIXED)
        self.cost["rows_scanned"] += self._scanned
        numbers = self._grouped()
        if self.miscounted and numbers:
            numbers[next(iter(numbers))] += self.miscounted
        place = {name: at for at, name in enumerate(self._groupings)}
        rows = [
            tuple(key[place[name]] if name in place else number for name in names) for key, number in numbers.items()
        ]
        for sort in reversed(self._sorts):
            if sort.get("property") not in names:
                raise ApiError(errors.COLUMN_NOT_FOUND)
            rows.sort(key=operator.itemgetter(names.index(sort["property"])), reverse=sort["order"] == "desc")
        self.cost["rows_sorted"] += len(rows) if self._sorts else 0
        groups = Slice.of_rows([tuple(map(_text, row)) for row in rows])
        runs = [Run("", range(len(rows)))]
        pieces = self._page(runs if self._sorts else rotated(runs, self._turn))
        return Result(lambda _: groups, names, self.header, list(range(len(names))), pieces)

    def _grouped(self) -> dict[Values, float]:
        """Each group's count of rows, or sum of a column."""
        by = [self._column(name) for name in self._groupings]
        numbers: defaultdict[Values, float] = defaultdict(float, {} if by else {(): 0.0})
        summed: list[int] = []
        for item in self._properties:
            match item:
                case {"expression": {"operator": "count", "operands": [column]}}:
                    self._column(column)
                case {"expression": {"operator": "sum", "operands": [column]}}:
                    summed.append(self._column(column))
                case {}:
                    raise errors.not_simulated("expressions other than one count or sum of a column")
        for run in self._matching:
            for texts, rows in self._combinations(run, [*by, *summed]):
                numbers[texts[: len(by)]] += rows * float(texts[-1] or 0) if summed else rows
        return numbers

    def _combinations(self, run: Run, columns: Sequence[int]) -> Iterable[tuple[Values, int]]:
        """The different texts of some columns, and how many rows have them; rows need not exist to be counted."""
        known = self.table.known(run.part)
        if known.keys() >= set(columns):
            return [(tuple(known[column] for column in columns), len(run.rows))]
        texts = [self.table.texts(run.part, column) for column in columns]
        return Counter(zip(*([column[row] for row in run.rows] for column in texts), strict=True)).items()


def _test(condition: Mapping[str, str]) -> Callable[[str], bool]:
    compare, value = _COMPARE[condition.get("operator", "=")], condition["value"].lower()
    return lambda text: compare(text.lower(), value)


def _name(item: Any) -> str:
    """The JSON key of a property: its name as written, an expression's alias."""
    return str(item if isinstance(item, str) else item["alias"])


def _text(value: float | str) -> str:
    """A value as JSON shows it; sums are doubles, like 180214208.7 (facts 1.5)."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value.is_integer() else repr(round(value, 6))

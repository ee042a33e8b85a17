"""One query as the database runs it (facts 1.3)."""

from __future__ import annotations

import heapq
import operator
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any

from sandbox.open_payments import errors
from sandbox.open_payments.conditions import Node, ready
from sandbox.open_payments.errors import ApiError, not_simulated
from sandbox.open_payments.expressions import Column, Counted, Expression, order, shown
from sandbox.open_payments.rows import Computed, Result, Row, Run, cut, rotated, total
from sandbox.open_payments.selection import Selected, bare, header, named, selected
from sandbox.open_payments.slices import Values
from sandbox.open_payments.tables import Scope, Table


class Statement:
    """A checked query on a table. Errors that the source finds while building the SQL are raised by the constructor."""

    def __init__(self, table: Table, query: dict[str, Any], turn: int) -> None:
        """`turn` numbers the statements: it decides the order of rows that no sort decides."""
        self.table, self.query, self.cost = table, query, Counter(rows_skipped=0, rows_scanned=0, rows_sorted=0)
        self._turn, self._scope = turn, Scope(table, query["resources"][0]["alias"])
        self.miscounted = 0  # a fault adds this to the count, or to the count of one group
        self._properties: list[Any] = query.get("properties") or list(table.titles)
        self._groupings: list[Any] = query.get("groupings", [])
        self._sorts: list[Mapping[str, Any]] = query.get("sorts", [])
        if any("order" not in sort for sort in self._sorts):
            raise ApiError(errors.INVALID_SORT)
        if any("property" not in sort for sort in self._sorts):
            raise not_simulated("sorts without a property")
        grouped = named(self._groupings)
        if grouped and (loose := [name for name in named(self._properties) if name not in grouped]):
            raise ApiError(f"Un-grouped properties found in aggregate query: {', '.join(loose)}")

    def count(self) -> int:
        """COUNT(*) of the statement: matching rows, or groups if it has groupings. Ignores limit and offset."""
        self.cost["rows_scanned"] += self._scanned
        found = len(self._groups) if self._groupings else total(self._matching)
        return max(0, found + self.miscounted)

    def result(self) -> Result:
        """The rows of the query, in order, cut by offset and limit."""
        if self._groupings or any(one.source.aggregates for one in self._selected):
            return self._grouped()
        sorts = [(self._named(sort), sort["order"] == "desc") for sort in self._sorts]
        self.cost["rows_scanned"] += self._scanned
        pieces = self._page(self._sorted(sorts) if sorts else rotated(self._matching, self._turn))
        picked = [one.source.place for one in self._selected if isinstance(one.source, Column)]
        if len(picked) < len(self._selected):
            return self._computed([self._values(texts) for run in pieces for texts in self._texts(run)])
        whole = picked == list(range(len(self.table.columns)))
        keys = [one.key for one in self._selected]
        return Result(self.table.read, keys, self.header, None if whole else picked, pieces)

    @property
    def header(self) -> list[str]:
        """The CSV header."""
        return header(self._properties, self.table)

    @cached_property
    def _selected(self) -> list[Selected]:
        return selected(self._properties, self._scope)

    def _named(self, one: str | Mapping[str, str]) -> Expression:
        """What a sort or a grouping names: an alias, or a column."""
        name, alias = (one, None) if isinstance(one, str) else (one["property"], one.get("resource"))
        known = {item.key: item.source for item in self._selected} if alias is None else {}
        return known.get(bare(name)) or Column(self._scope.column(name, alias))

    def _texts(self, run: Run) -> Iterable[Mapping[int, str]]:
        """The columns that the selection needs, row by row."""
        columns = frozenset[int]().union(*(one.source.needed for one in self._selected))
        texts = {column: self.table.texts(run.part, column) for column in columns}
        return ({column: texts[column][row] for column in columns} for row in run.rows)

    def _values(self, texts: Mapping[int, str]) -> Row:
        return tuple(shown(one.source.value([(texts, 1)])) for one in self._selected)

    def _computed(self, made: Sequence[Row]) -> Computed:
        keys, pick = [one.key for one in self._selected], list(range(len(self._selected)))
        return Computed(self.table.read, keys, self.header, pick, [Run("", range(len(made)))], made)

    # Finding rows.

    @cached_property
    def _conditions(self) -> list[Node]:
        return ready(self.query.get("conditions", ()), self._scope)

    @cached_property
    def _candidates(self) -> Mapping[str, int]:
        """Parts that conditions on the payer id leave, which is the index the source has for them."""
        tests = [node.part for node in self._conditions if node.part]
        return {part: rows for part, rows in self.table.parts.items() if all(holds(part) for holds in tests)}

    @cached_property
    def _matching(self) -> list[Run]:
        tests = [node for node in self._conditions if not node.decided]
        runs = []
        for part, rows in self._candidates.items():
            found: Sequence[int] = range(rows)
            for test in tests:
                found = test.narrow(part, found)
            if found:
                together = found[-1] - found[0] + 1 == len(found)
                runs.append(Run(part, range(found[0], found[-1] + 1) if together else found))
        return runs

    @cached_property
    def _scanned(self) -> int:
        """Rows read that do not match. An index leads to the rows of a payer; the rest is checked row by row."""
        if all(node.indexed for node in self._conditions) or any(node.seeks for node in self._conditions):
            return 0
        return sum(self._candidates.values()) - total(self._matching)

    def _sorted(self, sorts: Sequence[tuple[Expression, bool]]) -> list[Run]:
        self.cost["rows_sorted"] += total(self._matching)
        # Rows that are equal under the sort stay in the order that the turn gives them.
        placed = [(run.part, row) for run in rotated(self._matching, self._turn) for row in run.rows]
        last = self.query["offset"] + (self.query.get("limit") or len(placed))
        for source, descending in reversed(sorts):
            key = self._key(source)
            if len(sorts) == 1 and 0 <= last < len(placed) // 100:
                # As from an index: the few rows asked for, and no others in order.
                placed = (heapq.nlargest if descending else heapq.nsmallest)(last, placed, key)
            else:
                placed.sort(key=key, reverse=descending)
        return [Run(part, [row for _, row in rows]) for part, rows in groupby(placed, operator.itemgetter(0))]

    def _key(self, source: Expression) -> Callable[[tuple[str, int]], Any]:
        """What rows are sorted by: the text of a column without regard to case, or the value of an expression."""
        columns = [{run.part: self.table.texts(run.part, column) for run in self._matching} for column in source.needed]
        if isinstance(source, Column):
            (texts,) = columns
            return lambda at: texts[at[0]][at[1]].lower()

        def key(at: tuple[str, int]) -> Any:
            part, row = at
            texts = {column: one[part][row] for column, one in zip(source.needed, columns, strict=True)}
            return order(source.value([(texts, 1)]))

        return key

    def _page(self, runs: Sequence[Run]) -> list[Run]:
        offset, limit = self.query["offset"], self.query.get("limit")
        if offset < 0 or (limit or 0) < 0:
            raise ApiError(errors.DATABASE_ERROR)
        self.cost["rows_skipped"] += min(offset, total(runs))
        return cut(runs, offset, offset + (limit or total(runs)))

    # Groups.

    def _grouped(self) -> Result:
        by = [self._named(one) for one in self._groupings]
        free = frozenset[int]().union(*(one.plain for one in by))
        sorts = [(self._named(sort), sort["order"] == "desc") for sort in self._sorts]
        if any(one.aggregates for one in by):
            raise ApiError(errors.DATABASE_ERROR)
        for source in (*(one.source for one in self._selected), *(source for source, _ in sorts)):
            if not source.plain <= free:
                raise ApiError(errors.DATABASE_ERROR if by else errors.MIXED)
        self.cost["rows_scanned"] += self._scanned
        groups = list(self._groups.values())
        for source, descending in reversed(sorts):
            keys = [order(source.value(rows)) for rows in groups]
            placed = sorted(range(len(groups)), key=keys.__getitem__, reverse=descending)
            groups = [groups[at] for at in placed]
        self.cost["rows_sorted"] += len(groups) if sorts else 0
        made = [tuple(shown(one.source.value(rows)) for one in self._selected) for rows in groups]
        computed = self._computed(made)
        computed.pieces = self._page(computed.runs if sorts else rotated(computed.runs, self._turn))
        return computed

    @cached_property
    def _groups(self) -> dict[Values, Counted]:
        """The rows of each group in short: the texts of the columns that matter, and how many rows have them."""
        by = [self._named(one) for one in self._groupings]
        sources = [*by, *(one.source for one in self._selected), *map(self._named, self._sorts)]
        columns = sorted(frozenset[int]().union(*(one.needed for one in sources)))
        found: defaultdict[Values, int] = defaultdict(int)
        for run in self._matching:
            for texts, rows in self._combinations(run, columns):
                found[texts] += rows
        if self.miscounted and found:
            found[next(iter(found))] += self.miscounted
        groups: dict[Any, Any] = {} if by else {(): []}
        for texts, rows in found.items():
            row = dict(zip(columns, texts, strict=True)), rows
            groups.setdefault(tuple(one.value([row]) for one in by), []).append(row)
        return groups

    def _combinations(self, run: Run, columns: Sequence[int]) -> Iterable[tuple[Values, int]]:
        """The different texts of some columns, and how many rows have them; rows need not exist to be counted."""
        known = self.table.known(run.part)
        if known.keys() >= set(columns):
            return [(tuple(known[column] for column in columns), len(run.rows))]
        texts = [self.table.texts(run.part, column) for column in columns]
        return Counter(zip(*([column[row] for row in run.rows] for column in texts), strict=True)).items()

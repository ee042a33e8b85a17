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
from sandbox.open_payments.expressions import Column, Expression, Value, order, shown
from sandbox.open_payments.rows import Computed, Result, Row, Run, cut, rotated, total
from sandbox.open_payments.selection import Selected, bare, header, named, selected, whole
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
            return self._computed([row for run in pieces for row in self._values(run)])
        keys, everything = [one.key for one in self._selected], list(range(len(self.table.columns)))
        return Result(self.table.read, keys, self.header, None if picked == everything else picked, pieces)

    @property
    def header(self) -> list[str]:
        """The CSV header."""
        return header(self._properties, self.table)

    @cached_property
    def _selected(self) -> Sequence[Selected]:
        given = self.query.get("properties")
        return selected(given, self._scope) if given else whole(self.table.columns)

    def _named(self, one: str | Mapping[str, str]) -> Expression:
        """What a sort or a grouping names: an alias, or a column."""
        name, alias = (one, None) if isinstance(one, str) else (one["property"], one.get("resource"))
        known = {item.key: item.source for item in self._selected} if alias is None else {}
        return known.get(bare(name)) or Column(self._scope.column(name, alias))

    def _values(self, run: Run) -> Iterable[Row]:
        """What is selected of each row, worked out."""
        columns = _needed(one.source for one in self._selected)
        sources = [one.source.within(columns) for one in self._selected]
        texts = [self.table.texts(run.part, column) for column in columns]
        for row in run.rows:
            counted = [(tuple([column[row] for column in texts]), 1)]
            yield tuple([shown(source.value(counted)) for source in sources])

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
        columns = _needed([source])
        texts = {run.part: [self.table.texts(run.part, one) for one in columns] for run in self._matching}
        if isinstance(source, Column):
            only = {part: one for part, (one,) in texts.items()}
            return lambda at: only[at[0]][at[1]].lower()
        within = source.within(columns)
        return lambda at: order(within.value([(tuple([one[at[1]] for one in texts[at[0]]]), 1)]))

    def _page(self, runs: Sequence[Run]) -> list[Run]:
        offset, limit = self.query["offset"], self.query.get("limit")
        if offset < 0 or (limit or 0) < 0:
            raise ApiError(errors.DATABASE_ERROR)
        self.cost["rows_skipped"] += min(offset, total(runs))
        return cut(runs, offset, offset + (limit or total(runs)))

    # Groups.

    def _grouped(self) -> Result:
        by, sorts = self._by, [self._named(one) for one in self._sorts]
        if any(one.aggregates for one in by):
            raise ApiError(errors.DATABASE_ERROR)
        if not _plain([*(one.source for one in self._selected), *sorts]) <= _plain(by):
            raise ApiError(errors.DATABASE_ERROR if by else errors.MIXED)
        self.cost["rows_scanned"] += self._scanned
        groups = list(self._groups.values())
        for source, sort in reversed(list(zip(sorts, self._sorts, strict=True))):
            within = source.within(self._columns)
            keys = [order(within.value(rows)) for rows in groups]
            placed = sorted(range(len(groups)), key=keys.__getitem__, reverse=sort["order"] == "desc")
            groups = [groups[at] for at in placed]
        self.cost["rows_sorted"] += len(groups) if sorts else 0
        sources = [one.source.within(self._columns) for one in self._selected]
        computed = self._computed([tuple([shown(source.value(rows)) for source in sources]) for rows in groups])
        computed.pieces = self._page(computed.runs if sorts else rotated(computed.runs, self._turn))
        return computed

    @cached_property
    def _by(self) -> Sequence[Expression]:
        """What rows are grouped by; a resource beside the name means nothing."""
        return [self._named(name) for name in named(self._groupings)]

    @cached_property
    def _columns(self) -> Sequence[int]:
        """The columns that matter to groups."""
        return _needed([*self._by, *(one.source for one in self._selected), *map(self._named, self._sorts)])

    @cached_property
    def _groups(self) -> dict[tuple[Value, ...], list[tuple[Values, int]]]:
        """The rows of each group in short: the texts of the columns that matter, and how many rows have them."""
        by = [one.within(self._columns) for one in self._by]
        found: defaultdict[Values, int] = defaultdict(int)
        for run in self._matching:
            for texts, rows in self._combinations(run, self._columns):
                found[texts] += rows
        if self.miscounted and found:
            found[next(iter(found))] += self.miscounted
        groups: dict[tuple[Value, ...], list[tuple[Values, int]]] = {} if by else {(): []}
        for row in found.items():
            groups.setdefault(tuple([one.value([row]) for one in by]), []).append(row)
        return groups

    def _combinations(self, run: Run, columns: Sequence[int]) -> Iterable[tuple[Values, int]]:
        """The different texts of some columns, and how many rows have them; rows need not exist to be counted."""
        known = self.table.known(run.part)
        if known.keys() >= set(columns):
            return [(tuple(known[column] for column in columns), len(run.rows))]
        texts = [self.table.texts(run.part, column) for column in columns]
        return Counter(zip(*([column[row] for row in run.rows] for column in texts), strict=True)).items()


def _needed(sources: Iterable[Expression]) -> list[int]:
    """The columns whose texts some expressions need."""
    return sorted(frozenset[int]().union(*(one.needed for one in sources)))


def _plain(sources: Iterable[Expression]) -> frozenset[int]:
    """Their columns outside aggregates."""
    return frozenset[int]().union(*(one.plain for one in sources))

"""What a distribution id opens: a table, cut into parts that can be read one by one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from sandbox.blocks import Block, Values
from sandbox.columns import Column, columns, position
from sandbox.companies import payer
from sandbox.releases import Release
from sandbox.slices import Slice

PAYER_ID = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
_PAYER_BLOCK = position("general", "Submitting_Applicable_Manufacturer_or_Applicable_GPO_Name")
_LAST_BLOCK = position("general", "Program_Year")
# A payer of its own, in no company's list and in no count, for a row that does not belong.
STRANGER = "100009999999"


class Table(ABC):
    """Rows in parts; `parts` counts the visible rows of each without making them."""

    distribution_id: str
    columns: tuple[Column, ...]
    version: object  # changes whenever the rows do
    payer_column: int | None = None  # the column whose value names the part
    constant: frozenset[int] = frozenset()  # columns with one text in all rows of a part
    indexed: frozenset[int] = frozenset()  # columns a filter finds rows by, without examining others
    fulltext: frozenset[int] = frozenset()

    @abstractmethod
    def parts(self) -> Mapping[str, int]:
        """Visible rows of each part, in the order of the table."""

    @abstractmethod
    def read(self, part: str) -> Slice:
        """The part; it may hold more rows than are visible."""

    def constants(self, part: str) -> Mapping[int, str]:  # noqa: ARG002
        """The texts of the constant columns, known without making a row."""
        return {}


class YearTable(Table):
    """General Payments of one year in one release, a part for each payer."""

    columns = columns("general")
    payer_column = position("general", PAYER_ID)
    constant = frozenset((*range(_PAYER_BLOCK, _PAYER_BLOCK + 5), _LAST_BLOCK, _LAST_BLOCK + 1))
    # The live table has an index on each of these (facts 2.6); the payment date has none.
    indexed = frozenset(position("general", title) for title in (PAYER_ID, "Record_ID", "Covered_Recipient_NPI"))

    def __init__(self, release: Release, read: Callable[[Release, str], Slice]) -> None:
        self._release, self._read = release, read
        self.distribution_id = release.distribution.id
        self.version = (release.distribution.id, release.imported_share)

    def parts(self) -> Mapping[str, int]:
        return self._release.visible

    def constants(self, part: str) -> Mapping[int, str]:
        end = (str(self._release.year), f"{self._release.modified:%m/%d/%Y}")
        return dict(enumerate(payer(part).columns, _PAYER_BLOCK)) | dict(enumerate(end, _LAST_BLOCK))

    def read(self, part: str) -> Slice:
        return self._read(self._release, part)


class SmallTable(Table):
    """A table of a few thousand rows, in one part."""

    def __init__(self, table: str, distribution_id: str, rows: Callable[[], Sequence[Values]]) -> None:
        self.columns = columns(table)
        self.distribution_id = distribution_id
        # The site's name search asks the company list with `match` (facts 2.3).
        self.fulltext = frozenset((1, *range(4, 9))) if table == "companies" else frozenset()
        self.version = distribution_id
        self._make_rows = rows

    @cached_property
    def _slice(self) -> Slice:
        rows = self._make_rows()
        return Slice((Block(rows or [("",) * len(self.columns)]),), (range(len(rows)),), len(rows))

    def parts(self) -> Mapping[str, int]:
        return {"": self._slice.rows}

    def read(self, part: str) -> Slice:  # noqa: ARG002
        return self._slice

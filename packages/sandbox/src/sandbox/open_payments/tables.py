"""What a query reads: rows in parts, one part for each payer, made only if they must be read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sandbox.open_payments import errors
from sandbox.open_payments.columns import Column, columns, position
from sandbox.open_payments.companies import payer
from sandbox.open_payments.errors import ApiError
from sandbox.open_payments.releases import Release
from sandbox.open_payments.slices import Slice

PAYER_ID = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
_PAYER_NAME = "Submitting_Applicable_Manufacturer_or_Applicable_GPO_Name"  # the first of a payer's five columns
# The live table has an index on each of these that it has (facts 2.6); the payment date has none.
_INDEXED = {PAYER_ID, "Record_ID", "Covered_Recipient_NPI", "Physician_NPI"}


@dataclass
class Table:
    """`parts` counts the visible rows of each part, in the order of the table; a part read may hold more."""

    distribution_id: str
    columns: Sequence[Column]
    parts: Mapping[str, int]
    read: Callable[[str], Slice]
    part_column: int | None = None  # the column whose text is the name of the part
    indexed: frozenset[int] = frozenset()  # columns a filter finds rows by, without examining others
    fulltext: frozenset[int] = frozenset()  # columns with a fulltext index, each of its own
    known: Callable[[str], Mapping[int, str]] = lambda _: {}  # columns with one text in all rows of a part

    @cached_property
    def titles(self) -> dict[str, str]:
        """Header titles by machine name."""
        return {column.name: column.title for column in self.columns}

    @cached_property
    def places(self) -> dict[str, int]:
        """Places of the columns by machine name."""
        return {column.name: place for place, column in enumerate(self.columns)}

    def texts(self, part: str, column: int) -> Sequence[str]:
        """One column of a part's visible rows."""
        known = self.known(part)
        return [known[column]] * self.parts[part] if column in known else self.read(part).texts(column)


@dataclass(frozen=True)
class Scope:
    """A table under the alias that a query gives it."""

    table: Table
    alias: str

    def column(self, name: str, alias: str | None = None) -> int:
        """The place of a column; MySQL ignores the case of column names. ApiError if there is none."""
        place = self.table.places.get(name.lower())
        if place is None or alias not in (None, self.alias):
            raise ApiError(errors.COLUMN_NOT_FOUND)
        return place


def release_table(
    release: Release, read: Callable[[Release, str], Slice], rows: Mapping[str, int] | None = None
) -> Table:
    """One dataset of one year in one release; without `rows` with those that the database has imported."""
    name = release.dataset.name
    alike = {position(name, "Program_Year"): str(release.year)}
    alike |= {position(name, "Payment_Publication_Date"): f"{release.modified:%m/%d/%Y}"}
    first = position(name, _PAYER_NAME)
    return Table(
        release.distribution_id,
        columns(name),
        release.visible if rows is None else rows,
        lambda part: read(release, part),
        position(name, PAYER_ID),
        frozenset(at for at, column in enumerate(columns(name)) if column.title in _INDEXED),
        known=lambda part: alike | dict(enumerate(payer(part), first)),
    )


def small_table(name: str, distribution_id: str, whole: Slice, fulltext: frozenset[int] = frozenset()) -> Table:
    """A table of a few thousand rows, in one part."""
    return Table(distribution_id, columns(name), {"": whole.rows}, lambda _: whole, fulltext=fulltext)

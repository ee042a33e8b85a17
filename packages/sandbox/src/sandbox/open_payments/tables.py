"""What a query reads: rows in parts, one part for each payer, made only if they must be read one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from sandbox.open_payments.columns import Column, columns, position
from sandbox.open_payments.companies import payer
from sandbox.open_payments.releases import Release
from sandbox.open_payments.slices import Slice, Values

PAYER_ID = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
_PAYER_COLUMNS = position("general", "Submitting_Applicable_Manufacturer_or_Applicable_GPO_Name")
_LAST_COLUMNS = position("general", "Program_Year")
# The live table has an index on each of these (facts 2.6); the payment date has none.
_INDEXED = frozenset(position("general", title) for title in (PAYER_ID, "Record_ID", "Covered_Recipient_NPI"))


@dataclass
class Table:
    """`parts` counts the visible rows of each part, in the order of the table; a part read may hold more."""

    distribution_id: str
    columns: Sequence[Column]
    parts: Mapping[str, int]
    read: Callable[[str], Slice]
    part_column: int | None = None  # the column whose text is the name of the part
    indexed: frozenset[int] = frozenset()  # columns a filter finds rows by, without examining others
    known: Callable[[str], Mapping[int, str]] = lambda _: {}  # columns with one text in all rows of a part

    @cached_property
    def titles(self) -> dict[str, str]:
        """Header titles by machine name."""
        return {column.name: column.title for column in self.columns}

    def texts(self, part: str, column: int) -> Sequence[str]:
        """One column of a part's visible rows."""
        known = self.known(part)
        return [known[column]] * self.parts[part] if column in known else self.read(part).texts(column)


def year_table(release: Release, read: Callable[[Release, str], Slice]) -> Table:
    """General Payments of one year in one release."""
    end = (str(release.year), f"{release.modified:%m/%d/%Y}")

    def known(part: str) -> Mapping[int, str]:
        return dict(enumerate(payer(part), _PAYER_COLUMNS)) | dict(enumerate(end, _LAST_COLUMNS))

    return Table(
        release.distribution_id,
        columns("general"),
        release.visible,
        lambda part: read(release, part),
        position("general", PAYER_ID),
        _INDEXED,
        known,
    )


def small_table(name: str, distribution_id: str, rows: Sequence[Values]) -> Table:
    """A table of a few thousand rows, in one part."""
    whole = Slice.of_rows(rows)
    return Table(distribution_id, columns(name), {"": len(rows)}, lambda _: whole)

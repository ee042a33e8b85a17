"""The columns of a table as the source describes them, and how they differ from those known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from etl_core.csv_stream.layout import Layout
from etl_core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data_pipeline.open_payments.datasets import Dataset
    from data_pipeline.open_payments.windows import Window


@dataclass(frozen=True)
class Columns:
    """The columns of a table of ``dataset``: ``titles`` as in the published file, ``names`` as queries want them."""

    dataset: Dataset
    titles: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def missing(self) -> list[str]:
        """Titles of columns that a proof needs and the table lacks."""
        return sorted(self.dataset.required_columns.difference(self.titles))

    @property
    def payer(self) -> str:
        """The machine name of the payer's id."""
        return self.name_of(self.dataset.payer_column)

    @property
    def record_id(self) -> str:
        """The machine name of the record id."""
        return self.name_of(self.dataset.record_id_column)

    @property
    def date(self) -> str:
        """The machine name of the payment date."""
        return self.name_of(self._date_title)

    def name_of(self, title: str) -> str:
        """The machine name of a column; raises ``DataError`` if the table has none of that title."""
        if title not in self.titles:
            raise DataError(f"the table has no column {title}.")
        return self.names[self.titles.index(title)]

    def layout(self, year: int, company_id: str, window: Window) -> Layout:
        """What every record of one window of a payer in a program year must look like."""
        dataset = self.dataset
        return Layout(
            header=self.titles,
            other_header=self.names,
            key=dataset.record_id_column,
            equal={dataset.payer_column: company_id, dataset.program_year_column: str(year)},
            between=None if window.is_whole_slice else (self._date_title, window.low, window.high),
            volatile=dataset.volatile_columns.intersection(self.titles),
            mark=dataset.change_type_column if dataset.change_type_column in self.titles else "",
        )

    @property
    def _date_title(self) -> str:
        if self.dataset.date_column is None:
            raise DataError(f"{self.dataset.name} has no payment date, so nothing of it can be cut into windows.")
        return self.dataset.date_column


@dataclass(frozen=True)
class Drift:
    """How a table's columns differ from those known to us; all empty means not at all."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    reordered: bool = False

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.reordered)


def drift_from(known: Sequence[str], found: Sequence[str]) -> Drift:
    """Compare the columns of a release with the known ones."""
    added = tuple(title for title in found if title not in known)
    removed = tuple(title for title in known if title not in found)
    in_common = [title for title in found if title in known]
    return Drift(added, removed, reordered=in_common != [title for title in known if title in found])

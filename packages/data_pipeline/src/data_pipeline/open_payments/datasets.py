"""The datasets of the Open Payments family. Everything in which they differ is a field of one value each. Pure.

Sizes, counts and titles are CMS's own as of January and June 2026. How to add one: docs/adding_a_dataset.md.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from typing import TYPE_CHECKING

from etl_core.errors import DataError

if TYPE_CHECKING:
    from data_pipeline.open_payments.windows import Window

CHANGE_TYPE = "Change_Type"
PUBLICATION_DATE = "Payment_Publication_Date"


@dataclass(frozen=True)
class Dataset:
    """One dataset; columns are given by their titles in the published file."""

    name: str
    """As keys, documents and ``--dataset`` have it."""
    title: str
    """Its title in the catalogue, which stands behind the year: ``2024 General Payment Data``."""
    bytes_per_row: int
    """Average of a record in its CSV file."""
    date_column: str | None
    """Windows are ranges of it; a slice of a dataset without one is always a single window."""
    reference_column: str
    """Its rows in the summary by reporting entity, by machine name: the reference count."""
    reference_tolerance: float
    """Share of the reference count that a table may lack: it may be of the publication before or after."""
    script_type: str | None = None
    """What the site's script calls it; None if the script names no years of it."""
    company_field: str | None = None
    """Its rows in a company's yearly summary; None if companies cannot be asked one by one."""
    payer_column: str = "Applicable_Manufacturer_or_Applicable_GPO_Making_Payment_ID"
    record_id_column: str = "Record_ID"
    amount_column: str = "Total_Amount_of_Payment_USDollars"
    """What a record adds to the totals of its payer and its recipient."""
    program_year_column: str = "Program_Year"
    change_type_column: str = CHANGE_TYPE
    publication_date_column: str = PUBLICATION_DATE
    volatile_columns: frozenset[str] = frozenset({CHANGE_TYPE, PUBLICATION_DATE})
    """They change on every row at every publication, so they say nothing about a record."""

    @property
    def table(self) -> str:
        """Its name as a table."""
        return self.name.replace("-", "_")

    @property
    def contract(self) -> str:
        """The text of its contract: the columns of the files as published since mid 2021, and the rules of each."""
        return resources.files(__package__).joinpath("contract", f"{self.name}.toml").read_text(encoding="utf-8")

    @cached_property
    def header(self) -> tuple[str, ...]:
        """The columns of the files as published since mid 2021, for program years 2016 on."""
        return tuple(tomllib.loads(self.contract)["columns"])

    @cached_property
    def required_columns(self) -> frozenset[str]:
        """The columns without which no slice can be proved."""
        found = (self.payer_column, self.record_id_column, self.program_year_column, self.date_column)
        return frozenset(column for column in found if column is not None)

    def year_in(self, title: str) -> int | None:
        """The program year that a title of the catalogue is of; None if it is not of this dataset."""
        # The site has been seen with an en dash between year and name.
        match = re.fullmatch(rf"(\d{{4}})(?: [-\u2013\u2014])? {re.escape(self.title)}", title.strip())
        return int(match[1]) if match else None

    def cut(self, rows: int) -> tuple[Window, ...]:
        """The windows of a slice of so many rows."""
        from data_pipeline.open_payments.windows import cut, tiles  # pydantic, which a list of jobs does without

        return tiles(1) if self.date_column is None else cut(rows)

    def is_incomplete(self, table_rows: int, reference_rows: int | None) -> bool:
        """Whether the table lacks more than the tolerance of the reference count; False without one."""
        return reference_rows is not None and table_rows < reference_rows * (1 - self.reference_tolerance)


GENERAL = Dataset(
    name="general-payments",
    title="General Payment Data",
    bytes_per_row=572,  # program years 2021 to 2025: 558 to 579
    date_column="Date_of_Payment",
    reference_column="trans_general",
    reference_tolerance=0.02,  # republications moved program year 2024 by -0.08 % and +0.7 %
    script_type="generalPayments",
    company_field="generalTransactions",
)
RESEARCH = Dataset(
    name="research-payments",
    title="Research Payment Data",
    bytes_per_row=958,  # program year 2023: 1,034,644,732 bytes, 1,080,157 rows
    date_column="Date_of_Payment",
    reference_column="trans_research",
    reference_tolerance=0.1,  # a republication moved program year 2024 by +8 %: 756,906 to 817,215
)
OWNERSHIP = Dataset(
    name="ownership-payments",
    title="Ownership Payment Data",
    bytes_per_row=380,  # no size is published: estimated by the fields of General that it has, too
    date_column=None,
    amount_column="Value_of_Interest",
    reference_column="trans_invested",
    reference_tolerance=0.1,  # some 4,500 rows a year: 2 % would be 90 of them
)
DATASETS = {one.name: one for one in (GENERAL, RESEARCH, OWNERSHIP)}


def dataset_named(name: str) -> Dataset:
    """The dataset of that name; raises ``DataError`` if there is none, as in a lake that a later version wrote."""
    if name not in DATASETS:
        raise DataError(f"{name!r} is no dataset known here; known are {', '.join(DATASETS)}.")
    return DATASETS[name]

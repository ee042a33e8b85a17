"""The summaries that CMS publishes of its payments: files of their own, a row per entity and year. Pure.

Titles and columns are those of the publication of June 2026. Other columns of a summary are stored, too, and not read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Summary:
    """One summary; columns are given by their titles in the published file."""

    name: str
    """As keys and documents have it."""
    title: str
    """Its title in the catalogue."""
    columns: tuple[str, ...]
    """Those that figures are compared by: the entity, its name, and what it paid or got."""
    year_column: str = "Program_Year"

    @property
    def table(self) -> str:
        """Its name as a table."""
        return f"cms_{self.name.replace('-', '_')}"

    @property
    def names(self) -> tuple[str, ...]:
        """The machine names of its columns."""
        return tuple(one.lower() for one in self.columns)


REPORTING_ENTITIES = Summary(
    name="reporting-entities",
    title="Payments grouped by reporting entities",
    columns=(
        "AMGPO_Making_Payment_ID", "AMGPO_Making_Payment_Name",
        "Total_Amount_General", "Total_Amount_Research", "Total_Amount_Interest",
        "Trans_General", "Trans_Research", "Trans_Invested",
    ),
)  # fmt: skip
TEACHING_HOSPITALS = Summary(
    name="teaching-hospitals",
    title="Payments grouped by Teaching Hospital",
    columns=(
        "Teaching_Hospital_CCN", "Teaching_Hospital_NAME",
        "General_Total_Payment", "Research_Total_Payment",
        "General_Total_Transactions", "Research_Total_Transactions",
    ),
)  # fmt: skip
SUMMARIES = (REPORTING_ENTITIES, TEACHING_HOSPITALS)

"""What a page shows, asked of the marts: a few numbers and short lists, whatever the size of the year."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import Limits, open_database

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from data_pipeline.lakehouse.documents import MartsInput

TOP = 10
# A list of natures has some twenty; more would be a fault of the source, and must not make the page long.
MOST_ROWS = 40


@dataclass(frozen=True)
class Bar:
    """One row of a list: a label from the source or the marts, and what belongs to it."""

    label: str
    amount_usd: Decimal
    payments: int
    more: str = ""


@dataclass(frozen=True)
class Chart:
    """A list with the mart it comes from."""

    title: str
    table: str
    bars: tuple[Bar, ...]

    @property
    def largest(self) -> Decimal | int:
        """The amount that fills a bar; 1 if nothing is above zero."""
        return max((one.amount_usd for one in self.bars if one.amount_usd > 0), default=1)


@dataclass(frozen=True)
class Fetching:
    """What a run did at the source. ``pace`` has the requests and retries of equal intervals of the run."""

    run_id: str
    status: str
    closed: bool
    note: str
    planned: int
    proved: int
    failed: int
    source_rows: int
    proved_rows: int
    requests: int
    retries: int
    bytes: int
    started_at: datetime
    finished_at: datetime
    pace: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Checks:
    """What the contract found in the records: each entry is a rule or a column, and its number of records."""

    quarantined: tuple[tuple[str, int], ...] = ()
    flagged: tuple[tuple[str, int], ...] = ()
    new_values: tuple[tuple[str, int], ...] = ()
    parts_with_drift: int = 0

    @property
    def rows(self) -> list[tuple[str, str, int]]:
        """All of them with what became of the records, the most frequent first."""
        kinds = {"taken out": self.quarantined, "kept and flagged": self.flagged, "kept, a new value": self.new_values}
        found = [(name, kind, count) for kind, entries in kinds.items() for name, count in entries]
        return sorted(found, key=lambda one: (-one[2], one))[:MOST_ROWS]


@dataclass(frozen=True)
class Figures:
    """Of a dataset's year."""

    source: MartsInput
    companies: int
    recipients: int
    charts: tuple[Chart, ...]
    years: tuple[tuple[int, str, Decimal, int, float | None], ...]
    """Program year, release, amount, payments, change of the amount against the year before."""


@dataclass(frozen=True)
class Asked:
    """A chart to be made of a mart: its label, what stands beside it, and which rows in which order."""

    title: str
    table: str
    label: str
    order: str
    more: str = "''"
    where: str = "true"

    @property
    def question(self) -> str:
        """The rows of one dataset and year."""
        return (
            f"SELECT {self.label}, amount_usd, payments, {self.more} FROM {self.table}"
            f" WHERE dataset = ? AND year = ? AND {self.where} ORDER BY {self.order} LIMIT {MOST_ROWS}"
        )


CHARTS = (
    Asked(
        f"The {TOP} largest companies", "mart_top_companies", "coalesce(company_name, company_id)", "rank",
        more="company_id", where=f"rank <= {TOP}",
    ),
    Asked("By month", "mart_months", "coalesce(strftime(month, '%Y-%m'), 'no month')", "month NULLS LAST"),
    Asked("By nature", "mart_natures", "nature", "amount_usd DESC, nature"),
    Asked("By size of the payment", "mart_size_bands", "size_band[3:]", "size_band"),
    Asked(
        "Royalties, acquisitions, ownership", "mart_special_payments", "special_kind", "amount_usd DESC, special_kind"
    ),
    Asked("Marked records", "mart_markers", "marker", "marker"),
)  # fmt: skip


def read_figures(path: Path, source: MartsInput, limits: Limits, scratch: Path) -> Figures:
    """The figures of a dataset's year from the file of the marts."""
    with open_database(Limits(limits.memory_mb, 1), scratch) as database:
        database.execute(f"ATTACH {sql.literal(str(path))} AS marts (READ_ONLY)")
        database.execute("USE marts")

        def ask(question: str) -> list[tuple[Any, ...]]:
            return database.execute(question, [source.dataset, source.year]).fetchall()

        of_year = "WHERE dataset = ? AND year = ?"
        ((companies,),) = ask(f"SELECT count(*) FROM mart_top_companies {of_year}")
        ((recipients,),) = ask(f"SELECT count(*) FROM mart_top_recipients {of_year}")
        years = ask(
            "SELECT year, release, amount_usd, payments, amount_change FROM mart_year_on_year"
            " WHERE dataset = ? AND population = 'all' AND year <= ? ORDER BY year"
        )
        charts = [Chart(one.title, one.table, tuple(Bar(*row) for row in ask(one.question))) for one in CHARTS]
        return Figures(source, companies, recipients, tuple(charts), tuple(years))

"""What a page shows, asked of the marts: a few numbers and short lists, whatever the size of the year."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from data_pipeline.lakehouse import sql
from data_pipeline.lakehouse.database import Limits, open_database

if TYPE_CHECKING:
    from pathlib import Path

    from data_pipeline.lakehouse.documents import MartsInput

TOP = 10
TOP_COMPANIES = "mart_top_companies"
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
    column: str
    table: str
    order: str
    bars: tuple[Bar, ...]

    def length(self, bar: Bar) -> int:
        """Of a bar, where the largest one has 1,000."""
        largest = max((one.amount_usd for one in self.bars), default=Decimal(0))
        return int(1000 * bar.amount_usd / largest) if bar.amount_usd > 0 else 0


@dataclass(frozen=True)
class YearOnYear:
    """A program year beside others; a change is a share of the year before, None if there is none.

    ``without_newcomers`` is the change without the recipients that are in the data since 2021.
    """

    year: int
    release: str
    amount_usd: Decimal
    payments: int
    change: float | None
    without_newcomers: float | None


@dataclass(frozen=True)
class Difference:
    """A company or hospital of which CMS's own summary says something else; None where a side does not have it."""

    kind: str
    label: str
    entity_id: str
    amount_usd: Decimal | None
    cms_amount_usd: Decimal | None
    payments_difference: int
    amount_difference_usd: Decimal


@dataclass(frozen=True)
class Figures:
    """Of a dataset's year."""

    source: MartsInput
    companies: int
    recipients: int
    charts: tuple[Chart, ...]
    years: tuple[YearOnYear, ...]
    differences: tuple[Difference, ...]
    """From CMS's own summaries, the largest first."""

    def share(self, bar: Bar) -> float:
        """Of a bar in the whole year."""
        return float(bar.amount_usd / self.source.amount_usd) if self.source.amount_usd else 0.0

    @property
    def largest_companies(self) -> tuple[Bar, ...]:
        """At most ten, the largest first; a bar's ``more`` is the company's id."""
        return next(one.bars for one in self.charts if one.table == TOP_COMPANIES)


@dataclass(frozen=True)
class Asked:
    """A chart to be made of a mart: its label, what stands beside it, and which rows in which order."""

    title: str
    column: str
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


# The first two have long labels: they get the whole width of a page.
CHARTS = (
    Asked(
        f"The {TOP} largest companies", "company", TOP_COMPANIES, "coalesce(company_name, company_id)", "rank",
        more="company_id", where=f"rank <= {TOP}",
    ),
    Asked("By nature", "nature", "mart_natures", "nature", "amount_usd DESC, nature"),
    Asked("By month", "month", "mart_months", "coalesce(strftime(month, '%Y-%m'), 'no month')", "month NULLS LAST"),
    Asked("By size of the payment", "size", "mart_size_bands", "size_band[3:]", "size_band"),
    Asked(
        "Royalties, acquisitions, ownership", "kind", "mart_special_payments", "special_kind",
        "amount_usd DESC, special_kind",
    ),
    Asked("Marked records", "marker", "mart_markers", "marker", "marker"),
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
            "SELECT year, everybody.release, everybody.amount_usd, everybody.payments, everybody.amount_change,"
            " covered.amount_change FROM mart_year_on_year AS everybody LEFT JOIN"
            " (FROM mart_year_on_year WHERE population <> 'all') AS covered USING (dataset, year)"
            " WHERE dataset = ? AND everybody.population = 'all' AND year <= ? ORDER BY year"
        )
        charts = [
            Chart(one.title, one.column, one.table, one.order, tuple(Bar(*row) for row in ask(one.question)))
            for one in CHARTS
        ]
        differences = ask(
            "SELECT entity_kind, coalesce(entity_name, entity_id), entity_id, amount_usd, cms_amount_usd,"
            " payments_difference, amount_difference_usd"
            f" FROM mart_reconciliation {of_year} AND is_different ORDER BY abs(amount_difference_usd) DESC,"
            f" abs(payments_difference) DESC, entity_kind, entity_id LIMIT {TOP}"
        )
        return Figures(
            source, companies, recipients, tuple(charts), tuple(YearOnYear(*row) for row in years),
            tuple(Difference(*row) for row in differences),
        )  # fmt: skip

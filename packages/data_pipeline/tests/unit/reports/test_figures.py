import tempfile
import unittest
from decimal import Decimal
from pathlib import Path

import duckdb

from data_pipeline.lakehouse.database import Limits
from data_pipeline.reports.figures import CHARTS, MOST_ROWS, TOP, Bar, Difference, Figures, YearOnYear, read_figures
from packages.data_pipeline.tests.unit.reports.values import a_source

OF_ALL = "dataset TEXT, year INTEGER, amount_usd DECIMAL(18,2), payments BIGINT"
COLUMNS = {
    "mart_top_companies": "rank BIGINT, company_id TEXT, company_name TEXT",
    "mart_top_recipients": "recipient_id TEXT",
    "mart_months": "month DATE",
    "mart_natures": "nature TEXT",
    "mart_size_bands": "size_band TEXT",
    "mart_special_payments": "special_kind TEXT",
    "mart_markers": "marker TEXT",
    "mart_year_on_year": "release TEXT, population TEXT, amount_change DOUBLE",
}


class Read(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.folder / "it's.duckdb"
        with duckdb.connect(str(self.path)) as database:
            for name, columns in COLUMNS.items():
                database.execute(f"CREATE TABLE {name} ({OF_ALL}, {columns})")
            database.execute(
                "CREATE TABLE mart_reconciliation (dataset TEXT, year INTEGER, entity_kind TEXT, entity_id TEXT,"
                " entity_name TEXT, amount_usd DECIMAL(18,2), cms_amount_usd DECIMAL(18,2), payments_difference BIGINT,"
                " amount_difference_usd DECIMAL(38,2), is_different BOOLEAN)"
            )

    def insert(self, table: str, *rows: str, year: int = 2024) -> None:
        with duckdb.connect(str(self.path)) as database:
            for row in rows:
                database.execute(f"INSERT INTO {table} SELECT 'general-payments', {year}, {row}")

    def figures(self) -> Figures:
        return read_figures(self.path, a_source(), Limits(200, 1), self.folder / "spill")

    def bars(self, table: str) -> list[Bar]:
        return [bar for chart in self.figures().charts if chart.table == table for bar in chart.bars]

    def test_a_year_without_payments_has_figures(self):
        found = self.figures()

        self.assertEqual((found.companies, found.recipients, found.years), (0, 0, ()))
        self.assertEqual([one.bars for one in found.charts], [()] * len(CHARTS))

    def test_only_the_year_counts_and_the_first_ten_companies_in_their_order(self):
        self.insert("mart_top_companies", *(f"{20 - n}, 1, {n}, 'c{n}', 'Company {n}'" for n in range(12, 0, -1)))
        self.insert("mart_top_companies", "9, 1, 1, 'c1', 'Company 1'", year=2023)
        self.insert("mart_top_recipients", "1, 1, 'a'", "1, 1, 'b'")

        found = self.figures()
        self.assertEqual((found.companies, found.recipients), (12, 2))
        bars = self.bars("mart_top_companies")
        self.assertEqual(found.largest_companies, tuple(bars))
        self.assertEqual([one.more for one in bars], [f"c{n}" for n in range(1, 11)])
        self.assertEqual(bars[0], Bar("Company 1", Decimal("19.00"), 1, "c1"))

    def test_a_company_without_a_name_is_its_id_and_payments_without_a_month_come_last(self):
        self.insert("mart_top_companies", "1, 1, 1, 'c1', NULL")
        self.insert("mart_months", "3, 1, NULL", "1, 1, DATE '2024-02-01'", "2, 1, DATE '2024-01-01'")
        self.insert("mart_size_bands", "1, 1, '2 from 10'")

        self.assertEqual([one.label for one in self.bars("mart_top_companies")], ["c1"])
        self.assertEqual([one.label for one in self.bars("mart_months")], ["2024-01", "2024-02", "no month"])
        self.assertEqual([one.label for one in self.bars("mart_size_bands")], ["from 10"])

    def test_a_source_with_a_thousand_natures_makes_no_long_page(self):
        self.insert("mart_natures", *(f"{n}, 1, 'nature {n}'" for n in range(MOST_ROWS + 5)))

        self.assertEqual(len(self.bars("mart_natures")), MOST_ROWS)
        self.assertEqual(self.bars("mart_natures")[0].label, f"nature {MOST_ROWS + 4}")

    def test_the_ten_largest_differences_from_cms_are_listed_whatever_their_sign(self):
        rows = [f"'company', 'c{n}', NULL, {n}, 0, 0, {n if n % 2 else -n}, true" for n in range(1, TOP + 3)]
        self.insert("mart_reconciliation", *rows, "'company', 'same', 'Same', 99, 99, 0, 0, false")
        self.insert("mart_reconciliation", "'company', 'before', 'Before', 99, 0, 0, 99, true", year=2023)
        self.insert("mart_reconciliation", "'teaching_hospital', '050017', 'St. Elsewhere', NULL, 400, -1, -400, true")

        found = self.figures().differences

        self.assertEqual(
            found[0],
            Difference("teaching_hospital", "St. Elsewhere", "050017", None, Decimal("400.00"), -1, Decimal("-400.00")),
        )
        self.assertEqual([one.label for one in found[1:]], [f"c{n}" for n in range(TOP + 2, 3, -1)])

    def test_earlier_years_are_compared_and_later_ones_are_not_yet_there(self):
        for year, change in ((2025, "1.0"), (2024, "0.5"), (2023, "NULL")):
            self.insert("mart_year_on_year", f"1, 1, 'a', 'all', {change}", year=year)
        self.insert("mart_year_on_year", "1, 1, 'a', 'covered before 2021', 0.25")

        self.assertEqual(
            self.figures().years,
            (
                YearOnYear(2023, "a", Decimal("1.00"), 1, None, None),
                YearOnYear(2024, "a", Decimal("1.00"), 1, 0.5, 0.25),
            ),
        )

import unittest
from decimal import Decimal

from data_pipeline.reports.figures import Bar
from data_pipeline.reports.summary import Page, lines_of
from packages.data_pipeline.tests.unit.reports.values import a_source, figures

ACME = Bar("Acme", Decimal("1234567.80"), 3, more="100000000053")


def text_of(*pages: Page) -> str:
    return "\n".join(lines_of(pages, "file:///lake/marts.duckdb", "data-pipeline run query -- --tables"))


def a_page(year: int = 2024, **changes: object) -> Page:
    source = a_source(year=year, **changes)
    return Page(figures(ACME, source=source), f"file:///lake/{year}.html", f"{year}.html")


class Summary(unittest.TestCase):
    def test_a_year_ends_with_its_largest_companies_and_where_page_and_marts_are(self):
        text = text_of(a_page())

        self.assertIn("The largest companies of general-payments 2024", text)
        self.assertIn("  1       1,234,567.80           3  Acme (100000000053)", text)
        self.assertIn("page       file:///lake/2024.html\nmarts      file:///lake/marts.duckdb", text)
        self.assertNotIn("not complete", text)
        self.assertNotIn("2024   ", text, "one year needs no table")

    def test_the_last_line_is_the_command_that_asks_the_tables(self):
        self.assertTrue(text_of(a_page()).endswith("\nask        data-pipeline run query -- --tables"))

    def test_a_part_of_a_year_says_so(self):
        self.assertIn("2024 is not complete: these are the companies of run r1.", text_of(a_page(closed=False)))

    def test_several_years_are_a_table_and_the_companies_are_those_of_the_last(self):
        text = text_of(a_page(2023, closed=False), a_page(2024))

        self.assertIn("2023   not complete            3         1,234,567.80  2026-06-30-9323b84e", text)
        self.assertIn("2024   complete                3         1,234,567.80  2026-06-30-9323b84e", text)
        self.assertEqual(text.count("The largest companies"), 1)
        self.assertIn("The largest companies of general-payments 2024", text)
        self.assertEqual(text.count("page  "), 2)

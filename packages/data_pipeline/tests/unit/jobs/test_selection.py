import unittest
from typing import Any

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from etl_core.errors import UsageError
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, a_selection


@frame.job_command(help="Reads and Writes nothing.")
@frame.together(
    options.dataset,
    options.year,
    options.company_ids,
    options.max_files,
    options.slice_of,
    options.strategy,
    options.totals_from,
    options.rescrape_totals,
    options.add_year,
    frame.overwrite,
    options.trust_count,
    frame.dry_run,
    frame.run_id,
    frame.lake,
    frame.streams,
)
def every_option(**given: Any) -> Any:
    return given


def parsed(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = every_option.main(["--year", "2024", *words], standalone_mode=False)
    return found


class Options(unittest.TestCase):
    def test_have_the_defaults_of_the_design(self):
        self.assertEqual(
            parsed(),
            {
                "dataset": "general-payments",
                "year": 2024,
                "company_ids": (),
                "max_files": None,
                "slice_of": None,
                "strategy": "auto",
                "totals_from": None,
                "rescrape_totals": False,
                "add_year": True,
                "overwrite": False,
                "trust_count": False,
                "dry_run": False,
                "run_id": None,
                "lake_url": None,
                "source_max_streams": None,
            },
        )

    def test_take_what_is_given(self):
        for words, name, value in [
            ("--dataset general-payments", "dataset", "general-payments"),
            ("--company-id 0100", "company_ids", ("0100",)),
            ("--company-id 7 --company-id x2d31", "company_ids", ("7", "-1")),
            ("--max-files 20", "max_files", 20),
            ("--max-files 1", "max_files", 1),
            ("--slice 2/4", "slice_of", "2/4"),
            ("--strategy pages", "strategy", "pages"),
            ("--strategy window", "strategy", "window"),
            ("--totals-from entities", "totals_from", "entities"),
            ("--totals-from grouped", "totals_from", "grouped"),
            ("--rescrape-totals", "rescrape_totals", True),
            ("--add-year-if-missing", "add_year", True),
            ("--no-add-year-if-missing", "add_year", False),
            ("--overwrite", "overwrite", True),
            ("--trust-count", "trust_count", True),
            ("--dry-run", "dry_run", True),
            ("--run-id r1", "run_id", "r1"),
            ("--lake s3://b/p", "lake_url", "s3://b/p"),
            ("--streams 64", "source_max_streams", 64),
            ("--streams 1", "source_max_streams", 1),
        ]:
            with self.subTest(words=words):
                self.assertEqual(parsed(*words.split())[name], value)
        self.assertEqual(parsed("--slice", " 2/4 ")["slice_of"], "2/4")
        for given, company_id in [("-1", "-1"), ("x2d31", "-1"), ("", ""), ("x", ""), ("1 ", "1 "), ("x31", "x31")]:
            with self.subTest(given=given):
                self.assertEqual(parsed("--company-id", given)["company_ids"], (company_id,))

    def test_refuse_the_rest(self):
        for words in [
            "--dataset research", "--max-files 0", "--max-files x", "--slice 5/4", "--slice x", "--strategy guess",
            "--totals-from guess", "--streams 0", "--streams 65", f"--company-id {'x' * 101}", "--company-id 1,2",
            "--year x",
        ]:  # fmt: skip
            with self.subTest(words=words), self.assertRaises((click.ClickException, UsageError)):
                parsed(*words.split())

    def test_need_a_year(self):
        with self.assertRaises(click.MissingParameter):
            every_option.main([], standalone_mode=False)

    def test_stand_in_the_help_in_the_order_they_are_written(self):
        text = every_option.get_help(click.Context(every_option))

        places = [
            text.index(f"\n  {word} ") for word in ("--dataset", "--year", "--max-files", "--dry-run", "--streams")
        ]
        self.assertEqual(places, sorted(places))


class SelectionOf(unittest.TestCase):
    def test_is_what_was_asked_for(self):
        for given, selection in [
            (((), None, None), a_selection()),
            (((COMPANY,), None, None), a_selection(company_id=COMPANY)),
            (((OTHER, COMPANY), None, None), a_selection(company_ids=(COMPANY, OTHER))),
            (((), 5, "1/2"), a_selection(max_files=5, slice_of="1/2")),
        ]:
            with self.subTest(given=given):
                self.assertEqual(options.selection_of("general-payments", 2024, *given), selection)

    def test_is_not_both_companies_and_a_part_of_all(self):
        for given in [(5, None), (None, "1/2"), (5, "1/2")]:
            with self.subTest(given=given), self.assertRaisesRegex(UsageError, "the companies are named; leave out"):
                options.selection_of("general-payments", 2024, (COMPANY,), *given)

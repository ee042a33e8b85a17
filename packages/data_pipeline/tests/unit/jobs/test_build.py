import click

from data_pipeline.jobs import build
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase


class TheCommandLine(CommandCase):
    def test_is_refused_before_anything_is_asked_if_it_makes_no_sense(self):
        for words, said in [
            ("", "name either --year or --years."),
            ("--year 2024 --years 2023", "name either --year or --years."),
            ("--years 2024-2020", "neither 2021,2023 nor 2018-2024"),
            ("--year 2024 --company-id 1 --max-files 2", "leave out --max-files and --slice"),
            ("--year 2024 --from staging", "'staging' is not one of"),
        ]:
            with self.subTest(words=words):
                status, fact, err = self.run_job("build", *words.split())
                self.assertEqual((status, fact, self.lake.exists()), (2, {}, False))
                self.assertIn(said, err)

    def test_takes_what_run_pipeline_takes(self):
        words = ["--years", "2021,2023", "--slice", "1/3", "--rescrape-totals", "--trust-count"]
        assert isinstance(build.command, click.Command)
        given = build.command.make_context("x", words).params

        self.assertEqual((given["years"], given["slice_of"], given["trust_count"]), ((2021, 2023), "1/3", True))


class NothingCommitted(CommandCase):
    def test_from_raw_needs_a_run_of_the_same_selection(self):
        status, fact, err = self.run_job("build", "--year", "2024", "--from", "raw")

        self.assertEqual((status, fact["error"]), (3, "NotFoundError"))
        self.assertIn("general-payments 2024 with this selection. Leave out --from raw, or give the same", err)
        self.assertEqual(self.files(), {})

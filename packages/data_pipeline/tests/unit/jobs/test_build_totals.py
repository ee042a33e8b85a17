from typing import Any

from data_pipeline.jobs import build_totals
from data_pipeline.open_payments.source.totals import TotalsChoice
from etl_core.errors import UsageError
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, a_release, says
from packages.data_pipeline.tests.unit.jobs.command_case import CommandCase
from packages.data_pipeline.tests.unit.jobs.context_case import ContextCase


class BuildTotals(ContextCase):
    def build(self, **choice: Any) -> dict[str, Any]:
        self.ran = self.context()
        return build_totals.build(self.ran, "general-payments", 2024, TotalsChoice(**choice))

    def test_counts_and_says_what_it_found(self):
        self.assertEqual(
            self.build(),
            {
                "status": "built",
                "dataset": "general-payments",
                "year": 2024,
                "release": a_release(self.table).name,
                "counted_by": "grouped",
                "companies": 2,
                "companies_in_error": 0,
                "rows": 5,
                "source_rows": 5,
            },
        )
        self.assertEqual((self.ran._stores_log, bool(self.ran.run_id)), (True, True))

    def test_reuses_what_is_fresh(self):
        self.build()

        self.assertEqual(self.build()["status"], "cached")
        self.assertFalse(self.ran._stores_log)
        self.assertEqual(self.build(rescrape=True)["status"], "built")

    def test_counts_the_companies_nobody_could_count(self):
        self.site.list_companies([COMPANY, OTHER])
        self.site.profiles |= {COMPANY: {2024: 3}, OTHER: {2024: 2}}
        self.site.fault("company", says(400), when=lambda asked: asked.path.endswith(OTHER))

        fact = self.build(route="entities")

        self.assertEqual(
            (fact["counted_by"], fact["companies"], fact["companies_in_error"], fact["rows"]), ("entities", 2, 1, 3)
        )
        self.assertEqual(self.build(add_year=False)["status"], "cached")

    def test_does_not_add_a_year_where_that_is_forbidden(self):
        self.build()
        self.site.publish(2023)

        with self.assertRaises(UsageError):
            build_totals.build(self.context(), "general-payments", 2023, TotalsChoice(add_year=False))

    def test_keeps_the_run_id_it_is_given(self):
        context = self.context("mine")

        build_totals.build(context, "general-payments", 2024, TotalsChoice())

        self.assertEqual(context.run_id, "mine")


class TheCommand(CommandCase):
    def test_needs_a_year(self):
        self.assertEqual(self.run_job("build_totals")[:2], (2, {}))

from typing import Any

from data_pipeline.jobs import companies
from data_pipeline.jobs._selection import with_companies
from data_pipeline.jobs.companies import Company
from data_pipeline.open_payments.source.totals import TotalsChoice
from etl_core.errors import UsageError
from packages.data_pipeline.tests.unit.fakes import COMPANY, OTHER, a_selection, says
from packages.data_pipeline.tests.unit.jobs.context_case import ContextCase


class Companies(ContextCase):
    def count(self, name: str = "", **choice: Any) -> tuple[dict[str, Any], list[Company]]:
        self.site.list_companies([COMPANY, OTHER])
        return companies.count(self.context(), "general-payments", 2024, name, TotalsChoice(**choice))

    def test_are_ranked_by_their_rows(self):
        fact, found = self.count()

        self.assertEqual([(one.company_id, one.rows) for one in found], [(COMPANY, 3), (OTHER, 2)])
        self.assertEqual((fact["status"], fact["companies"], fact["rows"]), ("listed", 2, 5))

    def test_are_chosen_by_a_part_of_their_name_in_any_case(self):
        _, found = self.count()
        name = found[1].name
        self.assertTrue(name)

        _, chosen = self.count(name[1:].upper())

        self.assertEqual(chosen, [one for one in found if name[1:].lower() in one.name.lower()])
        self.assertEqual(self.count("nobody is called so")[1], [])

    def test_that_could_not_be_counted_are_shown_last(self):
        self.site.profiles |= {COMPANY: {2024: 3}, OTHER: {2024: 2}}
        self.site.fault("company", says(400), when=lambda asked: asked.path.endswith(COMPANY))

        _, found = self.count(route="entities")

        self.assertEqual([(one.company_id, one.rows) for one in found], [(OTHER, 2), (COMPANY, None)])

    def test_without_rows_are_left_out_and_the_rest_is_counted_in_a_line(self):
        names = {"1": "One", "2": "Two", "3": "Three"}

        found = companies.ranked({"1": 10, "2": 0, "3": 20, "4": 30}, names, "")

        self.assertEqual([one.name for one in found], ["", "Three", "One"])
        self.assertEqual(
            list(companies.lines_of(found[1:], 3, "")),
            ["3          20 rows  Three", "1          10 rows  One", "and 1 more; --top shows more of them"],
        )

    def test_are_said_to_be_none_where_no_name_has_the_text(self):
        self.assertEqual(list(companies.lines_of([], 0, "acme")), ["no company has rows and 'acme' in its name"])

    def test_are_selected_by_name_as_by_id(self):
        self.site.list_companies([COMPANY, OTHER])
        context, all_of_it = self.context(), a_selection(year=2024)
        name = dict(self.world.source.companies())[OTHER]
        for selection, found in (
            (all_of_it, a_selection(year=2024, company_id=OTHER)),
            (a_selection(year=2024, company_id=COMPANY), a_selection(year=2024, company_ids=(OTHER, COMPANY))),
        ):
            with self.subTest(selection):
                self.assertEqual(with_companies(context, [selection], [name]), [found])
        self.assertEqual(with_companies(context, [all_of_it], ()), [all_of_it])
        with self.assertRaisesRegex(UsageError, "leave out --max-files"):
            with_companies(context, [a_selection(year=2024, max_files=2)], [name])

import unittest
from typing import Any

from etl_core.paging.pages import Page, WrongPageError, content_of
from etl_core.paging.sweep import Sweep
from packages.etl_core.tests.unit.paging.test_pages import a_page


def a_sweep(*pages: Page) -> Sweep:
    sweep = Sweep()
    for page in pages:
        sweep.add(page)
    return sweep


class AnAnswer(unittest.TestCase):
    def test_is_refused_if_it_is_another_page_or_says_less_than_those_before_it(self):
        sweep = a_sweep(a_page(1))
        cases: list[tuple[dict[str, Any], str]] = [
            ({"page": 3}, "page 3 in place of page 2"),
            ({"per_page": 100}, "100 rows per page, those before it have 2"),
            ({"total": None}, "no total, which pages before it state"),
        ]
        for wrong, found in cases:
            with self.subTest(found), self.assertRaisesRegex(WrongPageError, found):
                sweep.require_expected(a_page(2, **wrong).said, [], 2)
        said: dict[str, Any]
        for said in ({}, {"page": None}, {"per_page": None}, {"total": 6}):
            with self.subTest(said):
                sweep.require_expected(a_page(2, **said).said, [], 2)

    def test_that_repeats_the_page_before_it_is_refused_where_nothing_says_which_is_the_last_one(self):
        rows = [{"id": 1}]
        nothing: dict[str, Any] = {"page": None, "total": None, "total_pages": None}
        first = a_page(1, content=content_of(rows), **nothing)
        with self.assertRaisesRegex(WrongPageError, "the rows of page 1"):
            a_sweep(first).require_expected(first.said, rows, 2)
        a_sweep(first).require_expected(first.said, [{"id": 2}], 2)
        a_sweep(a_page(1, rows=0, content=content_of([]), **nothing)).require_expected(first.said, [], 2)


class TheNextPage(unittest.TestCase):
    def test_is_the_first_that_is_neither_there_nor_given_up(self):
        for there, given_up, expected in [
            ([], (), 1),
            ([1], (), 2),
            ([1, 3], (), 2),
            ([1], (2,), 3),
            ([1, 2, 3], (), None),
            ([1, 3], (2,), None),
            ([], (1,), 2),
        ]:
            with self.subTest(there=there, given_up=given_up):
                self.assertEqual(a_sweep(*map(a_page, there)).next_page(given_up), expected)

    def test_follows_the_newest_answer_if_the_number_of_pages_moves(self):
        more, fewer = a_page(3, total_pages=4), a_page(2, total_pages=2, total=4)
        silent = a_page(4, total_pages=None, total=None)
        self.assertEqual(a_sweep(a_page(1), a_page(2), more).next_page(()), 4)
        self.assertIsNone(a_sweep(a_page(1), fewer).next_page(()))
        self.assertIsNone(a_sweep(a_page(1), a_page(2), more, silent).next_page(()))

    def test_is_unknown_without_any_number_until_two_are_empty(self):
        nothing: dict[str, Any] = {"total": None, "total_pages": None}
        full, empty = (
            [a_page(number, **nothing) for number in (1, 2)],
            [a_page(one, rows=0, **nothing) for one in (3, 4)],
        )
        self.assertEqual(a_sweep(*full).next_page(()), 3)
        self.assertEqual(a_sweep(*full, empty[0]).next_page(()), 4)
        self.assertIsNone(a_sweep(*full, *empty).next_page(()))

    def test_is_refused_past_what_keys_can_number(self):
        with self.assertRaisesRegex(WrongPageError, "more than 999999 pages"):
            a_sweep(a_page(1, total_pages=10**9)).next_page(range(1, 1_000_000))

    def test_is_asked_for_in_the_size_that_the_sweep_has(self):
        self.assertEqual(a_sweep(a_page(1, per_page=None), a_page(2, per_page=50)).size, 50)
        self.assertIsNone(Sweep().size)

    def test_costs_the_same_however_many_there_are(self):
        class Counted(set[int]):
            looked_up = 0

            def __contains__(self, number: object) -> bool:
                self.looked_up += 1
                return super().__contains__(number)

        nobody, sweep = Counted(), Sweep()
        for number in range(1, 501):
            self.assertEqual(sweep.next_page(nobody), number)
            sweep.add(a_page(number, total_pages=None, total=None))
        self.assertLessEqual(nobody.looked_up, 500)

import unittest

from etl_core.paging.sweeps import Choice, fullest, note, proved, total_of
from packages.etl_core.tests.unit.paging.test_pages import a_page


def a_sweep(sweep=1, *rows, **said):
    return [a_page(number, rows=count, sweep=sweep, **said) for number, count in enumerate(rows or (2, 2, 1), 1)]


def chosen(pages):
    """Of each choice that adds up, the sweeps of its pages."""
    return [[page.sweep for page in choice.pages] for choice in proved(pages)]


class WhatAddsUp(unittest.TestCase):
    def test_is_a_sweep_with_as_many_rows_as_every_answer_states(self):
        self.assertEqual(chosen(a_sweep())[0], [1, 1, 1])

    def test_is_not_a_sweep_that_is_short_long_or_lacks_a_page(self):
        for pages in (
            a_sweep(1, 2, 1, 1),
            a_sweep(1, 2, 2, 2),
            a_sweep()[:2],
            a_sweep()[1:],
            [a_sweep()[0], a_sweep()[2]],
            [],
        ):
            with self.subTest(pages=[(page.number, page.rows) for page in pages]):
                self.assertEqual(chosen(pages), [])

    def test_is_not_a_sweep_during_which_the_total_moved(self):
        for totals in ((5, 6, 5), (4, 5, 5), (5, 5, 6)):
            pages = [
                a_page(number, rows=rows, total=total)
                for number, rows, total in zip((1, 2, 3), (2, 2, 1), totals, strict=True)
            ]
            with self.subTest(totals=totals):
                self.assertEqual(chosen(pages), [])

    def test_is_the_newest_sweep_before_an_older_one(self):
        self.assertEqual(chosen(a_sweep(1) + a_sweep(2))[:2], [[2, 2, 2], [1, 1, 1]])

    def test_is_of_each_page_the_fullest_answer_under_one_total(self):
        self.assertEqual(chosen(a_sweep(1, 2, 1, 1) + a_sweep(2, 1, 2, 1)), [[1, 2, 2]])
        self.assertEqual(chosen(a_sweep(1, 2, 1, 1, total=6) + a_sweep(2, 1, 2, 1)), [])
        self.assertEqual(chosen(a_sweep(1, 2, 1, 1, per_page=3) + a_sweep(2, 1, 2, 1)), [])

    def test_is_without_any_total_a_sweep_that_another_one_equals(self):
        nothing = {"total": None, "content": f"{7:064x}"}
        other = {"total": None, "content": f"{8:064x}"}
        self.assertEqual(chosen(a_sweep(1, 2, 2, 1, **nothing)), [])
        self.assertEqual(chosen(a_sweep(1, 2, 2, 1, **nothing) + a_sweep(2, 2, 2, 1, **other)), [])
        self.assertEqual(chosen(a_sweep(1, 2, 2, 1, **nothing) + a_sweep(2, 2, 2, 1, **nothing))[0], [2, 2, 2])
        three = a_sweep(1, 2, 2, 1, **nothing) + a_sweep(2, 2, 2, 1, **other) + a_sweep(3, 2, 2, 1, **nothing)
        self.assertEqual(chosen(three)[0], [3, 3, 3])

    def test_is_without_any_total_not_a_sweep_that_lacks_a_page_of_those_stated(self):
        cut = {"total": None, "content": f"{7:064x}", "total_pages": 3}
        self.assertEqual(chosen(a_sweep(1, 2, 2, **cut) + a_sweep(2, 2, 2, **cut)), [])

    def test_is_without_any_rows_a_sweep_only_if_another_one_is_so_too(self):
        nothing = {"total": 0, "total_pages": 0}
        self.assertEqual(chosen(a_sweep(1, 0, **nothing)), [])
        self.assertEqual(chosen(a_sweep(1, 0, **nothing) + a_sweep(2, 0, **nothing))[0], [2])
        self.assertEqual(chosen(a_sweep(1, 0, **nothing) + a_sweep(2)), [[2, 2, 2], [2, 2, 2]])

    def test_is_nothing_that_a_single_total_contradicts(self):
        said_once = [a_page(1, sweep=1, content=f"{7:064x}"), *a_sweep(1, 2, 2, 1, total=None, content=f"{7:064x}")[1:]]
        again = a_sweep(2, 2, 2, 1, total=None, content=f"{7:064x}")
        self.assertEqual(chosen(said_once + again)[0], [1, 1, 1])
        short = [a_page(1, rows=1, sweep=1), *a_sweep(1, 2, 2, 1, total=None)[1:]]
        self.assertEqual(chosen(short), [])


class TheNote(unittest.TestCase):
    def test_says_how_the_list_is_proved(self):
        choice = next(proved(a_sweep()))
        self.assertEqual(note(choice, a_sweep(), 5, 0, is_proved=True), "as many as the API states")

    def test_says_by_how_much_it_is_not(self):
        pages = a_sweep(1, 2, 1, 1, total=7)[:2] + a_sweep(1, 2, 1, 1)[2:]
        found = note(fullest(pages), pages, 3, 2, is_proved=False)
        for part in (
            "2 pages could not be fetched", "the total moved between 5 and 7",
            "3 rows of the 5 that the API states: -2", "1 more repeat an id",
        ):  # fmt: skip
            self.assertIn(part, found)

    def test_says_that_there_is_no_total(self):
        pages = a_sweep(1, 2, 2, 1, total=None)
        self.assertIn("no two sweeps are equal", note(fullest(pages), pages, 5, 0, is_proved=False))
        self.assertIsNone(total_of([]))
        self.assertEqual(Choice(()).rows, 0)

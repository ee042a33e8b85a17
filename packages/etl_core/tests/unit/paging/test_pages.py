import json
import unittest
from typing import Any

from etl_core.paging.pages import (
    Fields,
    Metadata,
    Page,
    WrongPageError,
    content_of,
    last_of,
    next_page,
    parse,
    require_expected,
    size_of,
)

FIELDS = Fields(rows="data", metadata="metadata", id="id")
SAID = {"page": 1, "per_page": 2, "total_pages": 3, "total": 5}


def an_answer(rows: Any = None, **said: Any) -> bytes:
    return json.dumps({"data": [{"id": 1}] if rows is None else rows, "metadata": SAID | said}).encode()


def a_page(number: int, *, rows: int = 2, sweep: int = 1, content: str = "", **said: Any) -> Page:
    whole = Metadata(**{"page": number, "per_page": 2, "total_pages": 3, "total": 5} | said)
    return Page(f"sweep-{sweep}/page-{number}", sweep, number, rows, content, whole)


def a_sweep(*pages: Page) -> dict[int, Page]:
    return {page.number: page for page in pages}


class AnAnswer(unittest.TestCase):
    def test_has_its_rows_and_metadata_where_the_settings_say(self):
        body = json.dumps({"result": {"people": [{"id": 7}]}, "meta": {"total": "1", "per_page": None}}).encode()

        said, rows = parse(body, Fields(rows="result.people", metadata="meta", id="id"))

        self.assertEqual((said, rows), (Metadata(None, None, None, 1), [{"id": 7}]))

    def test_that_is_none_is_refused_with_what_was_found(self):
        for body, found in [
            (b"{", "invalid JSON"),
            (b"\xff", "invalid JSON"),
            (b"[" * 200_000, "invalid JSON"),
            (b"[]", "no list of objects at 'data'"),
            (b'{"data": null}', "no list of objects"),
            (an_answer([{"id": 1}, None]), "no list of objects"),
            (an_answer(total="many\x1b[31m"), "total is many"),
            (an_answer(total=1.5), "total is 1.5"),
            (an_answer(total=-1), "total is -1"),
            (an_answer(total=True), "total is true"),
            (an_answer(per_page=10**30), "per_page is 1000"),
        ]:
            with self.subTest(body=body[:40]), self.assertRaises(WrongPageError) as raised:
                parse(body, FIELDS)
            self.assertIn(found, str(raised.exception))
            self.assertTrue(str(raised.exception).isprintable())

    def test_is_refused_if_it_is_another_page_or_says_less_than_those_before_it(self):
        sweep = a_sweep(a_page(1))
        cases: list[tuple[dict[str, Any], str]] = [
            ({"page": 3}, "page 3 in place of page 2"),
            ({"per_page": 100}, "100 rows per page, those before it have 2"),
            ({"total": None}, "no total, which pages before it state"),
        ]
        for wrong, found in cases:
            with self.subTest(found), self.assertRaisesRegex(WrongPageError, found):
                require_expected(a_page(2, **wrong).said, 2, sweep)
        said: dict[str, Any]
        for said in ({}, {"page": None}, {"per_page": None}, {"total": 6}):
            with self.subTest(said):
                require_expected(a_page(2, **said).said, 2, sweep)

    def test_has_one_content_for_the_same_rows_in_any_order(self):
        rows = [{"id": 1, "name": "a"}, {"name": "b", "id": 2}]
        self.assertEqual(content_of(rows), content_of([{"id": 2, "name": "b"}, {"id": 1, "name": "a"}]))
        self.assertNotEqual(content_of(rows), content_of([*rows, rows[0]]))


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
                self.assertEqual(next_page(a_sweep(*map(a_page, there)), given_up), expected)

    def test_follows_the_newest_answer_if_the_number_of_pages_moves(self):
        more, fewer = a_page(3, total_pages=4), a_page(2, total_pages=2, total=4)
        self.assertEqual(next_page(a_sweep(a_page(1), a_page(2), more), ()), 4)
        self.assertIsNone(next_page(a_sweep(a_page(1), fewer), ()))

    def test_is_known_from_the_total_where_rows_per_page_were_lowered(self):
        self.assertEqual(last_of(Metadata(1, per_page=10, total_pages=1, total=95)), 10)
        self.assertEqual(last_of(Metadata(1, per_page=0, total_pages=4, total=95)), 4)
        self.assertEqual(last_of(Metadata(1, per_page=10, total_pages=0, total=0)), 1)

    def test_is_unknown_without_any_number_until_two_are_empty(self):
        nothing: dict[str, Any] = {"total": None, "total_pages": None}
        full, empty = (
            [a_page(number, **nothing) for number in (1, 2)],
            [a_page(one, rows=0, **nothing) for one in (3, 4)],
        )
        self.assertEqual(next_page(a_sweep(*full), ()), 3)
        self.assertEqual(next_page(a_sweep(*full, empty[0]), ()), 4)
        self.assertIsNone(next_page(a_sweep(*full, *empty), ()))

    def test_is_refused_past_what_keys_can_number(self):
        sweep = dict.fromkeys(range(1, 1_000_000), a_page(1, total_pages=10**9))
        with self.assertRaisesRegex(WrongPageError, "more than 999999 pages"):
            next_page(sweep, ())

    def test_is_asked_for_in_the_size_that_the_sweep_has(self):
        self.assertEqual(size_of(a_sweep(a_page(1, per_page=None), a_page(2, per_page=50))), 50)
        self.assertIsNone(size_of({}))

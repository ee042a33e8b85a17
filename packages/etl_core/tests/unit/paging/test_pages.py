import json
import unittest
from typing import Any

from etl_core.paging.pages import Fields, Metadata, Page, WrongPageError, content_of, last_of, parse

FIELDS = Fields(rows="data", metadata="metadata", id="id")
SAID = {"page": 1, "per_page": 2, "total_pages": 3, "total": 5}


def an_answer(rows: Any = None, **said: Any) -> bytes:
    return json.dumps({"data": [{"id": 1}] if rows is None else rows, "metadata": SAID | said}).encode()


def a_page(number: int, *, rows: int = 2, sweep: int = 1, content: str = "", **said: Any) -> Page:
    whole = Metadata(**{"page": number, "per_page": 2, "total_pages": 3, "total": 5} | said)
    return Page(f"sweep-{sweep}/page-{number}", sweep, number, rows, content, whole)


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

    def test_has_one_content_for_the_same_rows_in_any_order(self):
        rows = [{"id": 1, "name": "a"}, {"name": "b", "id": 2}]
        self.assertEqual(content_of(rows), content_of([{"id": 2, "name": "b"}, {"id": 1, "name": "a"}]))
        self.assertNotEqual(content_of(rows), content_of([*rows, rows[0]]))


class TheLastPage(unittest.TestCase):
    def test_is_known_from_the_total_where_rows_per_page_were_lowered(self):
        self.assertEqual(last_of(Metadata(1, per_page=10, total_pages=1, total=95)), 10)
        self.assertEqual(last_of(Metadata(1, per_page=0, total_pages=4, total=95)), 4)
        self.assertEqual(last_of(Metadata(1, per_page=10, total_pages=0, total=0)), 1)

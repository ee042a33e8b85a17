import functools
import unicodedata
import unittest
from datetime import timedelta

from data_pipeline.agency_files import decide
from data_pipeline.agency_files.decide import COLUMNS, Outcome
from etl_core.errors import AccessError, ChangedError, NotFoundError, PermanentError, UnavailableError
from etl_core.lake import ObjectInfo, key_below
from packages.data_pipeline.tests.unit.agency_files.agency import FOLDER, NOW, a_file

LATER = NOW + timedelta(hours=1)
DECOMPOSED = unicodedata.normalize("NFD", "é.pdf")


def an_object(size: int = 7, modified=NOW, **more: str) -> ObjectInfo:
    return ObjectInfo("k", size, modified, **more)


class AtSight(unittest.TestCase):
    def seen(self, *files, there=None):
        return list(decide.at_sight(files, functools.partial(key_below, FOLDER), there or {}))

    def test_a_copy_is_there_if_its_size_is_as_listed_and_the_file_is_not_newer(self):
        for file, copy, expected in (
            (a_file(), None, "to copy"),
            (a_file(), an_object(), "already there"),
            (a_file(size=7), an_object(), "already there"),
            (a_file(size=8), an_object(), "to copy"),
            (a_file(size=7, updated_at=NOW), an_object(), "already there"),
            (a_file(size=7, updated_at=LATER), an_object(), "to copy"),
        ):
            with self.subTest(file=file, copy=copy):
                there = {f"{FOLDER}{file.key}": copy} if copy else {}
                self.assertEqual([one.status for one in self.seen(file, there=there)], [expected])

    def test_of_two_names_that_are_one_in_normal_form_the_first_has_the_place(self):
        files = a_file(1, DECOMPOSED), a_file(2, "é.pdf"), a_file(3, DECOMPOSED), a_file(4, "../é.pdf")
        found = self.seen(*files)
        self.assertEqual([one.status for one in found], ["to copy", "refused name", "to copy", "refused name"])
        self.assertEqual([one.key for one in found], [f"{FOLDER}é.pdf", "", f"{FOLDER}é.pdf", ""])
        self.assertEqual(found[1].detail, f"it has the place of {DECOMPOSED!a}")
        self.assertIn("no plain path", found[3].detail)


class Decisions(unittest.TestCase):
    one = Outcome(a_file(), f"{FOLDER}docs/a.pdf", "to copy")

    def test_what_was_there_before_is_judged_by_content_then_size_and_time(self):
        for comparison, source, expected in (
            ("content", an_object(modified=LATER), "already there"),
            ("size", an_object(), "already there"),
            ("size", an_object(modified=LATER), "changed at source"),
            ("other", an_object(8, LATER), "changed at source"),
            ("other", an_object(8), "failed"),
        ):
            with self.subTest(comparison=comparison, source=source):
                found = decide.beside(self.one, source, an_object(), comparison)
                self.assertEqual((found.status, found.temporary), (expected, False))
                self.assertEqual(bool(found.detail), expected != "already there")

    def test_a_new_copy_counts_if_it_is_not_known_to_differ_and_is_listed_in_its_size(self):
        for comparison, listed, expected in (
            ("content", an_object(), "copied"),
            ("size", an_object(), "copied"),
            ("other", an_object(), "failed"),
            ("content", an_object(8), "failed"),
            ("content", None, "failed"),
        ):
            with self.subTest(comparison=comparison, listed=listed):
                made = decide.copied(self.one, an_object(), an_object(), comparison)
                self.assertEqual(decide.verified(made, listed).status, expected)

    def test_each_error_is_a_status(self):
        for error, may_list, expected in (
            (NotFoundError("x"), True, ("missing", False)),
            (AccessError("x"), True, ("denied", False)),
            (AccessError("x"), False, ("missing or denied", False)),
            (ChangedError("x"), True, ("changed at source", True)),
            (UnavailableError("x"), True, ("failed", True)),
            (PermanentError("x\x1b[2J"), True, ("failed", False)),
        ):
            with self.subTest(error=error, may_list=may_list):
                found = decide.failed(self.one, error, may_list=may_list)
                self.assertEqual((found.status, found.temporary), expected)
                self.assertTrue(found.detail.isprintable())


class TheRecord(unittest.TestCase):
    def test_of_a_file_has_what_was_listed_and_what_was_seen(self):
        file = a_file(7, "docs/a.pdf", 5, NOW)
        outcome = Outcome(
            file, f"{FOLDER}docs/a.pdf", "copied", proof="content", source=an_object(),
            copy=an_object(modified=LATER, etag='"abc"', digest="crc64nvme:xyz"),
        )  # fmt: skip
        record = decide.record_of(outcome, {"agency_id": "10", "source": "s3://docs"})
        self.assertEqual(
            dict(zip(COLUMNS, record, strict=True)),
            {
                "agency_id": "10", "file_id": "7", "status": "copied", "key": f"{FOLDER}docs/a.pdf", "size": "7",
                "proof": "content", "etag": "abc", "digest": "crc64nvme:xyz", "source": "s3://docs",
                "source_key": "docs/a.pdf", "source_modified": "2026-11-29T14:15:00+00:00", "listed_size": "5",
                "updated_at": "2026-11-29T14:15:00+00:00", "detail": "",
            },
        )  # fmt: skip

    def test_of_a_file_that_was_never_seen_is_empty_in_between(self):
        record = decide.record_of(Outcome(a_file(), "", "refused name", "why"), {"agency_id": "10", "source": "x"})
        self.assertEqual(record, ["10", "1", "refused name", *[""] * 5, "x", "docs/a.pdf", *[""] * 3, "why"])

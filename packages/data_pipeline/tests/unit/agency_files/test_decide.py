import unicodedata
import unittest
from datetime import timedelta

from data_pipeline.agency_files import decide
from data_pipeline.agency_files.decide import COLUMNS, Outcome
from etl_core.errors import AccessError, ChangedError, DataError, NotFoundError, PermanentError, UnavailableError
from etl_core.lake import ObjectInfo
from packages.data_pipeline.tests.unit.agency_files.agency import FOLDER, NOW, a_file

LATER = NOW + timedelta(hours=1)
DECOMPOSED = unicodedata.normalize("NFD", "é.pdf")


def an_object(size: int = 7, modified=NOW, **more: str) -> ObjectInfo:
    return ObjectInfo("k", size, modified, **more)


class KeyOfACopy(unittest.TestCase):
    def test_is_the_name_itself_below_the_folder_in_normal_form(self):
        for name, expected in (
            ("a.pdf", "a.pdf"),
            ("docs/2024/a b (1).pdf", "docs/2024/a b (1).pdf"),
            ("日本/語.pdf", "日本/語.pdf"),
            (DECOMPOSED, "é.pdf"),
            ("...", "..."),
            ("a..b/.hidden", "a..b/.hidden"),
            ("=1+1.csv", "=1+1.csv"),
        ):
            with self.subTest(name):
                self.assertEqual(decide.key_of_copy(FOLDER, name), FOLDER + expected)

    def test_is_refused_where_the_name_could_mean_another_place(self):
        for name, why in (
            ("", "no plain path"),
            ("/etc/passwd", "no plain path"),
            ("../a", "no plain path"),
            ("a/../../b", "no plain path"),
            ("a/./b", "no plain path"),
            ("a//b", "no plain path"),
            ("a/", "no plain path"),
            ("..\\a", "no plain path"),
            ("a\nb", "control character"),
            ("a\x00b", "control character"),
            ("a\u202eb", "control character"),
            ("a\ud800b", "control character"),
            ("x" * 1025, "would have 1,061 bytes"),
            ("ü" * 500, "would have 1,036 bytes"),
        ):
            with self.subTest(name=ascii(name)[:40]), self.assertRaisesRegex(DataError, why):
                decide.key_of_copy(FOLDER, name)

    def test_of_two_names_that_are_one_in_normal_form_is_that_of_the_first(self):
        files = [a_file(1, DECOMPOSED), a_file(2, "é.pdf"), a_file(3, DECOMPOSED), a_file(4, "../é.pdf")]
        (_, first, _), (_, second, why), (_, again, _), (_, hostile, _) = decide.placed(files, FOLDER)
        self.assertEqual((first, second, again, hostile), (f"{FOLDER}é.pdf", "", f"{FOLDER}é.pdf", ""))
        self.assertEqual(why, f"it has the place of {DECOMPOSED!a}")


class AtSight(unittest.TestCase):
    def test_a_copy_is_there_if_its_size_is_as_listed_and_the_file_is_not_newer(self):
        for file, copy, expected in (
            (a_file(), None, False),
            (a_file(), an_object(), True),
            (a_file(size=7), an_object(), True),
            (a_file(size=8), an_object(), False),
            (a_file(size=7, updated_at=NOW), an_object(), True),
            (a_file(size=7, updated_at=LATER), an_object(), False),
        ):
            with self.subTest(file=file, copy=copy):
                self.assertIs(decide.is_there_at_sight(file, copy), expected)


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

    def test_the_exit_code_is_4_where_waiting_may_help_any_file(self):
        def outcome(status: decide.Status, *, temporary: bool = False) -> Outcome:
            return Outcome(a_file(), "", status, temporary=temporary)

        for outcomes, expected in (
            ([], 0),
            ([outcome("copied"), outcome("already there")], 0),
            ([outcome("copied"), outcome("missing")], 3),
            ([outcome("missing"), outcome("refused name")], 3),
            ([outcome("missing"), outcome("failed", temporary=True)], 4),
        ):
            with self.subTest(outcomes):
                self.assertEqual(decide.exit_code_of(outcomes), expected)


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

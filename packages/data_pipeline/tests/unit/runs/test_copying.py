import unittest
from typing import Any

from data_pipeline.runs.copying import Copied, Copying, ToCopy, missing
from etl_core.documents import Document
from etl_core.errors import ConflictError, DataError, UsageError
from etl_core.lake import content_of
from etl_core.testing import MemoryStore


class Note(Document):
    """A document that says where it lies."""

    place: str

    def is_at(self, key: str) -> bool:
        return key == self.place


class CopyingCase(unittest.TestCase):
    def setUp(self) -> None:
        self.here, self.there = MemoryStore(name="here"), MemoryStore(name="there")
        for store in (self.here, self.there):
            self.addCleanup(store.close)
        self.here.put("a", b"1")
        self.here.put("note", Note(place="note").to_bytes())
        self.here.put("last", b"3")
        self.steps = [[ToCopy("a", content_of(b"1"))], [ToCopy("note", kind=Note)], [ToCopy("last")]]

    def copy(self, **options: Any) -> Copied:
        return Copying(self.here, self.there, **options).run(self.steps, [""])


class Copies(CopyingCase):
    def test_steps_follow_each_other_and_nothing_is_copied_twice(self):
        self.assertEqual(self.copy(), Copied(3, 3, 0, 2 + len(self.here.get("note") or b"")))
        self.assertEqual(self.there.writes, ["a", "note", "last"])
        self.assertEqual(self.copy(), Copied(3, 0, 3, 0))

    def test_a_copy_that_was_cut_short_is_finished_and_what_is_there_compared(self):
        self.there.put("a", b"1")
        lines: list[str] = []

        self.assertEqual(self.copy(on_file=lines.append).copied, 2)
        self.assertEqual(lines, ["same    a", "copied  note", "copied  last"])

    def test_a_dry_run_names_what_is_missing_and_writes_nothing(self):
        lines: list[str] = []
        self.assertEqual((self.copy(dry_run=True, on_file=lines.append).copied, len(lines)), (0, 3))
        self.assertEqual(self.there.writes, [])

    def test_other_content_is_replaced_only_where_that_was_asked_for(self):
        for key in ("a", "last"):
            with self.subTest(key=key):
                self.there.put(key, b"theirs")
                with self.assertRaisesRegex(ConflictError, f"{key} holds other content"):
                    self.copy()
                self.assertEqual(self.there.get(key), b"theirs")

                self.copy(overwrite=True)
                self.assertEqual(self.there.get(key), self.here.get(key))


class Refused(CopyingCase):
    def test_what_is_not_what_its_audit_says_is_not_copied_nor_anything_behind_it(self):
        self.here.put("a", b"changed")

        with self.assertRaisesRegex(ConflictError, "its audit says"):
            self.copy()
        self.assertEqual(self.there.writes, [])

    def test_a_document_that_is_damaged_or_of_another_place_is_not_copied_nor_anything_behind_it(self):
        for body in (b"{", Note(place="elsewhere").to_bytes()):
            with self.subTest(body=body):
                self.here.put("note", body)
                with self.assertRaises(DataError):
                    self.copy()
                self.assertEqual(self.there.writes, ["a"])

    def test_a_copy_onto_its_own_lake_is_refused(self):
        with self.assertRaisesRegex(UsageError, "are the same lake"):
            Copying(self.here, self.here)


class Missing(unittest.TestCase):
    def test_an_object_is_missing_where_the_other_lake_lacks_it_or_has_another_size(self):
        there = {"same": 3, "longer": 4, "empty": 0, "unknown": 9}
        wanted = [
            ToCopy("same", size=3), ToCopy("longer", size=3), ToCopy("empty", size=0), ToCopy("empty", size=1),
            ToCopy("unknown"), ToCopy("lacking", size=3), ToCopy("lacking"),
        ]  # fmt: skip

        self.assertEqual(missing(wanted, there), [wanted[1], wanted[3], wanted[5], wanted[6]])

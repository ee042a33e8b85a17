import hashlib
import tempfile
import unittest
from pathlib import Path

from etl_core.errors import AccessError, PermanentError
from etl_core.files import replace_file, sha256_of


class Hashing(unittest.TestCase):
    def test_a_file_of_any_size_has_the_hash_of_its_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a"
            for body in (b"x" * 3_000_000, b"short", b""):
                path.write_bytes(body)
                self.assertEqual(sha256_of(path), hashlib.sha256(body).hexdigest())


class Replacing(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.path = self.folder / "a.csv"

    def test_a_file_is_the_old_one_until_it_is_the_new_one(self):
        def chunks():
            yield b"new "
            self.assertEqual(self.path.read_bytes(), b"old")
            yield b"content"

        self.path.write_bytes(b"old")
        replace_file(self.path, chunks())
        self.assertEqual(self.path.read_bytes(), b"new content")
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_a_failure_leaves_the_old_one_and_nothing_beside_it(self):
        def chunks():
            yield b"new"
            raise ValueError("broken off")

        self.path.write_bytes(b"old")
        with self.assertRaises(ValueError):
            replace_file(self.path, chunks())
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(list(self.folder.iterdir()), [self.path])

    def test_what_cannot_be_written_is_named(self):
        for path in (self.folder / "missing" / "a", self.folder):
            with self.subTest(path=path.name), self.assertRaises((AccessError, PermanentError)) as caught:
                replace_file(path, [b"x"])
            self.assertIn(f"cannot write {path}", str(caught.exception))

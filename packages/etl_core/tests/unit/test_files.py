import hashlib
import tempfile
import unittest
from pathlib import Path

from etl_core.files import sha256_of


class Hashing(unittest.TestCase):
    def test_a_file_of_any_size_has_the_hash_of_its_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a"
            for body in (b"x" * 3_000_000, b"short", b""):
                path.write_bytes(body)
                self.assertEqual(sha256_of(path), hashlib.sha256(body).hexdigest())

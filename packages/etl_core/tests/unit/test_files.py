import hashlib
import tempfile
import unittest
from pathlib import Path

from etl_core.files import sha256_of, sync_directory, write_synced


class Writing(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_synced_bytes_can_be_read_back(self):
        path = self.folder / "a"
        for body in (b"x" * 3_000_000, b"short", b""):
            write_synced(path, body)
            sync_directory(self.folder)
            self.assertEqual(path.read_bytes(), body)
            self.assertEqual(sha256_of(path), hashlib.sha256(body).hexdigest())

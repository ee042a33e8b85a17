import os
import tempfile
import unittest
from pathlib import Path

from etl_core.heartbeat import EVERY_SECONDS, Heartbeat


class AHeartbeat(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "heartbeat")
        self.seconds = 100.0
        self.heartbeat = Heartbeat(self.path, clock=lambda: self.seconds)

    def is_touched(self) -> bool:
        """Whether a beat makes an old file young."""
        os.utime(self.path, (0, 0))
        self.heartbeat.beat()
        return self.path.stat().st_mtime > 0

    def test_begins_with_the_process(self):
        self.assertTrue(self.path.exists())

    def test_touches_its_file_now_and_then_however_often_it_is_called(self):
        self.assertFalse(self.is_touched())
        self.seconds += EVERY_SECONDS
        self.assertTrue(self.is_touched())
        self.assertFalse(self.is_touched())

    def test_does_nothing_without_a_file_and_survives_a_folder_that_is_gone(self):
        Heartbeat(None).beat()
        Heartbeat(self.path / "no folder").beat()
        self.assertEqual(list(self.path.parent.iterdir()), [self.path])

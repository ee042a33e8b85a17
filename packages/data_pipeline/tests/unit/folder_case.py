"""A test in a folder of its own."""

import contextlib
import signal
import tempfile
import unittest
from pathlib import Path


class FolderCase(unittest.TestCase):
    """The working directory is an empty folder, for temporary files too; signal handlers are restored."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.addCleanup(setattr, tempfile, "tempdir", tempfile.tempdir)
        tempfile.tempdir = str(self.folder)
        self.enterContext(contextlib.chdir(self.folder))
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

"""A job called as from a shell, in this process, on a lake in a folder."""

import contextlib
import io
import json
import signal
import tempfile
import unittest
from pathlib import Path
from typing import Any

from data_pipeline.cli import status_of
from etl_core.lake.directory import DirectoryStore


class CalledCase(unittest.TestCase):
    """``call`` gives status, fact and stderr."""

    def setUp(self) -> None:
        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(contextlib.chdir(folder))
        for number in (signal.SIGINT, signal.SIGTERM):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.lake = folder / "lake"
        self.store = DirectoryStore(self.lake)
        self.addCleanup(self.store.close)

    def call(self, *words: str) -> tuple[int, dict[str, Any], str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = status_of(["run", words[0], "--", *words[1:], "--lake", str(self.lake)])
        lines = out.getvalue().splitlines()
        self.assertLessEqual(len(lines), 1)
        return status, json.loads(lines[0]) if lines else {}, err.getvalue()

    def files(self) -> dict[str, int]:
        """Every file and its time."""
        found = (path for path in self.lake.rglob("*") if path.is_file())
        return {path.relative_to(self.lake).as_posix(): path.stat().st_mtime_ns for path in found}

"""A job run as from a shell, in this process, on a lake in a folder."""

import contextlib
import io
import json
from typing import Any

from data_pipeline.cli import status_of
from etl_core.lake.directory import DirectoryStore
from packages.data_pipeline.tests.unit.folder_case import FolderCase


class CommandCase(FolderCase):
    """``run_job`` gives exit status, fact and stderr."""

    def setUp(self) -> None:
        super().setUp()
        self.lake = self.folder / "lake"
        self.store = DirectoryStore(self.lake)
        self.addCleanup(self.store.close)

    def run_job(self, *words: str) -> tuple[int, dict[str, Any], str]:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = status_of(["run", words[0], "--", *words[1:], "--lake", str(self.lake)])
        lines = out.getvalue().splitlines()
        self.assertLessEqual(len(lines), 1)
        return status, json.loads(lines[0]) if lines else {}, err.getvalue()

    def files(self) -> dict[str, int]:
        """Every file of the lake and its time."""
        found = (path for path in self.lake.rglob("*") if path.is_file())
        return {path.relative_to(self.lake).as_posix(): path.stat().st_mtime_ns for path in found}

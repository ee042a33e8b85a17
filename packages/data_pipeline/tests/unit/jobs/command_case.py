"""A job run as from a shell, in this process, on a lake in a folder."""

import contextlib
import io
import json
from typing import Any

from data_pipeline import lake_layout
from data_pipeline.cli import status_of
from data_pipeline.open_payments.ledger import commit
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.runs.plans import write_plan
from etl_core.lake.directory import DirectoryStore
from packages.data_pipeline.tests.unit.fakes import COMPANY, START, a_plan, a_release, a_slice
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


class CommittedCase(CommandCase):
    """``commit`` makes a committed run of one slice, r1."""

    def commit(self) -> None:
        write_plan(self.store, a_plan())
        part = a_slice().parts[0]
        self.store.put_new(part.key, b"x" * part.bytes)
        release = a_release()
        self.store.put_new(lake_layout.open_payments.schema(release.dataset, release.year, release.name), b"{}\n")
        audits = Audits(self.store, release)
        audits.publish_part(part)
        audits.close_slice(COMPANY, (part,), 3, START)
        commit.commit_run(self.store, a_plan(), known={}, source_rows=3, release_at_end=release, now=START)

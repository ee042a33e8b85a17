"""Lakes of version 1 as files: ``python -m tests.end_to_end.stored_lakes`` writes them, from the root of the checkout.

From the first release on they are never written again: what they hold is what users have.

- ``closed``: two releases of a year of three companies, each fetched by a committed and closed run, ``first`` and
  ``second``.
- ``unfinished``: the first of these as a process leaves it that is killed before its last slice: ``open``, with a
  plan and its pointers, two proved slices, and a part of the third that nothing proves.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sandbox.open_payments import Sandbox, Settings
from tests.end_to_end.conftest import YEAR, World

FOLDER = Path(__file__).resolve().parents[2] / "packages" / "data_pipeline" / "tests" / "fixtures" / "lake_v1"
ROWS = {"100000000053": 9, "100000000062": 5, "100000000064": 1}
CHANGES = {"added": 2, "removed": 1, "changed": 1}


@contextmanager
def world_of(lake: Path, *, release: int = 1) -> Iterator[World]:
    """The source that the lakes were fetched from, in its first or second release."""
    with Sandbox(Settings(years=(YEAR,), company_rows=ROWS)) as source:
        if release == 2:
            source.republish(YEAR, added=CHANGES["added"], removed=CHANGES["removed"], changed=CHANGES["changed"])
        yield World.of(source, lake)


def fetch(lake: Path, run_id: str, *, release: int) -> None:
    with world_of(lake, release=release) as world:
        ended = world.pipeline("--run-id", run_id)
        assert (ended.status, ended.fact["closed"]) == (0, True), ended.stderr


def leave_unfinished(lake: Path) -> None:
    """Remove what a run writes after its second slice, but the third one's part."""
    run = lake / "metadata/runs/run_id=open"
    for path in (run / "manifest.json", run / "file_audits.jsonl", run / f"download_report_{YEAR}.csv"):
        path.unlink()
    shutil.rmtree(lake / "metadata/commits")
    *_, last = sorted(lake.glob("metadata/audits/dataset=*/year=*/release=*/company_id=*"))
    shutil.rmtree(last)


def write(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as name:
        closed, unfinished = Path(name) / "closed", Path(name) / "unfinished"
        fetch(closed, "first", release=1)
        fetch(closed, "second", release=2)
        fetch(unfinished, "open", release=1)
        leave_unfinished(unfinished)
        for lake in (closed, unfinished):
            shutil.rmtree(lake / "metadata/logs")
            shutil.copytree(lake, folder / lake.name)


if __name__ == "__main__":
    write(FOLDER)

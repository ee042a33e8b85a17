"""Checks that a lake behaves as runs expect, with one object that is written and deleted again."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from shutil import disk_usage
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.doctor.checks import Check, CheckFailedError, CheckSkippedError, Finding, require, run_checks
from etl_core.errors import PipelineError
from etl_core.lake import content_of
from etl_core.lake.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from etl_core.lake import ObjectStore

FIRST = b"first"
MAX_SKEW = timedelta(minutes=5)
BYTES_OF_A_YEAR = 9_300_000_000


# fmt: off
LAKE_CHECKS: tuple[Check, ...] = (
    Check("writable", "Can an object be written and read back?",
          "Nothing can be stored: check LAKE_URL, the folder's owner or the role's rights, and free space."),
    Check("create_only_reported", "Does a second writer of a key learn what is there?",
          "Two runs would overwrite each other's proofs: use a store that honours If-None-Match, or a folder."),
    Check("create_only_kept", "Does the first content stay?",
          "What is proved can be lost: use a store that honours If-None-Match, or a folder."),
    Check("same_content_agrees", "Can the same content be written twice without a conflict?",
          "No run can resume: the store changes what it keeps, use another."),
    Check("listed", "Does a listing show what was written?",
          "Runs would fetch proved slices again: allow listing, or use a store with consistent listings."),
    Check("clock", "Do the lake's clock and ours differ by less than 5 minutes?",
          "S3 refuses requests from 15 minutes on, and caches age wrongly: set this machine's clock (NTP).",
               required=False),
    Check("free_space", "Is there room for a year?",
          "A year takes up to 9.3 GB: free some space, or fetch a part with --max-files.", required=False),
)
# fmt: on


class LakeDoctor:
    """One method per check, named by its id: returns what it found, or raises."""

    def __init__(
        self,
        store: ObjectStore,
        now: Callable[[], datetime],
        room: Callable[[Path], int] = lambda root: disk_usage(root).free,
    ) -> None:
        self._store = store
        self._now = now
        self._room = room
        self._written = False
        self.key = lake_layout.doctor.lake_probe(uuid.uuid4().hex)

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """Run all checks; one probe object is written and deleted again."""
        try:
            return run_checks(LAKE_CHECKS, self, say)
        finally:
            with contextlib.suppress(PipelineError):
                self._store.delete(self.key)

    def writable(self) -> str:
        created = self._store.put_new(self.key, FIRST).created
        self._written = created and self._store.get(self.key) == FIRST
        return require(
            self._written, found=f"{self._store.url} took {self.key}.", otherwise=f"{self.key} is not what was written."
        )

    def create_only_reported(self) -> str:
        result = self._probed.put_new(self.key, b"second")
        right = not result.created and result.sha256 == content_of(FIRST)
        return require(
            right,
            found="it gets the first one's hash.",
            otherwise="the store reports that it created an object that was there.",
        )

    def create_only_kept(self) -> str:
        there = self._probed.get(self.key)
        return require(there == FIRST, found="it stays.", otherwise=f"after a second writer the key holds {there!r}.")

    def same_content_agrees(self) -> str:
        there = self._probed.get(self.key) or b""
        result = self._probed.put_new(self.key, there)
        right = not result.created and result.sha256 == content_of(there)
        return require(
            right,
            found="the hash is the same.",
            otherwise=f"the store reports sha256 {result.sha256}, created: {result.created}.",
        )

    def listed(self) -> str:
        return require(
            self.key in [one.key for one in self._probed.list(self.key)],
            found="it does.",
            otherwise="the probe is not listed.",
        )

    def clock(self) -> str:
        found, now = self._probed.head(self.key), self._now()
        if found is None:
            raise CheckFailedError("the probe has no metadata.")
        ahead = (now - found.modified).total_seconds()
        return require(
            abs(ahead) < MAX_SKEW.total_seconds(),
            found=f"{ahead:.0f} s.",
            otherwise=f"ours is {ahead:+,.0f} s from the lake's.",
        )

    def free_space(self) -> str:
        if not isinstance(self._store, DirectoryStore) or not self._written:
            raise CheckSkippedError("only a folder that can be written to has a size.")
        free = self._room(self._store.root)
        return require(
            free >= BYTES_OF_A_YEAR,
            found=f"{free / 1e9:,.1f} GB are free.",
            otherwise=f"{free / 1e9:,.1f} GB are free.",
        )

    @property
    def _probed(self) -> ObjectStore:
        if not self._written:
            raise CheckSkippedError("the lake cannot be written to.")
        return self._store

"""Asks a lake whether what a run assumes of it holds, with one object that is written and deleted again."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from shutil import disk_usage
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.doctor.checks import Assumption, Finding, NoError, NotAskedError, either, examine_each
from etl_core.errors import PipelineError
from etl_core.lake import content_of
from etl_core.lake.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from etl_core.lake import ObjectStore

FIRST = b"first"
MOST_SKEW = timedelta(minutes=5)
BYTES_OF_A_YEAR = 9_300_000_000


# fmt: off
OF_LAKE: tuple[Assumption, ...] = (
    Assumption("writable", "Can an object be written and read back?",
               "Nothing can be kept: check LAKE_URL, who owns the folder or the role's rights, and free space."),
    Assumption("create_only_told", "Is a second writer of a key told what is there?",
               "Two runs would overwrite each other's proofs: use a store that honours If-None-Match, or a folder."),
    Assumption("create_only_kept", "Does the first content stay?",
               "What is proved can be lost: use a store that honours If-None-Match, or a folder."),
    Assumption("same_content_agrees", "Is the same content written twice no conflict?",
               "A run cannot be taken up again: the store changes what it keeps, use another."),
    Assumption("listed", "Does a listing show what was written?",
               "Runs would fetch what is proved already: allow listing, or wait until the store agrees with itself."),
    Assumption("clock", "Do the lake's clock and ours differ by less than 5 minutes?",
               "S3 refuses requests from 15 minutes on, and caches age wrongly: set this machine's clock (NTP).",
               required=False),
    Assumption("deletable", "Can the probe be deleted again?",
               "--overwrite is refused here, which may be wanted; the probe stays where it is.", required=False),
    Assumption("free_space", "Is there room for a year?",
               "A year takes up to 9.3 GB: free some space, or fetch a part with --max-files.", required=False),
)
# fmt: on


class LakeDoctor:
    """A method an assumption, under its id: gives a sentence of what was found, or raises."""

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
        self.key = lake_layout.lake_probe(uuid.uuid4().hex)

    def examine(self, say: Callable[[str], None]) -> list[Finding]:
        """All findings; one object is written, as a probe, and deleted again."""
        try:
            return examine_each(OF_LAKE, self, say)
        finally:
            with contextlib.suppress(PipelineError):
                self._store.delete(self.key)

    def writable(self) -> str:
        created = self._store.put_new(self.key, FIRST).created
        self._written = created and self._store.get(self.key) == FIRST
        return either(self._written, f"{self._store.url} took {self.key}.", f"{self.key} is not what was written.")

    def create_only_told(self) -> str:
        told = self._probed.put_new(self.key, b"second")
        right = not told.created and told.sha256 == content_of(FIRST)
        return either(right, "it is told the first one's hash.", "it is told that it created what was there already.")

    def create_only_kept(self) -> str:
        there = self._probed.get(self.key)
        return either(there == FIRST, "it stays.", f"after a second writer the key holds {there!r}.")

    def same_content_agrees(self) -> str:
        there = self._probed.get(self.key) or b""
        told = self._probed.put_new(self.key, there)
        right = not told.created and told.sha256 == content_of(there)
        return either(right, "it is told of the same hash.", f"it is told of {told.sha256}, created: {told.created}.")

    def listed(self) -> str:
        return either(
            self.key in [one.key for one in self._probed.list(self.key)], "it does.", "the probe is not listed."
        )

    def clock(self) -> str:
        found, now = self._probed.head(self.key), self._now()
        if found is None:
            raise NoError("the probe cannot be looked at.")
        ahead = (now - found.modified).total_seconds()
        return either(
            abs(ahead) < MOST_SKEW.total_seconds(), f"{ahead:.0f} s.", f"ours is {ahead:+,.0f} s from the lake's."
        )

    def deletable(self) -> str:
        self._probed.delete(self.key)
        return either(self._store.get(self.key) is None, "it is gone.", f"{self.key} is still there.")

    def free_space(self) -> str:
        if not isinstance(self._store, DirectoryStore) or not self._written:
            raise NotAskedError("only a folder that can be written to has an end.")
        free = self._room(self._store.root)
        return either(free >= BYTES_OF_A_YEAR, f"{free / 1e9:,.1f} GB are free.", f"{free / 1e9:,.1f} GB are free.")

    @property
    def _probed(self) -> ObjectStore:
        if not self._written:
            raise NotAskedError("it needs a lake that can be written to.")
        return self._store

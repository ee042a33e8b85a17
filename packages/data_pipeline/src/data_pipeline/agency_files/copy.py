"""The copies of one run: what is there is looked up by listings, the rest is copied by several threads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from data_pipeline.agency_files import decide
from data_pipeline.agency_files.decide import ListedFile, Outcome
from etl_core.breaker import Breaker
from etl_core.errors import ChangedError, ConfigError, PipelineError, StoppedError, UnavailableError
from etl_core.lake import compared, copy_new, key_below
from etl_core.lake.lookup import Lookup

if TYPE_CHECKING:
    from etl_core.lake import Comparison, ObjectInfo, ObjectStore
    from etl_core.progress import Progress

# As many as connections of an S3 client. The SDK needs a core for some 350 requests a second.
STREAMS = 16
RUN_ENDING_ERRORS = (StoppedError, ConfigError)


@dataclass
class Copies:
    """Of one agency, below ``folder`` of the lake."""

    source: ObjectStore
    lake: ObjectStore
    folder: str
    progress: Progress
    check_stop: Callable[[], None]
    dry_run: bool = False

    def at_sight(self, files: Iterable[ListedFile]) -> list[Outcome]:
        """What a listing of the lake says of each file, in their order; raises ``AccessError`` if it cannot be made."""
        return list(decide.at_sight(files, functools.partial(key_below, self.folder), self._there()))

    def make(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """What becomes of the files that are to be copied, in the same order.

        Raises:
            StoppedError: asked to stop; what is copied is kept. ConfigError: there is no such bucket.
            AccessError: the lake may not be listed.

        """
        there = self._there()
        open_keys = [one.file.key for one in outcomes if one.status == "to copy"]
        breaker = Breaker(2 * STREAMS, "not tried after {} consecutive failures")
        work = _Work(self, Lookup.of(self.source, open_keys), there, breaker)
        self.progress.start("copy", units=len(open_keys), rows=len(open_keys), unit_name="files")
        pool = ThreadPoolExecutor(STREAMS)
        try:
            made = list(pool.map(work.outcome_of, outcomes))
        finally:
            pool.shutdown(cancel_futures=True)
            self.progress.stop()
        if any(one.status == "copied" for one in made):
            there = self._there()  # S3 answers no size when it copies
        return [decide.verified(one, there.get(one.key)) for one in made]

    def _there(self) -> dict[str, ObjectInfo]:
        return {one.key: one for one in self.lake.list(self.folder)}


@dataclass(frozen=True)
class _Work:
    copies: Copies
    sources: Lookup
    there: Mapping[str, ObjectInfo]
    breaker: Breaker

    def outcome_of(self, one: Outcome) -> Outcome:
        """What becomes of one file; what goes wrong with it ends nothing else."""
        if one.status != "to copy":
            return one
        self.copies.check_stop()
        try:
            self.breaker.check()
            outcome = self._looked_up(one)
        except RUN_ENDING_ERRORS:
            raise
        except UnavailableError as error:
            self.breaker.failed(error)
            return decide.failed(one, error, may_list=self.sources.may_list)
        except PipelineError as error:
            outcome = decide.failed(one, error, may_list=self.sources.may_list)
        self.breaker.succeeded()
        self.copies.progress.advance(units=1, rows=1)
        return outcome

    def _looked_up(self, one: Outcome) -> Outcome:
        source, before = self.sources.find(one.file.key), self.there.get(one.key)
        if source is None:
            return replace(one, status="missing", detail="the source has no such object")
        if before is not None:
            return decide.beside(one, *self._compared(source, before))
        if self.copies.dry_run:
            return replace(one, source=source)
        try:
            return self._copied(one, source)
        except ChangedError:
            now = self.sources.store.head(one.file.key)
            if now is None:
                raise
            return self._copied(one, now)

    def _copied(self, one: Outcome, source: ObjectInfo) -> Outcome:
        made = copy_new(self.sources.store, source, self.copies.lake, one.key)
        seen = self._compared(made.source, made.copy)
        return decide.copied(one, *seen) if made.created else decide.beside(one, *seen)

    def _compared(self, source: ObjectInfo, copy: ObjectInfo) -> tuple[ObjectInfo, ObjectInfo, Comparison]:
        """Both, by their checksums if their sizes and ETags decide nothing: a listing has none."""
        if compared(source, copy) == "size":
            now = self.sources.store.head(source.key)
            source = now if now is not None and now.etag == source.etag else source
            copy = self.copies.lake.head(copy.key) or copy
        return source, copy, compared(source, copy)

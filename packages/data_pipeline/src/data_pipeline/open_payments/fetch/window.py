"""One window: fetched, proved and published, or recorded as a failed attempt.

The proof: the bytes parse in the source's dialect; the header is the table's own; every record has
the header's width, belongs to the company and the window, and has a unique id; the number of
records equals the source's count for the same condition, before and after. The windows of a split
slice are counted together when the slice is closed. Status 200 proves nothing, and nothing is
repaired: an answer that does not fit is fetched again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from data_pipeline import __version__
from data_pipeline.open_payments.fetch.answers import AnswerSink, AttemptProgress, Pages, write_answer
from data_pipeline.open_payments.fetch.task import (
    DriftedError,
    NotProvedError,
    WindowTask,
    reason_of,
    translate_release_gone,
)
from data_pipeline.open_payments.ledger.audits import keys_of
from data_pipeline.open_payments.ledger.documents import Attempt, Audit
from data_pipeline.open_payments.source import query
from data_pipeline.runs.attempts import write_attempt
from etl_core.csv_stream.reader import RecordError, RecordReader, Summary
from etl_core.errors import ConflictError, DataError, NotFoundError, PermanentError, TemporaryError
from etl_core.files import translate_os_errors
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from data_pipeline.open_payments.ledger.audits import Audits
    from data_pipeline.open_payments.source.api import Source
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.retry import Retry

Strategy = Literal["auto", "window", "pages"]
# Reasons a source that truncates long answers would cause; after two of them, pages are tried.
CUT_REASONS = frozenset({"error_row", "truncated", "rows_missing", "unavailable"})
LONG_ANSWERS_TRIED = 2
SOFTWARE = {"data_pipeline": __version__}

_log = get_logger()


@dataclass(frozen=True)
class _AttemptStart:
    """How an attempt began: time, the source's count, the strategy."""

    at: datetime
    clock: float
    expected: int
    by_pages: bool


class WindowFetcher:
    """Proves windows. Shared by the threads of a run; holds no state of a single window."""

    def __init__(
        self,
        source: Source,
        store: ObjectStore,
        audits: Audits,
        *,
        retry: Retry,
        progress: Progress,
        now: Callable[[], datetime],
        strategy: Strategy = "auto",
        streams: int = 8,
    ) -> None:
        self._source = source
        self._store = store
        self._audits = audits
        self._retry = retry
        self._progress = progress
        self._now = now
        self._strategy = strategy
        self._pages = Pages(source, store, streams)

    def prove(self, task: WindowTask) -> Audit:
        """The audit of the window: a new one, or an existing one if the source's count is the same.

        Raises:
            NotProvedError, UnavailableError: all attempts failed. BlockedError, ReleaseGoneError,
            ConflictError, DriftedError, AccessError. Failed attempts are recorded in the lake first.

        """
        started = time.monotonic()
        reasons: list[str] = []
        try:
            done = self._existing_proof(task)
            if done is not None:
                self._progress.advance(rows=done.records)
                return done
            return self._retry.call(
                lambda attempt: self._attempt(task, attempt, reasons),
                on_retry=lambda attempt, error, wait: self._on_retry(task, attempt, error, wait),
            )
        except (PermanentError, TemporaryError) as error:
            self.record_failure(task, error, number=len(reasons) or 1)
            raise
        finally:
            task.seconds += time.monotonic() - started

    def _existing_proof(self, task: WindowTask) -> Audit | None:
        """The newest proof of this very window with the source's count; if the counts differ, the source is asked.

        A part without a proof is taken up, if it is one: the next proof has its generation.
        """
        proofs, free = self._audits.window_proofs(task.company_id, task.window)
        task.generation = next((one for one in free[:-1] if self._part_at(task, one) is not None), free[-1])
        if not proofs or task.expected is None:
            return proofs[-1] if proofs else None
        if proofs[-1].records != task.expected:
            task.expected = self._count(task)  # the count may be older than the proof
        return next((one for one in reversed(proofs) if one.records == task.expected), None)

    def _count(self, task: WindowTask) -> int:
        with translate_release_gone():
            return self._source.count(task.release.distribution_id, task.conditions, task.tally)

    def _on_retry(self, task: WindowTask, attempt: int, error: TemporaryError, wait: float) -> None:
        self._source.count_retry(task.tally)
        task.expected = None  # the next attempt counts again, whatever went wrong
        self.record_failure(task, error, number=attempt, final=False)
        _log.warning(
            "retrying the window",
            company=task.company_id, window=f"{task.window.number}/{task.window.of}",
            attempt=attempt, reason=reason_of(error), wait=round(wait, 1),
        )  # fmt: skip

    def _attempt(self, task: WindowTask, attempt: int, reasons: list[str]) -> Audit:
        shown = AttemptProgress(self._progress)
        at, clock = self._now(), time.monotonic()
        by_pages = self._strategy == "pages" or (
            self._strategy == "auto" and sum(reason in CUT_REASONS for reason in reasons) >= LONG_ANSWERS_TRIED
        )
        reasons.append("")
        path = self._store.scratch_file()
        try:
            expected = self._count(task) if task.expected is None else task.expected
            start = _AttemptStart(at, clock, expected, by_pages)
            with translate_release_gone():
                url, summary = self._fetch(task, start, path, shown, bypass_cache=attempt > 1)
            count_after = self._count_after(task, summary) if task.window.is_whole_slice else None
            return self._publish(task, path, url, summary, count_after, start)
        except BaseException as error:
            shown.take_back()
            if isinstance(error, TemporaryError):
                reasons[-1] = reason_of(error)
            if reasons[-2:] == ["header", "header"]:
                raise DriftedError(str(error), advice="The table changed its columns. Nothing was kept.") from error
            raise
        finally:
            path.unlink(missing_ok=True)

    def _fetch(
        self, task: WindowTask, start: _AttemptStart, path: Path, shown: AttemptProgress, *, bypass_cache: bool
    ) -> tuple[str, Summary]:
        """Write the answer to ``path``; returns its URL and what one pass over the bytes found."""
        reader, expected = RecordReader(task.layout), start.expected
        write = self._pages.write if start.by_pages else partial(write_answer, self._source)
        try:
            with translate_os_errors(f"write {path}"), path.open("wb") as stream:
                url = write(task, expected, AnswerSink(stream, reader, shown), bypass_cache=bypass_cache)
            if reader.records > expected:
                raise RecordError("rows_extra", f"more than {reader.records - 1} records, the source counts {expected}")
            summary = reader.finish()
            if summary.records < expected:
                raise RecordError("rows_missing", f"{summary.records} records, the source counts {expected}")
        except RecordError as error:
            raise NotProvedError(
                error.reason, error.detail, records=reader.records, received=reader.received, expected=expected
            ) from error
        return url, summary

    def _count_after(self, task: WindowTask, summary: Summary) -> int:
        """The count after the download; requested twice before a good file is discarded."""
        counted = self._count(task)
        if counted != summary.records:
            counted = self._count(task)
        if counted != summary.records:
            raise NotProvedError(
                "count_moved",
                f"{summary.records} records as counted before, the source now counts {counted}",
                records=summary.records, received=summary.bytes, expected=summary.records,
            )  # fmt: skip
        return counted

    def _publish(
        self, task: WindowTask, path: Path, url: str, summary: Summary, count_after: int | None, start: _AttemptStart
    ) -> Audit:
        window = task.window
        key = keys_of(task.release, task.company_id).part(window.number, window.of, task.generation)
        put = self._store.put_new(key, path, sha256=summary.sha256)
        published = (
            summary if put.created or put.sha256 == summary.sha256 else self._compare_with_existing(task, key, summary)
        )
        audit = Audit(
            release=task.release,
            company_id=task.company_id,
            window=task.window,
            generation=task.generation,
            key=key,
            url=url,
            condition=query.describe(task.conditions),
            strategy="pages" if start.by_pages else "window",
            verdict="proved" if summary.records else "empty",
            records=summary.records,
            bytes=published.bytes,
            sha256=published.sha256,
            content_hash=summary.content_hash,
            header_hash=published.header_hash,
            dialect=published.dialect,
            count_before=start.expected,
            count_after=count_after,
            started_at=start.at,
            proved_at=self._now(),
            seconds=round(time.monotonic() - start.clock, 3),
            requests=task.tally.requests,
            retries=task.tally.retries,
            software=SOFTWARE,
        )
        return self._audits.publish_part(audit)

    def _compare_with_existing(self, task: WindowTask, key: str, ours: Summary) -> Summary:
        """The summary of the part that already has the key, if it holds the same records.

        The source has no order, so the same window fetched twice has equal content and different
        bytes; the first part stays. A part without a proof and with another number of records is
        older than a change of the table: it becomes an orphan for ``gc``.
        """
        theirs = self._part_at(task, task.generation)
        if theirs is None or theirs.records != ours.records:
            task.generation += 1
            held = "is no part" if theirs is None else f"already holds {theirs.records} records"
            raise NotProvedError(
                "count_moved",
                f"{key} {held}, this answer has {ours.records}; both are kept",
                records=ours.records, received=ours.bytes, expected=ours.records,
            )  # fmt: skip
        if theirs.content_hash != ours.content_hash:
            raise ConflictError(
                f"{key} already holds content {theirs.content_hash}, this run found {ours.content_hash}.",
                advice="The existing part has no audit. Inspect it, move it away, then run again.",
            )
        return theirs

    def _part_at(self, task: WindowTask, generation: int) -> Summary | None:
        """What the lake holds as the window's part of this generation; None for what is no part of the window."""
        key = keys_of(task.release, task.company_id).part(task.window.number, task.window.of, generation)
        reader = RecordReader(task.layout)
        try:
            for chunk in self._store.read(key):
                reader.feed(chunk)
            return reader.finish()
        except (RecordError, DataError, NotFoundError) as error:  # not found: a folder has the place of the part
            _log.warning("passed over an object that is no part; verify reports it", key=key, error=str(error))
            return None

    def record_failure(self, task: WindowTask, error: Exception, *, number: int = 1, final: bool = True) -> None:
        """Record a failed attempt in the lake, or in the log if the lake cannot be written."""
        found = error if isinstance(error, NotProvedError) else None
        attempt = Attempt(
            run_id=task.run_id,
            release=task.release,
            company_id=task.company_id,
            window=task.window,
            attempt=number,
            reason=reason_of(error),
            detail=found.detail if found else str(error),
            temporary=isinstance(error, TemporaryError),
            final=final,
            condition=query.describe(task.conditions),
            count_before=found.expected if found else None,
            records=found.records if found else 0,
            bytes=found.received if found else 0,
            at=self._now(),
        )
        try:
            write_attempt(self._store, attempt)
        except (PermanentError, TemporaryError) as unwritten:
            _log.warning("a failed attempt could not be recorded", reason=attempt.reason, error=str(unwritten))

"""The rows of a window: one answer, or sorted pages joined in order.

The bytes are checked on their way to the disk. ``window`` decides whether they prove the window.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from etl_core.csv_stream.reader import RecordError, require_header
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from data_pipeline.open_payments.fetch.task import WindowTask
    from data_pipeline.open_payments.source.api import Source
    from etl_core.csv_stream.reader import RecordReader
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress

ROWS_PER_PAGE = 5000  # S1.4
CHUNK = 256 * 1024


class AttemptProgress:
    """The rows of one attempt on the progress bar; a failed attempt takes them back."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows = 0

    def up_to(self, rows: int, received: int) -> None:
        """Show ``rows`` in all, and ``received`` bytes more."""
        self._progress.advance(rows=rows - self._rows, bytes_read=received)
        self._rows = rows

    def take_back(self) -> None:
        """Remove the rows of a failed attempt."""
        self._progress.advance(rows=-self._rows)
        self._rows = 0


class AnswerSink:
    """Where the bytes of one attempt go: a file, the reader that checks them, the progress bar."""

    def __init__(self, stream: BinaryIO, reader: RecordReader, shown: AttemptProgress) -> None:
        self._stream = stream
        self._shown = shown
        self.reader = reader

    def take(self, chunk: bytes) -> None:
        """Check, write and show the next bytes."""
        self.reader.feed(chunk)
        self._stream.write(chunk)
        self._shown.up_to(self.reader.records, len(chunk))


def write_answer(source: Source, task: WindowTask, expected: int, to: AnswerSink, *, bypass_cache: bool) -> str:
    """Write the whole window from one answer; returns its URL."""
    with source.download(
        task.release.distribution_id, task.conditions, bypass_cache=bypass_cache, tally=task.tally
    ) as answer:
        for chunk in answer.chunks:
            to.take(chunk)
            if to.reader.records > expected:
                break  # the source ignored the conditions: gigabytes could follow
        return answer.url


class Pages:
    """Sorted pages of 5,000 rows, fetched in parallel and joined in order."""

    def __init__(self, source: Source, store: ObjectStore, streams: int) -> None:
        self._source = source
        self._store = store
        self._streams = streams

    def write(self, task: WindowTask, expected: int, to: AnswerSink, *, bypass_cache: bool) -> str:
        """Write the whole window; returns the URL of its first page."""
        offsets = range(0, max(expected, 1), ROWS_PER_PAGE)
        paths = [self._store.scratch_file() for _ in offsets]
        tallies = [Tally() for _ in offsets]

        def fetch(index: int) -> str:
            return self._fetch(task, offsets[index], paths[index], tallies[index], bypass_cache=bypass_cache)

        try:
            with ThreadPoolExecutor(min(len(offsets), self._streams)) as pool:
                urls = list(pool.map(fetch, range(len(offsets))))
            for number, path in enumerate(paths, 1):
                _join(task, path, number, to)
            return urls[0]
        finally:
            for tally in tallies:
                task.tally.add(tally)
            for path in paths:
                path.unlink(missing_ok=True)

    def _fetch(self, task: WindowTask, offset: int, path: Path, tally: Tally, *, bypass_cache: bool) -> str:
        with (
            self._source.download(
                task.release.distribution_id,
                task.conditions,
                sort=task.columns.record_id,
                limit=ROWS_PER_PAGE,
                offset=offset,
                bypass_cache=bypass_cache,
                tally=tally,
            ) as answer,
            path.open("wb") as page,
        ):
            for chunk in answer.chunks:
                page.write(chunk)
            return answer.url


def _join(task: WindowTask, path: Path, number: int, to: AnswerSink) -> None:
    """Append a page without its header: every page has one."""
    with path.open("rb") as page:
        if number > 1:
            try:
                require_header(page.readline().removesuffix(b"\n"), task.layout)
            except RecordError as error:
                raise RecordError(error.reason, f"page {number}: {error.detail}") from error
        while chunk := page.read(CHUNK):
            to.take(chunk)

"""The rows of a window as the source answers them: one answer, or sorted pages joined in order.

Whatever comes is read on its way to the disk; whether it is the window is ``download``'s to say.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from data_pipeline.open_payments.schema import RECORD_ID
from etl_core.csv_stream.reader import RecordError
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


class Shown:
    """Rows of one attempt on the progress bar; an attempt that fails takes them back."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._rows = 0

    def up_to(self, rows: int, received: int) -> None:
        """So many rows are here, and so many bytes more than before."""
        self._progress.advance(rows=rows - self._rows, bytes_read=received)
        self._rows = rows

    def take_back(self) -> None:
        """None of them counts."""
        self._progress.advance(rows=-self._rows)
        self._rows = 0


class Answer:
    """Where the bytes of one attempt go: a file, the reader that judges them, the progress bar."""

    def __init__(self, stream: BinaryIO, reader: RecordReader, shown: Shown) -> None:
        self._stream = stream
        self._shown = shown
        self.reader = reader

    def take(self, chunk: bytes) -> None:
        """The next bytes."""
        self.reader.feed(chunk)
        self._stream.write(chunk)
        self._shown.up_to(self.reader.records, len(chunk))


def write_answer(source: Source, task: WindowTask, expected: int, to: Answer, *, past_caches: bool) -> str:
    """The whole window in one answer; gives its URL."""
    with source.download(
        task.release.distribution_id, task.conditions, past_caches=past_caches, tally=task.tally
    ) as answer:
        for chunk in answer.chunks:
            to.take(chunk)
            if to.reader.records > expected:
                break  # the conditions were ignored: this could go on for gigabytes
        return answer.url


class Pages:
    """Sorted pages of 5,000: one after another if there is one, else in parallel; joined in order."""

    def __init__(self, source: Source, store: ObjectStore, streams: int) -> None:
        self._source = source
        self._store = store
        self._streams = streams

    def write(self, task: WindowTask, expected: int, to: Answer, *, past_caches: bool) -> str:
        """The whole window; gives the URL of its first page."""
        offsets = range(0, max(expected, 1), ROWS_PER_PAGE)
        paths = [self._store.scratch_file() for _ in offsets]
        tallies = [Tally() for _ in offsets]

        def fetch(index: int) -> str:
            return self._fetch(task, offsets[index], paths[index], tallies[index], past_caches=past_caches)

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

    def _fetch(self, task: WindowTask, offset: int, path: Path, tally: Tally, *, past_caches: bool) -> str:
        with (
            self._source.download(
                task.release.distribution_id,
                task.conditions,
                sort=task.columns.name_of(RECORD_ID),
                limit=ROWS_PER_PAGE,
                offset=offset,
                past_caches=past_caches,
                tally=tally,
            ) as answer,
            path.open("wb") as page,
        ):
            for chunk in answer.chunks:
                page.write(chunk)
            return answer.url


def _join(task: WindowTask, path: Path, number: int, to: Answer) -> None:
    """A page behind those before it, without the header that every page begins with."""
    with path.open("rb") as page:
        if number > 1:
            header = page.readline()
            names = header.rstrip(b"\n").replace(b'"', b"").decode("utf-8", "replace").split(",")
            if names not in (list(task.columns.titles), list(task.columns.names)):
                raise RecordError("header", f"page {number} begins with another header")
        while chunk := page.read(CHUNK):
            to.take(chunk)

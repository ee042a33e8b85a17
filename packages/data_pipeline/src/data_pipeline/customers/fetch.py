"""Pages fetched into the lake, where they mark how far a run is."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

from data_pipeline import lake_layout
from data_pipeline.customers.documents import CustomersAttempt
from data_pipeline.customers.pages import (
    Metadata,
    Page,
    Record,
    WrongPageError,
    content_of,
    last_of,
    next_page,
    parse,
    require_expected,
    size_of,
)  # fmt: skip
from data_pipeline.runs.attempts import write_attempt
from etl_core.errors import DataError, NotFoundError, PipelineError, TemporaryError, UnavailableError
from etl_core.lake import content_of as sha256_of
from etl_core.logs import get_logger
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from data_pipeline.customers.api import Api
    from data_pipeline.customers.documents import CustomersPlan
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.retry import Retry

# Failures of one page. All others end the run: a refused token, a long pause, a signal, and whatever the lake raises.
DEAD_LETTERS = (UnavailableError, DataError, NotFoundError)

_log = get_logger()


def reason_of(error: PipelineError) -> str:
    """A stable word for why a page could not be fetched."""
    is_wrong = isinstance(error, WrongPageError)
    return "wrong_page" if is_wrong else "unavailable" if isinstance(error, TemporaryError) else "refused"


class Pages:
    """The pages of one run: those that are there, by sweep and number, and how to fetch the others."""

    def __init__(
        self,
        api: Api,
        store: ObjectStore,
        plan: CustomersPlan,
        *,
        retry: Retry,
        now: Callable[[], datetime],
        progress: Progress,
        give_up_after: int,
    ) -> None:
        self._api = api
        self._store = store
        self._plan = plan
        self._retry = retry
        self._now = now
        self._progress = progress
        self._give_up_after = give_up_after
        self.sweeps: dict[int, dict[int, Page]] = {}
        self.dead: dict[int, PipelineError] = {}
        for prefix in (*plan.pages_from, plan.pages):
            for entry in store.list(prefix):
                place = lake_layout.customers.place_of_page(entry.key)
                if place is not None:
                    self._add(*place, entry.key)

    @property
    def all(self) -> list[Page]:
        """Those that are there."""
        return [page for sweep in self.sweeps.values() for page in sweep.values()]

    def sweep(self, number: int) -> None:
        """Fetch what a sweep lacks. Pages that keep failing are left as dead letters.

        Raises:
            AccessError, BlockedError: the API wants no further request; what was fetched is kept.
            UnavailableError, DataError: so many pages in a row failed that the rest is left. StoppedError.

        """
        own = self.sweeps.setdefault(number, {})
        in_a_row, is_shown = 0, False
        while (page := next_page(own, self.dead)) is not None:
            try:
                body = self._fetch(number, page, own)
            except DEAD_LETTERS as error:
                self.dead[page] = error
                in_a_row += 1
                self._give_up(in_a_row, error)
                continue
            in_a_row = 0
            key = lake_layout.customers.page(self._plan.pages, number, page)
            raw = gzip.compress(body, mtime=0)
            is_ours = self._store.put_new(key, raw).sha256 == sha256_of(raw)
            found = self._add(number, page, key, body if is_ours else None)
            if not is_shown:
                units, rows = last_of(found.said) or 0, found.said.total or 0
                self._progress.start(f"customers, sweep {number}", units=units, rows=rows, unit_name="pages")
                is_shown = True
            self._progress.advance(units=1, rows=found.rows, bytes_read=len(body))

    def records(self, page: Page) -> list[Record]:
        """The rows of a page that the lake has."""
        return self._read(page.key)[1]

    def _fetch(self, sweep: int, page: int, own: dict[int, Page]) -> bytes:
        """The answer to one page, tried again until it is that page; each failed try is kept in the lake."""
        tries = 0

        def once(attempt: int) -> bytes:
            nonlocal tries
            tries = attempt
            body = self._api.page(page, size_of(own) or self._plan.per_page)
            try:
                require_expected(parse(body, self._plan.fields)[0], page, own)
            except WrongPageError as error:
                raise WrongPageError(f"page {page} was answered with {error}") from error
            return body

        def keep(error: PipelineError, *, final: bool) -> None:
            kept = CustomersAttempt(
                run_id=self._plan.run_id, sweep=sweep, page=page, attempt=tries, reason=reason_of(error),
                detail=str(error), temporary=isinstance(error, TemporaryError), final=final, records=0, bytes=0,
                at=self._now(),
            )  # fmt: skip
            write_attempt(self._store, kept)

        def note(_attempt: int, error: TemporaryError, wait: float) -> None:
            self._api.client.count_retry(Tally())
            _log.warning("Retrying a page", after_attempt=tries, wait=round(wait, 1), because=str(error))
            keep(error, final=False)

        try:
            return self._retry.call(once, on_retry=note)
        except DEAD_LETTERS as error:
            keep(error, final=True)
            raise

    def _give_up(self, in_a_row: int, error: PipelineError) -> None:
        _log.error("a page is left as a dead letter", because=str(error))
        if in_a_row >= self._give_up_after:
            message = f"stopped after {in_a_row} pages in a row failed, the last: {error}"
            advice = "What was fetched is kept: run the same command again."
            if isinstance(error, UnavailableError):
                raise UnavailableError(message, advice=advice, retry_after=error.retry_after) from error
            raise DataError(message, advice=advice) from error

    def _add(self, sweep: int, number: int, key: str, body: bytes | None = None) -> Page:
        said, rows = self._read(key) if body is None else parse(body, self._plan.fields)
        # Only where there is no total are rows compared with those of another sweep.
        page = Page(key, sweep, number, len(rows), "" if said.total is not None else content_of(rows), said)
        self.sweeps.setdefault(sweep, {})[number] = page
        return page

    def _read(self, key: str) -> tuple[Metadata, list[Record]]:
        try:
            return parse(gzip.decompress(self._store.get(key) or b""), self._plan.fields)
        except (OSError, EOFError, zlib.error, WrongPageError) as error:
            raise DataError(
                f"{self._store.url}/{key} is not a page of the API as it was stored: {error}.",
                advice="Restore it from a copy of the lake, or start another run with --new.",
            ) from error

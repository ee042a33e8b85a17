"""Pages fetched into the lake, where they mark how far a run is."""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from data_pipeline import lake_layout
from data_pipeline.customers.documents import CustomersAttempt
from data_pipeline.runs.attempts import write_attempt
from etl_core.breaker import Breaker
from etl_core.errors import DataError, NotFoundError, PipelineError, TemporaryError, UnavailableError
from etl_core.lake import content_of as sha256_of
from etl_core.logs import get_logger
from etl_core.paging import pages
from etl_core.paging.pages import Page, WrongPageError
from etl_core.paging.sweep import Sweep
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

# What a page says of itself, and its rows.
Answer: TypeAlias = tuple[pages.Metadata, list[pages.Record]]

_log = get_logger()


@dataclass(frozen=True)
class Crm:
    """The API, the lake, and how hard the one is asked for the other."""

    api: Api
    store: ObjectStore
    retry: Retry
    now: Callable[[], datetime]
    progress: Progress
    fields: pages.Fields
    per_page: int
    most_sweeps: int
    give_up_after: int


def reason_of(error: PipelineError) -> str:
    """A stable word for why a page could not be fetched."""
    is_wrong = isinstance(error, WrongPageError)
    return "wrong_page" if is_wrong else "unavailable" if isinstance(error, TemporaryError) else "refused"


class Pages:
    """The pages of one run: those that are there, by sweep and number, and how to fetch the others."""

    def __init__(self, crm: Crm, plan: CustomersPlan) -> None:
        self._crm = crm
        self._plan = plan
        self.sweeps: defaultdict[int, Sweep] = defaultdict(Sweep)
        self.dead: dict[int, PipelineError] = {}
        for prefix in (*plan.pages_from, plan.pages):
            for entry in crm.store.list(prefix):
                if place := lake_layout.customers.place_of_page(entry.key):
                    self._add(*place, entry.key, *self._read(entry.key))

    @property
    def all(self) -> list[Page]:
        """Those that are there."""
        return [page for sweep in self.sweeps.values() for page in sweep.pages.values()]

    def records(self, page: Page) -> list[pages.Record]:
        """The rows of a page that the lake has."""
        return self._read(page.key)[1]

    def sweep(self, number: int) -> None:
        """Fetch what a sweep lacks. Pages that keep failing are left as dead letters.

        Raises:
            AccessError, BlockedError: the API wants no further request; what was fetched is kept.
            UnavailableError, DataError: so many pages in a row failed that the rest is left. StoppedError.

        """
        own, progress = self.sweeps[number], self._crm.progress
        says, advice = "stopped after {} pages in a row failed", "What was fetched is kept: run the same command again."
        breaker = Breaker(self._crm.give_up_after, says, advice=advice)
        while (page := own.next_page(self.dead)) is not None:
            try:
                body, answer = self._fetch(number, page, own)
            except DEAD_LETTERS as error:
                self.dead[page] = error
                _log.error("a page is left as a dead letter", because=str(error))
                breaker.failed(error)
                breaker.check()
                continue
            breaker.succeeded()
            key, raw = lake_layout.customers.page(self._plan.pages, number, page), gzip.compress(body, mtime=0)
            is_ours = self._crm.store.put_new(key, raw).sha256 == sha256_of(raw)
            found = self._add(number, page, key, *(answer if is_ours else self._read(key)))
            if len(own.pages) == 1:
                rows, units = found.said.total or 0, pages.last_of(found.said) or 0
                progress.start(f"customers, sweep {number}", units=units, rows=rows, unit_name="pages")
            progress.advance(units=1, rows=found.rows, bytes_read=len(body))

    def _fetch(self, sweep: int, page: int, own: Sweep) -> tuple[bytes, Answer]:
        """The answer to one page, tried again until it is that page; each failed try is kept in the lake."""
        tries = 0

        def once(attempt: int) -> tuple[bytes, Answer]:
            nonlocal tries
            tries = attempt
            body = self._crm.api.page(page, own.size or self._plan.per_page)
            try:
                answer = pages.parse(body, self._plan.fields)
                own.require_expected(*answer, page)
            except WrongPageError as error:
                raise WrongPageError(f"page {page} was answered with {error}") from error
            return body, answer

        def keep(error: PipelineError, *, final: bool) -> None:
            why: dict[str, Any] = {"reason": reason_of(error), "detail": str(error), "at": self._crm.now()}
            why |= {"attempt": tries, "temporary": isinstance(error, TemporaryError), "records": 0, "bytes": 0}
            attempt = CustomersAttempt(run_id=self._plan.run_id, sweep=sweep, page=page, final=final, **why)
            write_attempt(self._crm.store, attempt)

        def note(_attempt: int, error: TemporaryError, wait: float) -> None:
            self._crm.api.client.count_retry(Tally())
            _log.warning("Retrying a page", after_attempt=tries, wait=round(wait, 1), because=str(error))
            keep(error, final=False)

        try:
            return self._crm.retry.call(once, on_retry=note)
        except DEAD_LETTERS as error:
            keep(error, final=True)
            raise

    def _add(self, sweep: int, number: int, key: str, said: pages.Metadata, rows: list[pages.Record]) -> Page:
        # Only where there is no total are rows compared with those of another sweep.
        content = "" if said.total is not None else pages.content_of(rows)
        page = Page(key, sweep, number, len(rows), content, said)
        self.sweeps[sweep].add(page)
        return page

    def _read(self, key: str) -> Answer:
        try:
            return pages.parse(gzip.decompress(self._crm.store.get(key) or b""), self._plan.fields)
        except (OSError, EOFError, zlib.error, WrongPageError) as error:
            raise DataError(
                f"{self._crm.store.url}/{key} is not a page of the API as it was stored: {error}.",
                advice="Restore it from a copy of the lake, or start another run with --new.",
            ) from error

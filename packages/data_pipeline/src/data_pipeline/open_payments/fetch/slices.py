"""A slice: opened into windows, closed into one proof."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import structlog

from data_pipeline.open_payments.fetch.task import NotProvedError, WindowTask, release_still_there
from data_pipeline.open_payments.fetch.window import WindowFetcher
from data_pipeline.open_payments.schema import DATE_OF_PAYMENT, RECORD_ID
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.api import COUNTS_TRIED
from data_pipeline.open_payments.windows import cut, rows_of, tile_the_slice, tiles
from etl_core.errors import DataError, PermanentError, TemporaryError, UnavailableError, UnreachableError
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from data_pipeline.open_payments.ledger.audits import Audits
    from data_pipeline.open_payments.ledger.documents import Audit, PlannedCompany, Release, SliceAudit
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.windows import Window
    from etl_core.progress import Progress

_log = structlog.get_logger()


class Slices:
    """The slices of one release: what a crew works on.

    ``trusted_counts`` says that the plan's counts are counts of this very release, so that a
    small slice need not be counted again before it is fetched.
    """

    def __init__(
        self,
        source: Source,
        audits: Audits,
        fetcher: WindowFetcher,
        *,
        run_id: str,
        release: Release,
        columns: Columns,
        trusted_counts: bool,
        now: Callable[[], datetime],
        progress: Progress,
    ) -> None:
        self._source = source
        self._audits = audits
        self._fetcher = fetcher
        self._run_id = run_id
        self._release = release
        self._columns = columns
        self._trusted_counts = trusted_counts
        self._now = now
        self._progress = progress

    def open(self, company: PlannedCompany, of: int | None = None) -> list[WindowTask]:
        """The windows of the slice and the source's count for each; ``of`` says how many, else its count does.

        One grouped count by date gives the counts of all windows of a slice that is cut; where the
        source answers none, each window is counted when its turn comes.
        """
        tally = Tally()
        rows = company.rows if self._trusted_counts else None
        with self._kept(company), release_still_there():
            if rows is None:
                rows = self._source.count(self._release.distribution_id, self._conditions(company), tally)
            windows, expected = self._cut(company, rows, of, tally)
        tasks = [self._task(company, window, expected.get(window.number)) for window in windows]
        tasks[0].tally.add(tally)
        return tasks

    def prove(self, task: WindowTask) -> Audit:
        """Prove one window."""
        return self._fetcher.prove(task)

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit:
        """Close the slice: after the last row of all its windows, the source still counts each as it was proved.

        Raises:
            DataError: the parts are not all windows of one cut.
            NotProvedError: it does not, and went on changing; the table changes under the run.

        """
        counts_after: tuple[int, ...] = ()
        with self._kept(company):
            if not tile_the_slice([part.window for part in parts]):
                raise DataError(
                    f"the {len(parts)} proved windows of company {company.company_id} leave a gap or overlap.",
                    advice="Nothing was closed. Run the same command again; if it repeats, report it.",
                )
            if len(parts) > 1:
                parts = self._held_against_counts(company, parts, tally)
                counts_after = tuple(part.records for part in parts)
            count_after = sum(counts_after) if counts_after else parts[0].count_after
            if count_after != sum(part.records for part in parts):
                raise NotProvedError("count_moved", f"{parts[0].records} records, {count_after} counted after them")
            audit = self._audits.close_slice(company.company_id, tuple(parts), count_after, self._now(), counts_after)
        self._progress.advance(slices=1)
        return audit

    @contextlib.contextmanager
    def _kept(self, company: PlannedCompany) -> Iterator[None]:
        """Keep in the lake why a slice could be neither opened nor closed, as its windows' failures are kept."""
        try:
            yield
        except (PermanentError, TemporaryError) as error:
            self._fetcher.keep(self._task(company, tiles(1)[0], None), error)
            raise

    def _held_against_counts(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> Sequence[Audit]:
        """The parts, each as large as the source counts it now; one whose count moved is proved anew.

        One count by date stands for the windows' own: it comes after the last row of all of them, it
        is of one moment, and it costs the source one look at the slice instead of one a window.
        """
        windows = tuple(one.window for one in parts)
        doubted: set[int] = set()
        for number in range(COUNTS_TRIED):
            with release_still_there():
                counts = self._counts_of(company, windows, tally)
            moved = {part.window.number for part in parts if part.records != counts[part.window.number]}
            if not moved:
                return parts
            if number == COUNTS_TRIED - 1:
                break
            # A count is asked for twice before a proved part is doubted for it.
            tasks = {
                window.number: self._task(company, window, counts[window.number])
                for window in windows
                if window.number in moved & doubted
            }
            parts = [self.prove(tasks[one.window.number]) if one.window.number in tasks else one for one in parts]
            for task in tasks.values():
                _log.info("the count of a proved window moved", company=company.company_id, window=task.window.number)
                tally.add(task.tally)
            doubted |= moved
        held = {part.window.number: part.records for part in parts}
        raise NotProvedError(
            "count_moved",
            f"the {len(parts)} proved windows of company {company.company_id} hold {sum(held.values())} records, "
            f"the source counts {sum(counts.values())}; its windows {sorted(moved)} went on changing",
            records=sum(held.values()), expected=sum(counts.values()),
        )  # fmt: skip

    def _counts_of(self, company: PlannedCompany, windows: tuple[Window, ...], tally: Tally) -> dict[int, int]:
        """The source's count of each window now: all at once by date, one by one where it groups nothing."""
        by_date = self._by_date(company, tally)
        if by_date is not None:
            return rows_of(windows, by_date)
        tasks = [self._task(company, window, None) for window in windows]
        distribution_id = self._release.distribution_id
        return {task.window.number: self._source.count(distribution_id, task.conditions, tally) for task in tasks}

    def _task(self, company: PlannedCompany, window: Window, expected: int | None) -> WindowTask:
        return WindowTask(self._run_id, self._release, self._columns, company.company_id, window, expected)

    def _conditions(self, company: PlannedCompany) -> tuple[query.Condition, ...]:
        return query.conditions_of(self._columns, company.company_id)

    def _cut(
        self, company: PlannedCompany, rows: int, of: int | None, tally: Tally
    ) -> tuple[tuple[Window, ...], dict[int, int]]:
        """The windows and the count of each; counts that disagree are asked for anew before they are doubted."""
        counted = 0
        for _ in range(COUNTS_TRIED):
            windows = cut(rows) if of is None else tiles(of)
            if len(windows) == 1:
                return windows, {1: rows}
            by_date = self._by_date(company, tally)
            if by_date is None:
                return windows, {}
            counted = sum(by_date.values())
            if counted == rows:
                return windows, rows_of(windows, by_date)
            rows = self._source.count(self._release.distribution_id, self._conditions(company), tally)
        raise NotProvedError(
            "counts_disagree", f"company {company.company_id} has {rows} rows and {counted} by payment date"
        )

    def _by_date(self, company: PlannedCompany, tally: Tally) -> dict[str, int] | None:
        """Rows per payment date; None where the source answers no grouped count."""
        date_column, key = self._columns.name_of(DATE_OF_PAYMENT), self._columns.name_of(RECORD_ID)
        distribution_id, conditions = self._release.distribution_id, self._conditions(company)
        try:
            return self._source.grouped_counts(distribution_id, date_column, key, conditions, tally=tally)
        except UnreachableError:
            raise
        except (DataError, UnavailableError) as error:
            _log.warning("no count by date, counting window by window", company=company.company_id, error=str(error))
            return None

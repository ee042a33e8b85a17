"""Slices: opened into windows, closed with one proof."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from data_pipeline.lake_layout.ids import shown_company
from data_pipeline.open_payments.fetch.task import NotProvedError, WindowTask, translate_release_gone
from data_pipeline.open_payments.fetch.window import WindowFetcher
from data_pipeline.open_payments.source import query
from data_pipeline.open_payments.source.api import COUNTS_TRIED
from data_pipeline.open_payments.windows import rows_of, tile_the_slice, tiles
from etl_core.errors import DataError, PermanentError, TemporaryError, UnavailableError, UnreachableError
from etl_core.logs import get_logger
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

_log = get_logger()


class Slices:
    """The slices of one release, as a crew works on them.

    ``trusted_counts``: the plan's counts are counts of this release, so a small slice is not
    counted again before it is fetched.
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
        """The windows of the slice, with the source's count of each.

        ``of`` is the number of windows; by default it follows from the slice's count. One grouped
        count by date gives the counts of all windows; if the source does not answer it, each
        window is counted when its turn comes.
        """
        tally = Tally()
        rows = company.rows if self._trusted_counts else None
        with self._recording_failures(company), translate_release_gone():
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
        """Close the slice if the source still counts each window as it was proved, after the last row of all.

        Raises:
            DataError: the parts are not all windows of one cut.
            NotProvedError: the counts differ and keep changing: the table changes during the run.

        """
        counts_after: tuple[int, ...] = ()
        with self._recording_failures(company):
            if not tile_the_slice([part.window for part in parts]):
                raise DataError(
                    f"the {len(parts)} proved windows of company {shown_company(company.company_id)} "
                    "leave a gap or overlap.",
                    advice="Nothing was closed. Run the same command again; if it repeats, report it.",
                )
            if len(parts) > 1:
                parts = self._recount(company, parts, tally)
                counts_after = tuple(part.records for part in parts)
            count_after = sum(counts_after) if counts_after else parts[0].count_after
            if count_after != sum(part.records for part in parts):
                raise NotProvedError("count_moved", f"{parts[0].records} records, {count_after} counted after them")
            audit = self._audits.close_slice(company.company_id, tuple(parts), count_after, self._now(), counts_after)
        self._progress.advance(units=1)
        return audit

    @contextlib.contextmanager
    def _recording_failures(self, company: PlannedCompany) -> Iterator[None]:
        """Record in the lake why a slice could not be opened or closed."""
        try:
            yield
        except (PermanentError, TemporaryError) as error:
            self._fetcher.record_failure(self._task(company, tiles(1)[0], None), error)
            raise

    def _recount(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> Sequence[Audit]:
        """The parts, each with the source's current count; a window whose count changed is proved again.

        One count by date replaces a count per window: it comes after the last row of all windows,
        describes one moment, and makes the source read the slice once instead of once per window.
        """
        windows = tuple(one.window for one in parts)
        changed_before: set[int] = set()
        for number in range(COUNTS_TRIED):
            with translate_release_gone():
                counts = self._counts_of(company, windows, tally)
            moved = {part.window.number for part in parts if part.records != counts[part.window.number]}
            if not moved:
                return parts
            if number == COUNTS_TRIED - 1:
                break
            # Only a change seen twice makes a proved part be fetched again.
            tasks = {
                window.number: self._task(company, window, counts[window.number])
                for window in windows
                if window.number in moved & changed_before
            }
            parts = [self.prove(tasks[one.window.number]) if one.window.number in tasks else one for one in parts]
            for task in tasks.values():
                _log.info("the count of a proved window changed", company=company.company_id, window=task.window.number)
                tally.add(task.tally)
            changed_before |= moved
        held = {part.window.number: part.records for part in parts}
        raise NotProvedError(
            "count_moved",
            f"the {len(parts)} proved windows of company {shown_company(company.company_id)} "
            f"hold {sum(held.values())} records, the source counts {sum(counts.values())}; "
            f"windows {sorted(moved)} keep changing",
            records=sum(held.values()), expected=sum(counts.values()),
        )  # fmt: skip

    def _counts_of(self, company: PlannedCompany, windows: tuple[Window, ...], tally: Tally) -> dict[int, int]:
        """The source's current count of each window: by date in one request, else window by window."""
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
        """The windows and the count of each; counts that disagree are requested again, up to three times."""
        counted = 0
        for _ in range(COUNTS_TRIED):
            windows = self._columns.dataset.cut(rows) if of is None else tiles(of)
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
            "counts_disagree",
            f"company {shown_company(company.company_id)} has {rows} rows and {counted} by payment date",
        )

    def _by_date(self, company: PlannedCompany, tally: Tally) -> dict[str, int] | None:
        """Rows per payment date; None where the source answers no grouped count."""
        columns, distribution_id, conditions = self._columns, self._release.distribution_id, self._conditions(company)
        try:
            return self._source.grouped_counts(
                distribution_id, columns.date, columns.record_id, conditions, tally=tally
            )
        except UnreachableError:
            raise
        except (DataError, UnavailableError) as error:
            _log.warning("no count by date, counting window by window", company=company.company_id, error=str(error))
            return None

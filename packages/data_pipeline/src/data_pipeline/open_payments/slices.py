"""A slice: opened into windows, closed into one proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_pipeline.open_payments import query
from data_pipeline.open_payments.download import WindowFetcher, WindowTask
from data_pipeline.open_payments.schema import DATE_OF_PAYMENT, PAYER_ID, RECORD_ID
from data_pipeline.open_payments.windows import cut, rows_of
from etl_core.errors import TemporaryError
from etl_core.telemetry import Tally

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from data_pipeline.open_payments.audits import Audits
    from data_pipeline.open_payments.facts import Audit, PlannedCompany, Release, SliceAudit
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.source import Source
    from data_pipeline.open_payments.windows import Window
    from etl_core.progress import Progress


COUNTS_TRIED = 3


class SliceMovedError(TemporaryError):
    """The slice's count is not what it was, or not what its windows sum to."""


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

    def open(self, company: PlannedCompany) -> list[WindowTask]:
        """The windows of the slice and the source's count for each.

        One grouped count by date gives the counts of all windows of a slice that is cut.
        """
        tally = Tally()
        rows = company.rows if self._trusted_counts else None
        if rows is None:
            rows = self._source.count(self._release.distribution_id, self._conditions(company), tally)
        windows, expected = self._cut(company, rows, tally)
        tasks = [
            WindowTask(
                self._run_id,
                self._release,
                self._columns,
                company.company_id,
                window,
                expected[window.number],
            )
            for window in windows
        ]
        tasks[0].tally.add(tally)
        return tasks

    def prove(self, task: WindowTask) -> Audit:
        """Prove one window."""
        return self._fetcher.prove(task)

    def close(self, company: PlannedCompany, parts: Sequence[Audit], tally: Tally) -> SliceAudit:
        """Close the slice: its windows tile it and sum to the source's count of the whole.

        Raises:
            SliceMovedError: they do not; the table changed under the run.

        """
        records = sum(part.records for part in parts)
        if len(parts) == 1:
            count_after = parts[0].count_after
        else:
            count_after = self._source.count(self._release.distribution_id, self._conditions(company), tally)
            if count_after != records:
                count_after = self._source.count(self._release.distribution_id, self._conditions(company), tally)
        if count_after != records:
            raise SliceMovedError(
                f"the {len(parts)} proved windows of company {company.company_id} hold {records} records, "
                f"the source counts {count_after} for the whole slice."
            )
        audit = self._audits.close_slice(company.company_id, tuple(parts), count_after, self._now())
        self._progress.advance(slices=1)
        return audit

    @staticmethod
    def conditions_of(columns: Columns, company_id: str) -> tuple[query.Condition, ...]:
        """What the source is asked for to have the whole slice."""
        return query.slice_conditions(columns.name_of(PAYER_ID), company_id)

    def _conditions(self, company: PlannedCompany) -> tuple[query.Condition, ...]:
        return self.conditions_of(self._columns, company.company_id)

    def _cut(self, company: PlannedCompany, rows: int, tally: Tally) -> tuple[tuple[Window, ...], dict[int, int]]:
        """The windows and the count of each; counts that disagree are asked for anew before they are doubted."""
        date_column, key = self._columns.name_of(DATE_OF_PAYMENT), self._columns.name_of(RECORD_ID)
        conditions = self._conditions(company)
        by_date: dict[str, int] = {}
        for _ in range(COUNTS_TRIED):
            windows = cut(rows)
            if len(windows) == 1:
                return windows, {1: rows}
            by_date = self._source.grouped_counts(
                self._release.distribution_id, date_column, key, conditions, tally=tally
            )
            if sum(by_date.values()) == rows:
                return windows, rows_of(windows, by_date)
            rows = self._source.count(self._release.distribution_id, conditions, tally)
        raise SliceMovedError(
            f"company {company.company_id} has {rows} rows and {sum(by_date.values())} by payment date: "
            "the source contradicts itself."
        )

"""From a selection to a committed run, in steps: prepare, work, commit."""

from __future__ import annotations

import operator
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.fetch.crew import Crew, Outcome
from data_pipeline.open_payments.fetch.slices import Slices
from data_pipeline.open_payments.fetch.window import Strategy, WindowFetcher
from data_pipeline.open_payments.ledger import commit, open_work, plans, releases, schemas
from data_pipeline.open_payments.ledger.audits import Audits
from data_pipeline.open_payments.ledger.documents import Plan, PlannedCompany
from data_pipeline.open_payments.ledger.selection import Forecast, describe, forecast, select
from data_pipeline.open_payments.source.catalogue import Catalogue
from data_pipeline.open_payments.source.companies import must_be_listed
from data_pipeline.open_payments.source.query import conditions_of
from data_pipeline.open_payments.source.reference_count import Confirmation, confirm
from data_pipeline.open_payments.source.summaries import Summaries
from data_pipeline.open_payments.source.totals import TotalsBuilder, TotalsChoice
from data_pipeline.runs.plans import default_run_id, write_plan
from etl_core.csv_stream.layout import excerpt
from etl_core.errors import DataError, NotFoundError, TemporaryError, UsageError
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from data_pipeline.open_payments.ledger.documents import CountsFrom, Manifest, Selection
    from data_pipeline.open_payments.ledger.summaries import KeptSummary
    from data_pipeline.open_payments.schema import Columns
    from data_pipeline.open_payments.source.api import Source
    from data_pipeline.open_payments.source.catalogue import ResolvedRelease
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.retry import Retry
    from etl_core.stop import Stop

_log = get_logger()


@dataclass(frozen=True)
class PreparedRun:
    """A run about to begin."""

    plan: Plan
    resolved: ResolvedRelease
    proved: set[str] = field(default_factory=set)
    manifest: Manifest | None = None
    counted_now: tuple[PlannedCompany, ...] | None = None
    joined: bool = False
    """Whether its plan existed already: another process may be working on it."""

    @property
    def todo(self) -> list[PlannedCompany]:
        """Planned slices that nobody has proved yet, or not at the source's count of now."""
        companies = self.plan.companies if self.counted_now is None else self.counted_now
        return [company for company in companies if company.company_id not in self.proved]


class Pipeline:
    """Everything alive comes through the constructor."""

    def __init__(
        self,
        source: Source,
        store: ObjectStore,
        *,
        retry: Retry,
        now: Callable[[], datetime],
        progress: Progress,
        stop: Stop,
        streams: int,
    ) -> None:
        self._source = source
        self._store = store
        self._retry = retry
        self._now = now
        self._progress = progress
        self._stop = stop
        self._streams = streams
        self.catalogue = Catalogue(source, store, now)
        self._summaries = Summaries(source, store, retry, now)
        self.totals = TotalsBuilder(source, store, now, progress, workers=streams)

    def prepare(
        self,
        selection: Selection,
        run_id: str,
        totals: TotalsChoice,
        *,
        trust_count: bool = False,
        dry_run: bool = False,
    ) -> PreparedRun:
        """The plan of the run: the newest open one of this selection, of this name if one is given, or a new one.

        A completed run whose table has not changed since is the run, too.
        ``trust_count`` plans a new one even where the table lacks rows of the reference count; it is never completed.

        Raises:
            UsageError: no such year or company selection. NotFoundError: the year is not published.
            ConflictError: the run id belongs to another selection. DataError: the table
            lacks a column that the proof needs. HalfImportedError: it is still being imported.

        """
        _log.info("finding the release", dataset=selection.dataset, year=selection.year)
        resolved = self.catalogue.resolve(dataset_named(selection.dataset), selection.year)
        resolved = replace(resolved, release=releases.as_named(self._store, resolved.release))
        schemas.must_be_provable(resolved.release, resolved.table.columns)
        found = self._existing(selection, run_id, resolved, dry_run=dry_run)
        if found is not None:
            plan, manifest = found
            if manifest is not None:
                return PreparedRun(plan, resolved, set(Audits(self._store, plan.release).closed()), manifest)
            counted_now = self._counted_now(plan, resolved)
            as_of_now = plan.model_copy(update={"companies": counted_now or plan.companies})
            proved = open_work.proved_companies(self._store, as_of_now)
            return PreparedRun(plan, resolved, proved, counted_now=counted_now, joined=True)
        self._must_be_of_its_year(resolved)
        plan = ours = self._plan(selection, run_id, resolved, totals, trust_count=trust_count)
        if not dry_run:
            resolved = replace(resolved, release=releases.name(self._store, resolved.release))
            ours = ours.model_copy(update={"release": resolved.release})
            schemas.write_schema(self._store, resolved.release, resolved.table.columns)
            plan = write_plan(self._store, ours)
        joined = plan.created_at != ours.created_at
        return PreparedRun(plan, resolved, open_work.proved_companies(self._store, plan), joined=joined)

    def forecast(self, prepared: PreparedRun) -> Forecast:
        """What is left to do, and what it will cost."""
        dataset = dataset_named(prepared.plan.release.dataset)
        return forecast(dataset, prepared.plan.companies, prepared.proved, streams=self._streams)

    def work(self, prepared: PreparedRun, strategy: Strategy = "auto") -> list[Outcome]:
        """Prove what is not proved yet; failed slices are outcomes, not exceptions.

        Raises:
            StoppedError: asked to stop.

        """
        plan, todo = prepared.plan, prepared.todo
        slices = self.slices(plan, prepared.resolved.table.columns, strategy)
        self._progress.start(describe(plan.selection), units=len(todo), rows=sum(one.rows or 0 for one in todo))
        try:
            rank = _anywhere if prepared.joined else operator.neg
            return Crew(slices, streams=self._streams, rank=rank, interrupting=self._stop.requested).run(todo)
        finally:
            self._progress.stop()

    def slices(self, plan: Plan, columns: Columns, strategy: Strategy = "auto") -> Slices:
        """The slices of a planned run: what a crew works on, in this process or in a pod."""
        audits = Audits(self._store, plan.release)
        fetcher = WindowFetcher(
            self._source,
            self._store,
            audits,
            retry=self._retry,
            progress=self._progress,
            now=self._now,
            strategy=strategy,
            streams=self._streams,
        )
        return Slices(
            self._source,
            audits,
            fetcher,
            run_id=plan.run_id,
            release=plan.release,
            columns=columns,
            trusted_counts=plan.counts_from != "entities",
            now=self._now,
            progress=self._progress,
        )

    def keep_summaries(self, plan: Plan, *, is_committed: bool) -> tuple[KeptSummary, ...]:
        """Store what CMS's own summaries say of the year of a run that took all of it, before its manifest.

        Once it is committed, only those that the lake has nothing of.
        """
        if not plan.selection.is_whole_year:
            return ()
        return self._summaries.keep(plan.release.year, only_missing=is_committed)

    def commit(self, plan: Plan, outcomes: list[Outcome]) -> Manifest:
        """Look at the source once more, then write the manifest.

        A run of the whole year is compared with the source's count of every company, and so is one under
        which the table's count moved. A source that cannot be asked at the end leaves the plan's own
        view of it: what is proved stays proved, and the next run of the selection asks again.
        """
        release, source_rows = plan.release, plan.source_rows
        by_payer: dict[str, int] | None = None
        try:
            resolved = self.catalogue.resolve(dataset_named(plan.release.dataset), plan.release.year)
            same = resolved.release.distribution_id == plan.release.distribution_id
            release, source_rows = plan.release if same else resolved.release, resolved.table.rows
            if same and (plan.selection.is_whole_year or source_rows != plan.source_rows):
                by_payer = self._by_payer(resolved)
                source_rows = source_rows if by_payer is None else sum(by_payer.values())
        except (TemporaryError, NotFoundError, DataError, UsageError) as error:
            _log.warning("the source could not be asked again at the end", error=str(error))
        return commit.commit_run(
            self._store,
            plan,
            known={outcome.company.company_id: outcome.result for outcome in outcomes},
            source_rows=source_rows,
            release_at_end=release,
            now=self._now(),
            by_payer=by_payer,
        )

    def _by_payer(self, resolved: ResolvedRelease) -> dict[str, int] | None:
        try:
            with self._progress.showing("comparing the slices with the source's counts"):
                return self.totals.by_payer(resolved)
        except (TemporaryError, DataError) as error:
            _log.warning("the slices could not be compared with a count by payer at the end", error=str(error))
            return None

    def _must_be_of_its_year(self, resolved: ResolvedRelease) -> None:
        """Ask one record before thousands of companies are fetched in vain; the proof checks each of them."""
        release, table = resolved.release, resolved.table
        found = self._source.value_of_a_record(table, table.columns.dataset.program_year_column)
        if found not in ("", str(release.year)):
            raise DataError(
                f"dataset {release.dataset_id}, listed as {release.year} of {release.dataset}, holds records of "
                f"program year {excerpt(found.encode())}.",
                advice="Nothing was fetched. Run again once CMS has corrected it.",
            )

    def _existing(
        self, selection: Selection, run_id: str, resolved: ResolvedRelease, *, dry_run: bool
    ) -> tuple[Plan, Manifest | None] | None:
        found = plans.newest_run(self._store, selection, resolved.release, run_id)
        if found is None:
            return None
        plan, manifest = found
        if manifest is not None and not dry_run:
            commit.complete_run(self._store, manifest)
        # If the table changed after that run was completed, a new run proves what changed.
        moved = manifest is not None and not plans.is_over(plan, manifest) and self._moved_since(manifest, resolved)
        return None if moved or plans.is_over(plan, manifest) else found

    def _moved_since(self, manifest: Manifest, resolved: ResolvedRelease) -> bool:
        """Whether the table has another count than when the run ended; asked twice before it is believed."""
        then = manifest.closure.source_rows
        return resolved.table.rows != then and self._source.count(resolved.release.distribution_id) != then

    def _counted_now(self, plan: Plan, resolved: ResolvedRelease) -> tuple[PlannedCompany, ...] | None:
        """The companies that an open run chose by id, if the table moved since: nobody compares them at the end."""
        if not plan.selection.chosen_ids or resolved.table.rows == plan.source_rows:
            return None
        return self._counted(plan.selection, resolved)

    def _counted(self, selection: Selection, resolved: ResolvedRelease) -> tuple[PlannedCompany, ...]:
        """The companies that are chosen by id, by the source's counts of now."""
        table = resolved.table

        def counted(company_id: str) -> PlannedCompany:
            rows = self._source.count(table.distribution_id, conditions_of(table.columns, company_id))
            return PlannedCompany(company_id=company_id, rows=rows)

        with ThreadPoolExecutor(self._streams) as pool:
            return tuple(pool.map(counted, selection.chosen_ids))

    def _plan(
        self, selection: Selection, run_id: str, resolved: ResolvedRelease, choice: TotalsChoice, *, trust_count: bool
    ) -> Plan:
        if selection.rerun_of is not None:
            before, companies = open_work.open_companies(
                self._store, selection.rerun_of, selection.rerun_what or "missing"
            )
            plans.must_be_current(before, resolved.release)
            counts_from = before.counts_from
            confirmation = Confirmation(before.reference_rows, trusts_count=before.trusts_count)
        else:
            confirmation = confirm(self._source, self._store, resolved, trust_count=trust_count)
            companies, counts_from = self._chosen(selection, resolved, choice)
        return Plan(
            run_id=run_id or default_run_id(self._now()),
            selection=selection,
            release=resolved.release,
            counts_from=counts_from,
            source_rows=resolved.table.rows,
            reference_rows=confirmation.reference_rows,
            trusts_count=confirmation.trusts_count,
            companies=companies,
            created_at=self._now(),
        )

    def _chosen(
        self, selection: Selection, resolved: ResolvedRelease, choice: TotalsChoice
    ) -> tuple[tuple[PlannedCompany, ...], CountsFrom]:
        _log.info("counting rows per company", year=selection.year)
        if selection.chosen_ids:
            with self._progress.showing("counting the rows of the chosen companies"):
                companies = self._counted(selection, resolved)
                must_be_listed(self._source, [one.company_id for one in companies if not one.rows])
            return companies, "count"
        # Every N-th of all companies needs all; the first N do not.
        at_most = selection.max_files if selection.slice_of is None else None
        found = self.totals.ensure(resolved, choice, at_most=at_most)
        # Totals may be older than the end of a run that counted payers otherwise.
        by_company = found.rows | plans.counts_at_end(self._store, resolved.release, since=found.built_at)
        return select({one: count for one, count in by_company.items() if count != 0}, selection), found.route


def _anywhere(_rows: int) -> float:
    """Processes that all begin with the heaviest fetch the same windows at the same time."""
    return random.random()

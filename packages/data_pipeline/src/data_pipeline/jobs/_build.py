"""What the job ``build`` does: the steps of each year, then the marts and the pages, each with a line on stderr."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from data_pipeline.jobs import _steps as steps
from data_pipeline.jobs import _tables as tables
from data_pipeline.jobs._origins import origin_of
from data_pipeline.lake_layout.lakehouse import reports
from data_pipeline.lake_layout.open_payments import year_scope
from data_pipeline.lakehouse.builds import current_build
from data_pipeline.lakehouse.facts import BuildFact, BuiltYear
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.plans import read_manifest
from data_pipeline.open_payments.run import run as ingest
from data_pipeline.open_payments.summary import failure_lines, text_of
from data_pipeline.reports.summary import Page, lines_of
from etl_core.errors import DONE, TEMPORARY, DataError, PipelineError, StoppedError, UnavailableError
from etl_core.stdio import say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.open_payments.facts import RunFact
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Selection

Start = Literal["source", "raw"]
STEPS = ("ingest", "stage", "curate", "marts", "report")
# What steps say that found their work done.
NOTHING_NEW = frozenset({"already done", "committed", "kept", "already staged", "already built", "already there"})


@dataclass
class Year:
    """A program year on its way: the status of each step that it reached, and what stopped it."""

    selection: Selection
    steps: dict[str, str] = field(default_factory=dict)
    code: int = DONE.code
    error: str = ""
    failure: PipelineError | None = None


class Build:
    """``how`` is what ``run`` takes beside a selection."""

    def __init__(self, context: Context, start: Start, how: Mapping[str, Any]) -> None:
        self._context = context
        self._start = start
        self._how = how
        self._shown_at = context.seconds

    def of(self, selections: Sequence[Selection]) -> BuildFact:
        """Make everything of these years; what fails only one of several is in the fact.

        Raises:
            PipelineError: what stopped the first year, if none could be made; or what stopped marts or pages.

        """
        years = [Year(one) for one in selections]
        for year in years:
            self._tables_of(year)
            if year.code == TEMPORARY.code:
                break  # the next year would meet the same source
        made = [one for one in years if "curate" in one.steps]
        if not made and years[0].failure is not None:
            raise years[0].failure
        marts = steps.build_marts(self._context)
        warned = f", {len(marts.warnings)} warned" if marts.warnings else ""
        self._show("marts", marts.status, f"{len(marts.tables)} tables, {marts.tests} tests passed{warned}")
        pages = {one.selection.year: self._page_of(one) for one in made}
        ask = self._context.command("query", "--tables")
        self._context.explain(*lines_of(list(pages.values()), self._context.store.uri(marts.file), ask))
        facts = [_fact_of(one, pages.get(one.selection.year)) for one in years]
        code = max(one.code for one in years)
        is_new = {marts.status, *(status for one in years for status in one.steps.values())} - NOTHING_NEW
        status = "incomplete" if code else "built" if is_new else "already built"
        return self._fact(selections, status, code, facts, marts=marts.build, file=marts.file)

    def plan(self, selections: Sequence[Selection]) -> BuildFact:
        """What there is to do; nothing is written. Raises as ``of`` does."""
        years = []
        for selection in selections:
            first = self._first_step(selection)
            to_do = STEPS[STEPS.index(first) :] if first else ()
            said = {one: "to do" if one in to_do else "nothing to do" for one in STEPS}
            say(f"{selection.dataset} {selection.year}  to do: {', '.join(to_do) or 'nothing'}")
            years.append(BuiltYear(year=selection.year, status="planned", steps=said))
        return self._fact(selections, "planned", DONE.code, years)

    def _tables_of(self, year: Year) -> None:
        """Fetch, stage and curate; what stops this year alone is noted in it."""
        say(f"{year.selection.dataset} {year.selection.year}")
        try:
            run = self._committed(year)
            kept = self._complete_build_before(run)
            if kept is not None:
                year.steps |= {"stage": "kept", "curate": "kept"}
                self._show("tables", "kept", f"those of run {kept.run_id}, which has the whole year")
                return
            origin = origin_of(self._context, run)
            staged = steps.stage(self._context, origin)
            year.steps["stage"] = staged.status
            self._show("stage", staged.status, f"{staged.rows:,} records, {staged.quarantined:,} in quarantine")
            curated = steps.curate(self._context, origin)
            year.steps["curate"] = curated.status
            self._show("curate", curated.status, f"{len(curated.tables)} tables, {curated.bytes / 1e6:,.1f} MB")
        except StoppedError:
            raise
        except PipelineError as error:
            year.failure, year.error, year.code = error, str(error), max(year.code, error.exit_status.code)
            say(f"  failed   {error}")

    def _committed(self, year: Year) -> Run:
        """The run that the tables are made of: from the source, or the newest one in the lake."""
        if self._start == "raw":
            run = tables.newest_committed(self._context, year.selection)
            year.steps["ingest"] = "committed"
            self._show("raw", "committed", f"run {run.manifest.run_id}, {run.manifest.rows:,} records")
            return run
        fact = ingest(self._context, year.selection, on_start=self._context.begin, **self._how)
        year.steps["ingest"], year.code = fact.status, fact.exit_code
        self._show("ingest", fact.status, said_of(fact))
        say(*(f"  {line}" for line in failure_lines(fact)))
        if fact.failed:
            year.error = f"{fact.failed:,} of {fact.planned:,} companies failed"
        if not fact.proved + fact.empty:
            raise nothing_proved(fact)
        return open_run(self._context.store, fact.run_id)

    def _complete_build_before(self, run: Run) -> BuildManifest | None:
        """The build that readers see, if it is of a closed run and this run is not: a part never replaces it."""
        seen = current_build(self._context.store, year_scope(run.manifest.dataset, run.manifest.year))
        return seen if seen is not None and seen.closed and not run.manifest.is_closed else None

    def _page_of(self, year: Year) -> Page:
        """Write the page of a year whose tables are there."""
        fact, figures = steps.report(self._context, year.selection.dataset, year.selection.year)
        year.steps["report"] = fact.status
        self._show("report", fact.status, fact.page)
        return Page(figures, fact.uri, fact.page)

    def _first_step(self, selection: Selection) -> str | None:
        """The first one that has something to do; None if all is done."""
        run = self._run_if_done(selection)
        if run is None:
            return "ingest"
        if self._complete_build_before(run) is None:
            origin = origin_of(self._context, run)
            staging = tables.staging_of(self._context, origin)
            if len(staging.done()) < len(staging.parts.audits):
                return "stage"
            if tables.curation_of(self._context, origin).current() is None:
                return "curate"
        marts = steps.marts_of(self._context).current()
        if marts is None:
            return "marts"
        pages = reports(year_scope(selection.dataset, selection.year), marts.number)
        return None if any(self._context.store.list(pages)) else "report"

    def _run_if_done(self, selection: Selection) -> Run | None:
        """The committed run of a selection, if nothing is left to fetch."""
        if self._start == "raw":
            return tables.newest_committed(self._context, selection)
        fact = ingest(self._context, selection, dry_run=True, **self._how)
        say(*text_of(fact).split("\n"))
        is_done = fact.expected is not None and not fact.expected.companies
        is_committed = read_manifest(self._context.store, fact.run_id) is not None
        return open_run(self._context.store, fact.run_id) if is_done and is_committed else None

    def _show(self, step: str, status: str, said: str) -> None:
        """A line about a step that ended, with its seconds."""
        now = self._context.seconds
        say(f"  {step:8} {now - self._shown_at:6.1f} s  {status}: {said}")
        self._shown_at = now

    def _fact(
        self, selections: Sequence[Selection], status: str, code: int, years: Sequence[BuiltYear], **marts: str
    ) -> BuildFact:
        cost = self._context.cost
        return BuildFact.model_validate(
            {
                **self._context.said_by_all,
                "run_id": self._context.run_id,
                "status": status,
                "exit_code": code,
                "dataset": selections[0].dataset,
                "years": years,
                "requests": cost["requests"],
                "retries": cost["retries"],
                **marts,
            }
        )


def _fact_of(year: Year, page: Page | None) -> BuiltYear:
    said: dict[str, Any] = {"year": year.selection.year, "steps": year.steps, "error": year.error}
    if page is None:
        return BuiltYear(status="failed" if year.failure else "not tried", **said)
    source = page.figures.source
    return BuiltYear(
        status="closed" if source.closed else "partial",
        run_id=source.run_id,
        release=source.release,
        rows=source.rows,
        quarantined=source.quarantined,
        amount_usd=source.amount_usd,
        page=page.key,
        uri=page.uri,
        **said,
    )


def nothing_proved(fact: RunFact) -> PipelineError:
    """Of a run that failed as a whole: there is nothing to make tables of."""
    message = f"no company of {fact.dataset} {fact.year} could be proved; run {fact.run_id} says why."
    if fact.exit_code == TEMPORARY.code:
        return UnavailableError(message, advice="Run it again later.", retry_after=fact.retry_after_seconds)
    return DataError(message)


def said_of(fact: RunFact) -> str:
    """A run in a line."""
    return (
        f"{fact.proved + fact.empty:,} of {fact.planned:,} companies proved, {fact.rows:,} records, "
        f"{fact.bytes / 1e6:,.1f} MB; {fact.requests:,} requests, {fact.retries:,} of them retries"
    )

"""The library calls of Open Payments: ``run``, ``rerun``, ``commit`` and ``upload``.

They print nothing, install no signal handler and never end the process. They return the fact of the run; slices that
failed are part of it, every other failure is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from data_pipeline.open_payments import facts
from data_pipeline.open_payments.facts import Costs, RunFact
from data_pipeline.open_payments.ledger import open_work, plans
from data_pipeline.open_payments.ledger.commit import read_slices, repair_run
from data_pipeline.open_payments.ledger.committed import open_run
from data_pipeline.open_payments.ledger.documents import Selection
from data_pipeline.open_payments.ledger.manifest import results_from_lake
from data_pipeline.open_payments.operations.upload import upload_run
from data_pipeline.open_payments.source.totals import TotalsChoice
from data_pipeline.runs.copying import Copying
from etl_core import logs
from etl_core.errors import DONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from data_pipeline.open_payments.fetch.crew import Outcome
    from data_pipeline.open_payments.fetch.window import Strategy
    from data_pipeline.open_payments.ledger.summaries import KeptSummary
    from data_pipeline.open_payments.pipeline import Pipeline
    from etl_core.lake import ObjectStore
    from etl_core.telemetry import Telemetry

__all__ = ["RunFact", "Selection", "Services", "TotalsChoice", "commit", "ignore", "rerun", "run", "upload"]


class Services(Protocol):
    """What a run needs; ``wiring.Services`` has it."""

    @property
    def pipeline(self) -> Pipeline:
        """Source and lake."""
        ...

    @property
    def store(self) -> ObjectStore:
        """The lake."""
        ...

    @property
    def telemetry(self) -> Telemetry:
        """The counters of the source's client."""
        ...


def ignore(_text: str) -> None:
    """The default of callbacks."""


@logs.silent_unless_configured()
def run(
    services: Services,
    selection: Selection,
    *,
    run_id: str = "",
    totals: TotalsChoice | None = None,
    strategy: Strategy = "auto",
    trust_count: bool = False,
    dry_run: bool = False,
    with_manifest: bool = True,
    upload_to: ObjectStore | None = None,
    job: str = "run_pipeline",
    on_start: Callable[[str], None] = ignore,
) -> RunFact:
    """Fetch, prove and commit what is selected; what is proved already is not fetched again.

    Without ``with_manifest`` the run is not committed, as in ``download_company``. ``upload_to`` is another lake that
    gets a copy of the committed run. ``on_start`` is called with the run's id before anything is fetched.

    Raises:
        UsageError: no such year or company selection. NotFoundError: the year is not published.
        ConflictError: the run id belongs to another selection. DataError: the table cannot be proved.
        TemporaryError: the source or the lake does not answer. StoppedError: asked to stop.

    """
    costs = Costs(services.telemetry)
    pipeline = services.pipeline
    prepared = pipeline.prepare(selection, run_id, totals or TotalsChoice(), trust_count=trust_count, dry_run=dry_run)
    plan, manifest = prepared.plan, prepared.manifest
    outcomes: list[Outcome] = []
    summaries: tuple[KeptSummary, ...] = ()
    is_done = manifest is not None or (not with_manifest and not prepared.todo)
    if not is_done and not dry_run:
        on_start(plan.run_id)
        outcomes = pipeline.work(prepared, strategy)
    if with_manifest and not dry_run:
        summaries = pipeline.keep_summaries(plan, is_committed=manifest is not None)
    if not is_done and not dry_run:
        manifest = pipeline.commit(plan, outcomes) if with_manifest else None
    if dry_run:
        fact = facts.planned_fact(pipeline.forecast(prepared), plan, prepared.todo)
    elif is_done:
        if manifest is not None:
            results = manifest.slices
        else:
            results = results_from_lake(plan, read_slices(services.store, plan), [], {})
        fact = {"status": "already done", "exit_code": DONE.code, **facts.counts_of(results)}
    else:
        fact = facts.ended_fact(manifest, outcomes)
    if manifest is not None:
        fact |= {"closed": manifest.closure.closed, "note": manifest.closure.note, "summaries": summaries}
        if upload_to is not None:
            fact["upload"] = upload(services.store, upload_to, manifest.run_id)
    return facts.fact_of(RunFact, services.store, plan, costs, job=job, **fact)


@logs.silent_unless_configured()
def rerun(
    services: Services,
    run_id: str,
    what: Literal["failed", "missing"],
    *,
    strategy: Strategy = "auto",
    dry_run: bool = False,
    on_start: Callable[[str], None] = ignore,
) -> RunFact:
    """Retry the ``failed`` or all ``missing`` companies of a run, as a run of their own; raises as ``run`` does."""
    costs = Costs(services.telemetry)
    before, companies = open_work.open_companies(services.store, run_id, what)
    selection = Selection(
        dataset=before.selection.dataset, year=before.selection.year, rerun_of=run_id, rerun_what=what
    )
    if not companies and plans.find_run(services.store, selection, before.release) is None:
        done = {"status": "already done", "exit_code": DONE.code, "note": f"no company of run {run_id} is {what}"}
        return facts.fact_of(RunFact, services.store, before, costs, job="rerun", **done)
    return run(services, selection, strategy=strategy, dry_run=dry_run, job="rerun", on_start=on_start)


@logs.silent_unless_configured()
def commit(services: Services, run_id: str, *, on_start: Callable[[str], None] = ignore) -> RunFact:
    """Write the manifest of a planned run; of one that is committed, repair the files beside it.

    Raises:
        NotFoundError: there is no such run.

    """
    costs = Costs(services.telemetry)
    plan = plans.require_plan(services.store, run_id)
    manifest = plans.read_manifest(services.store, run_id)
    summaries: tuple[KeptSummary, ...] = ()
    if manifest is None:
        on_start(run_id)
        summaries = services.pipeline.keep_summaries(plan, is_committed=False)
        manifest = services.pipeline.commit(plan, [])
    else:
        repair_run(services.store, manifest)
    fact = facts.committed_fact(services.store, manifest) | {"summaries": summaries}
    return facts.fact_of(RunFact, services.store, plan, costs, job="write_manifest", **fact)


def upload(
    store: ObjectStore,
    other: ObjectStore,
    run_id: str,
    *,
    overwrite: bool = False,
    dry_run: bool = False,
    on_file: Callable[[str], None] = ignore,
) -> facts.UploadFact:
    """Copy a committed run to another lake, its manifest last; ``on_file`` gets a line per file.

    Raises:
        NotFoundError: there is no such run. DataError: it is not committed. ConflictError: the other lake has other
        content under one of its keys.

    """
    copying = Copying(store, other, overwrite, dry_run, on_file)
    copied = upload_run(copying, open_run(store, run_id))
    return facts.UploadFact(
        status="planned" if dry_run else "uploaded" if copied.copied else "already uploaded",
        to=other.url,
        planned=copied.files,
        copied=copied.copied,
        same=copied.same,
        bytes=copied.bytes,
    )

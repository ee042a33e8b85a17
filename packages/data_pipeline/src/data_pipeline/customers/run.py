"""From nothing, or from what a killed process left, to a committed run.

Nothing here prints or installs a signal handler. A difference to the total, and pages that could not be fetched, are
part of the manifest; every other failure is raised, and leaves a run that the same call continues.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from data_pipeline import lake_layout
from data_pipeline.customers.columns import columns
from data_pipeline.customers.documents import (
    DATASET,
    CustomersAttempt,
    CustomersManifest,
    CustomersPlan,
    FieldCounts,
    Selection,
)  # fmt: skip
from data_pipeline.customers.fetch import Crm, Pages, reason_of
from data_pipeline.customers.report import report_of
from data_pipeline.runs import commit, committed, extract, plans
from data_pipeline.runs.attempts import read_attempts
from etl_core.csv_stream.from_json import JsonAsCsv
from etl_core.errors import UsageError
from etl_core.lake import put_new_numbered, scratch_folder
from etl_core.paging import sweeps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from etl_core.paging.sweeps import Choice


class Ended(NamedTuple):
    """A committed run; ``worked`` is false if it was committed before."""

    manifest: CustomersManifest
    worked: bool


class Made(NamedTuple):
    """The file of some pages."""

    choice: Choice
    csv: JsonAsCsv


def ingest(crm: Crm, run_id: str = "", *, new: bool = False, on_start: Callable[[str], object] = str) -> Ended:
    """Continue the newest unfinished run, else begin one, unless today's is completed.

    Of one that ended today without some of its pages these are fetched. Of runs named ``run_id`` the same holds,
    whatever their day. ``new`` begins one in any case.

    Raises:
        AccessError: the token is refused. BlockedError: a pause longer than a run waits for. UnavailableError,
        DataError: page after page fails. StoppedError: asked to stop.

    """
    wanted = _plan(crm, run_id, Selection(dataset=DATASET))
    unfinished, ended = (None, None) if new else _there(crm, wanted, named=bool(run_id))
    if unfinished is None and ended is not None:
        if ended.is_closed:
            return _done(crm, ended)
        if ended.dead_pages:
            return rerun(crm, ended.run_id, on_start)
    return _work(crm, unfinished or plans.write_plan(crm.store, wanted), on_start)


def rerun(crm: Crm, run_id: str, on_start: Callable[[str], object] = str) -> Ended:
    """Fetch the dead letters of a run, and nothing else, as a run of its own; raises as ``ingest``, and

    NotFoundError: there is no such run. UsageError: it is unfinished, or of another API.
    """
    before = plans.require_plan(CustomersPlan, crm.store, run_id)
    selection = Selection(dataset=DATASET, rerun_of=run_id)
    newest = plans.newest_plan(CustomersPlan, crm.store, selection, before.edition) or before
    ended = commit.read_manifest(CustomersManifest, crm.store, newest.run_id)
    if before.source != crm.api.url:
        raise UsageError(f"run {run_id} is of {before.source}, API_BASE_URL names {crm.api.url}.")
    if ended is None and newest is before:
        raise UsageError(f"run {run_id} is unfinished.", advice="ingest_customers continues it.")
    if ended is None:
        return _work(crm, newest, on_start)
    if not ended.dead_pages:
        return _done(crm, ended)
    wanted = _plan(crm, "", selection, (*newest.pages_from, newest.pages))
    return _work(crm, plans.write_plan(crm.store, wanted), on_start)


def _done(crm: Crm, ended: CustomersManifest) -> Ended:
    commit.repair(crm.store, ended, files_of)
    return Ended(ended, worked=False)


def _plan(crm: Crm, run_id: str, selection: Selection, pages_from: tuple[str, ...] = ()) -> CustomersPlan:
    return CustomersPlan(
        run_id=run_id or plans.default_run_id(crm.now()), selection=selection, created_at=crm.now(),
        source=crm.api.url, per_page=crm.per_page, fields=crm.fields, pages_from=pages_from,
    )  # fmt: skip


def _there(crm: Crm, wanted: CustomersPlan, *, named: bool) -> tuple[CustomersPlan | None, CustomersManifest | None]:
    """The unfinished run of that name, or of this API; and the ended one that decides whether one is begun."""
    if named:
        newest = next(reversed(plans.plans_named(CustomersPlan, crm.store, wanted.run_id)), None)
        ended = None if newest is None else commit.read_manifest(CustomersManifest, crm.store, newest.run_id)
    else:
        newest = plans.newest_plan(CustomersPlan, crm.store, wanted.selection, wanted.edition)
        ended = committed.newest_in(crm.store, lake_layout.customers.COMMITS, CustomersManifest)
        if ended and (ended.created_at.date(), ended.source) != (wanted.created_at.date(), wanted.source):
            ended = None
    is_over = newest is None or plans.is_committed(crm.store, newest.run_id)
    return None if is_over else newest, ended


def _work(crm: Crm, plan: CustomersPlan, on_start: Callable[[str], object]) -> Ended:
    on_start(plan.run_id)
    pages = Pages(crm, plan)
    first = max(pages.sweeps, default=1)
    last = first if plan.selection.rerun_of else max(first, crm.most_sweeps)
    proof: Made | None = None
    with scratch_folder(crm.store) as folder:
        for sweep in range(first, last + 1):
            try:
                pages.sweep(sweep)
            finally:
                crm.progress.stop()
            proof = _proof(pages, plan, folder / "extract.csv")
            if proof or pages.dead:
                break
        made = proof or _made(pages, plan, sweeps.fullest(pages.all), folder / "extract.csv")
        return Ended(_commit(crm, plan, pages, made, is_proved=proof is not None), worked=True)


def _proof(pages: Pages, plan: CustomersPlan, path: Path) -> Made | None:
    for choice in sweeps.proved(pages.all):
        made = _made(pages, plan, choice, path)
        if not made.csv.repeated:
            return made
    return None


def _made(pages: Pages, plan: CustomersPlan, choice: Choice, path: Path) -> Made:
    return Made(choice, JsonAsCsv.of(map(pages.records, choice.pages), path, columns(plan.fields.id)))


def _commit(crm: Crm, plan: CustomersPlan, pages: Pages, made: Made, *, is_proved: bool) -> CustomersManifest:
    (choice, csv), finished = made, crm.now()
    attempts = read_attempts(CustomersAttempt, crm.store, plan.run_id)
    retries = sum(not one.final for one in attempts)
    # What another sweep has of a page that failed may complete the list.
    dead = {} if is_proved else {page: reason_of(error) for page, error in sorted(pages.dead.items())}
    key = put_new_numbered(crm.store, lambda number: lake_layout.customers.extract(plan.created_at, number), csv.path)
    audit = extract.audit_of(
        key, csv.written, plan.created_at, finished, (finished - plan.created_at).total_seconds(),
        requests=len(pages.all) + len(attempts), retries=retries,
    )  # fmt: skip
    return extract.commit_extract(
        crm.store, CustomersManifest, plan, audit, files_of, failed=len(dead), finished_at=finished,
        files_planned=len({one.number for one in choice.pages} | dead.keys()), files_downloaded=len(choice.pages),
        status="completed" if is_proved else "partial", source=plan.source, total=sweeps.total_of(pages.all),
        without_id=csv.without_id, repeated=csv.repeated, sweeps=max(pages.sweeps, default=0), retries=retries,
        fields=FieldCounts.model_validate(csv.found), pages=tuple(one.key for one in choice.pages), dead_pages=dead,
        note=sweeps.note(choice, pages.all, audit.records, len(dead), is_proved=is_proved),
    )  # fmt: skip


def files_of(manifest: CustomersManifest) -> dict[str, bytes]:
    """The files beside a manifest: they follow from it."""
    return {
        lake_layout.runs.file_audits(manifest.run_id): manifest.extract.to_bytes(),
        lake_layout.customers.report(manifest.run_id): report_of(manifest).encode(),
    }

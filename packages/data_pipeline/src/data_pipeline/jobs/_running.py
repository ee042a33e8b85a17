"""What the jobs that run a selection have in common: from a prepared run to its fact and status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.open_payments import report, runs
from data_pipeline.open_payments.audits import read_attempts
from data_pipeline.open_payments.upload import upload_run
from data_pipeline.wiring import Context, job_context
from etl_core.errors import DONE, PERMANENT, TEMPORARY, DataError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from data_pipeline.open_payments.crew import Outcome
    from data_pipeline.open_payments.download import Strategy
    from data_pipeline.open_payments.facts import Manifest, Selection
    from data_pipeline.open_payments.pipeline import Prepared, TotalsChoice


def run_selection(
    job: str,
    selection: Selection,
    totals: TotalsChoice,
    *,
    strategy: Strategy,
    dry_run: bool,
    with_manifest: bool,
    arguments: Mapping[str, Any],
    upload_to: str | None = None,
) -> int:
    """Prepare, work, commit; print the fact; give the exit status."""
    with job_context(job, **arguments) as context:
        prepared = context.pipeline.prepare(selection, context.run_id, totals, dry_run=dry_run)
        if dry_run:
            return _show_plan(context, prepared)
        context.run_id = prepared.plan.run_id
        manifest = prepared.manifest
        if manifest is not None or (not with_manifest and not prepared.todo):
            _emit_done_before(context, prepared)
            status = (
                DONE.code
                if manifest is None or manifest.status == "completed"
                else status_of_attempts(context, manifest)
            )
        else:
            context.begin(prepared.plan.run_id)
            outcomes = context.pipeline.work(prepared, strategy)
            status = status_of_outcomes(outcomes)
            if with_manifest:
                manifest = context.pipeline.commit(prepared.plan, outcomes)
                emit_manifest(context, manifest, outcomes)
                if status == DONE.code and manifest.status != "completed":
                    status = TEMPORARY.code
            else:
                _emit_outcomes(context, prepared, outcomes)
        if upload_to is not None and manifest is not None:
            status = upload(context, prepared.plan.run_id, upload_to, overwrite=False, dry_run=False) or status
        return status


def status_of_outcomes(outcomes: Iterable[Outcome]) -> int:
    """Done; else temporary if one failure is, else permanent."""
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    if not errors:
        return DONE.code
    return TEMPORARY.code if any(isinstance(error, TemporaryError) for error in errors) else PERMANENT.code


def status_of_attempts(context: Context, manifest: Manifest) -> int:
    """The status of a committed run, from the attempts it left in the lake."""
    if manifest.status == "completed":
        return DONE.code
    failed = {result.company_id for result in manifest.slices if result.verdict in ("failed", "missing")}
    last = {one.company_id: one.temporary for one in read_attempts(context.store, manifest.run_id) if one.final}
    permanent = failed and all(last.get(company_id) is False for company_id in failed)
    return PERMANENT.code if permanent and manifest.status != "torn" else TEMPORARY.code


def emit_manifest(context: Context, manifest: Manifest, outcomes: Iterable[Outcome] = ()) -> None:
    """The fact of a committed run on stdout, and its report on stderr."""
    cost = context.cost
    said = {outcome.result.reason: str(outcome.error) for outcome in outcomes if outcome.error is not None}
    text = report.of_manifest(
        manifest,
        seconds=cost["seconds"],
        requests=cost["requests"],
        retries=cost["retries"],
        lake=context.store.url,
        said=said,
    )
    click.echo(text, err=True)
    context.emit(
        status=manifest.status,
        planned=manifest.files_planned,
        proved=manifest.totals.get("proved", 0),
        empty=manifest.totals.get("empty", 0),
        failed=manifest.files_failed,
        rows=manifest.rows,
        bytes=manifest.bytes,
        year_closed=manifest.closure.closed,
        release=manifest.release.name,
    )


def upload(context: Context, run_id: str, target: str, *, overwrite: bool, dry_run: bool) -> int:
    """Copy a committed run; report each file that was not there; emit the fact."""
    manifest = runs.read_manifest(context.store, run_id)
    if manifest is None:
        runs.planned(context.store, run_id)
        raise DataError(f"run {run_id} is not committed.", advice="Commit it with write_manifest first.")
    other = context.open_store(target)
    try:
        uploaded = upload_run(
            context.store,
            other,
            manifest,
            overwrite=overwrite,
            dry_run=dry_run,
            on_file=lambda line: click.echo(line, err=True),
        )
    finally:
        other.close()
    context.emit(
        status="planned" if dry_run else "uploaded" if uploaded.copied else "already uploaded",
        to=other.url,
        planned=uploaded.files,
        copied=uploaded.copied,
        same=uploaded.same,
        bytes=uploaded.bytes,
    )
    return DONE.code


def _show_plan(context: Context, prepared: Prepared) -> int:
    forecast = context.pipeline.forecast(prepared)
    click.echo(report.of_plan(prepared.plan, forecast, lake=context.store.url), err=True)
    for company in prepared.todo[:20]:
        click.echo(f"  {company.company_id}  {'?' if company.rows is None else f'{company.rows:,}'} rows", err=True)
    if len(prepared.todo) > 20:
        click.echo(f"  and {len(prepared.todo) - 20:,} more", err=True)
    context.emit(
        status="planned",
        planned=forecast.companies,
        already_proved=forecast.already_proved,
        rows=forecast.rows,
        bytes=forecast.bytes,
        windows=forecast.windows,
        requests_expected=forecast.requests,
        seconds_expected=forecast.seconds,
        release=prepared.plan.release.name,
    )
    return DONE.code


def _emit_done_before(context: Context, prepared: Prepared) -> None:
    manifest = prepared.manifest
    click.echo(f"run {prepared.plan.run_id} is done already; nothing was fetched", err=True)
    context.emit(
        status="already done" if manifest is None or manifest.status == "completed" else manifest.status,
        planned=len(prepared.plan.companies),
        proved=manifest.files_downloaded if manifest else len(prepared.plan.companies),
        failed=manifest.files_failed if manifest else 0,
        rows=manifest.rows if manifest else sum(company.rows or 0 for company in prepared.plan.companies),
        bytes=manifest.bytes if manifest else 0,
        release=prepared.plan.release.name,
    )


def _emit_outcomes(context: Context, prepared: Prepared, outcomes: list[Outcome]) -> None:
    results = [outcome.result for outcome in outcomes]
    failed = [result for result in results if result.verdict == "failed"]
    for outcome in outcomes:
        if outcome.error is not None:
            click.echo(f"failed  {outcome.company.company_id}  {outcome.result.reason}: {outcome.error}", err=True)
    context.emit(
        status="failed" if failed else "proved",
        planned=len(prepared.plan.companies),
        proved=sum(result.verdict == "proved" for result in results),
        empty=sum(result.verdict == "empty" for result in results),
        failed=len(failed),
        rows=sum(result.rows for result in results),
        bytes=sum(result.bytes for result in results),
        release=prepared.plan.release.name,
    )

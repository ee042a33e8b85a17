"""What the jobs that run a selection have in common: from a prepared run to its fact and status."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from data_pipeline.open_payments import summary as report
from data_pipeline.open_payments.ledger import commit, plans
from data_pipeline.open_payments.ledger.audits import read_attempts
from data_pipeline.open_payments.ledger.manifest import results_from_lake
from data_pipeline.open_payments.operations.upload import upload_run
from etl_core.errors import DONE, PERMANENT, TEMPORARY, DataError, TemporaryError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_pipeline.job import Context
    from data_pipeline.open_payments.fetch.crew import Outcome
    from data_pipeline.open_payments.fetch.window import Strategy
    from data_pipeline.open_payments.ledger.documents import Manifest, Selection, SliceResult
    from data_pipeline.open_payments.run import Prepared
    from data_pipeline.open_payments.source.totals import TotalsChoice


def run_selection(
    context: Context,
    selection: Selection,
    totals: TotalsChoice,
    *,
    with_manifest: bool,
    strategy: Strategy = "auto",
    trust_count: bool = False,
    dry_run: bool = False,
    upload_to: str | None = None,
) -> int:
    """Prepare, work, commit; print the fact; give the exit status."""
    prepared = context.pipeline.prepare(selection, context.run_id, totals, trust_count=trust_count, dry_run=dry_run)
    if dry_run:
        return _show_plan(context, prepared)
    context.run_id = prepared.plan.run_id
    manifest = prepared.manifest
    if manifest is not None or (not with_manifest and not prepared.todo):
        fact, status = _done_before(context, prepared), DONE.code
    else:
        context.begin(prepared.plan.run_id)
        outcomes = context.pipeline.work(prepared, strategy)
        status = status_of_outcomes(outcomes)
        if with_manifest:
            manifest = context.pipeline.commit(prepared.plan, outcomes)
            fact = show_manifest(context, manifest, outcomes)
            if status == DONE.code and manifest.status != "completed":
                status = TEMPORARY.code
        else:
            fact = _show_outcomes(outcomes)
    fact["release"] = prepared.plan.release.name
    if upload_to is not None and manifest is not None:
        fact["upload"] = upload(context, manifest.run_id, upload_to, overwrite=False, dry_run=False)
    context.print_fact(**fact)
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


def show_manifest(context: Context, manifest: Manifest, outcomes: Iterable[Outcome] = ()) -> dict[str, Any]:
    """The report of a committed run on stderr; gives its fact."""
    cost = context.cost
    said = {outcome.result.reason: outcome.detail for outcome in outcomes if outcome.error is not None}
    text = report.of_manifest(
        manifest,
        seconds=cost["seconds"],
        received=int(context.telemetry.value("source_bytes_total")),
        requests=cost["requests"],
        retries=cost["retries"],
        lake=context.store.url,
        said=said,
    )
    click.echo(text, err=True)
    return {"status": manifest.status, **_counts(manifest.slices), "year_closed": manifest.closure.closed}


def upload(context: Context, run_id: str, target: str, *, overwrite: bool, dry_run: bool) -> dict[str, Any]:
    """Copy a committed run; report each file that was not there; gives the fact."""
    manifest = plans.read_manifest(context.store, run_id)
    if manifest is None:
        plans.require_plan(context.store, run_id)
        raise DataError(f"run {run_id} is not committed.", advice="Commit it with write_manifest first.")
    other = context.open_store(target, named="--to")
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
    return {
        "status": "planned" if dry_run else "uploaded" if uploaded.copied else "already uploaded",
        "to": other.url,
        "planned": uploaded.files,
        "copied": uploaded.copied,
        "same": uploaded.same,
        "bytes": uploaded.bytes,
    }


def _show_plan(context: Context, prepared: Prepared) -> int:
    forecast = context.pipeline.forecast(prepared)
    click.echo(report.of_plan(prepared.plan, forecast, lake=context.store.url), err=True)
    for company in prepared.todo[:20]:
        click.echo(f"  {company.company_id}  {'?' if company.rows is None else f'{company.rows:,}'} rows", err=True)
    if len(prepared.todo) > 20:
        click.echo(f"  and {len(prepared.todo) - 20:,} more", err=True)
    context.print_fact(
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


def _done_before(context: Context, prepared: Prepared) -> dict[str, Any]:
    click.echo(f"run {prepared.plan.run_id} is done already; nothing was fetched", err=True)
    if prepared.manifest is not None:
        return {"status": "already done", **_counts(prepared.manifest.slices)}
    audits = commit.read_slices(context.store, prepared.plan)
    return {"status": "already done", **_counts(results_from_lake(prepared.plan, audits, [], {}))}


def _show_outcomes(outcomes: list[Outcome]) -> dict[str, Any]:
    results = [outcome.result for outcome in outcomes]
    for outcome in outcomes:
        if outcome.error is not None:
            click.echo(f"failed  {outcome.company.company_id}  {outcome.result.reason}: {outcome.detail}", err=True)
    counts = _counts(results)
    return {"status": "failed" if counts["failed"] else "proved", **counts}


def _counts(results: Iterable[SliceResult]) -> dict[str, int]:
    """What every fact of a run says of its slices."""
    results = list(results)
    verdicts = Counter(result.verdict for result in results)
    return {
        "planned": len(results),
        "proved": verdicts["proved"],
        "empty": verdicts["empty"],
        "failed": verdicts["failed"] + verdicts["missing"],
        "rows": sum(result.rows for result in results),
        "bytes": sum(result.bytes for result in results),
    }

"""Spread a program year over Kubernetes: one Job per company, or one packed Indexed Job.

The source is the limit, not the pods: with --streams 8 one process (run_pipeline) is as fast as
any number of pods, and cheaper. Fan out for many years or datasets, where nodes are short-lived, or
where the source allows more streams. --dry-run compares the ways.

per-company creates a Job for each company, biggest first, at most --max-in-flight unfinished ones.
packed creates one Indexed Job of a few pods; each has its own bin of windows, then helps with the
others'. Both write what run_pipeline writes, and end in the run's manifest.

Safe to kill and repeat, from any machine: the same command finds the Jobs and what is proved.
Ctrl-C asks whether the Jobs are to continue. --cancel deletes them.

Reads the source, for the plan, and the cluster. Writes totals, plan, manifest and report; the
workers write parts and audits.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from data_pipeline.fan_out.options import FanOutOptions
from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from etl_core.stdio import say

if TYPE_CHECKING:
    from data_pipeline.fan_out.orchestrate import FanOutFact
    from data_pipeline.job import Context
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.source.totals import Route


@frame.job_command(help=__doc__)
@options.dataset
@options.one_or_more_years
@frame.together(options.company_ids, options.max_files, options.slice_of)
@frame.options_of("how", FanOutOptions())
@click.option(
    "--on-interrupt", type=click.Choice(("ask", "detach", "cancel")), default="ask", show_default=True,
    help="At Ctrl-C: let the Jobs continue, or delete them. ask: detach if there is no terminal.",
)  # fmt: skip
@click.option("--cancel", "delete", is_flag=True, help="Delete all Jobs and pods of this year.")
@click.option("--print", "print_only", is_flag=True, help="Print the Jobs for kubectl apply -f -; create none.")
@frame.together(options.totals_from, options.trust_count, frame.dry_run, frame.run_id, frame.lake, frame.streams)
@frame.shown
def command(
    dataset: str,
    years: tuple[int, ...],
    company_ids: tuple[str, ...],
    max_files: int | None,
    slice_of: str | None,
    run_id: str | None,
    lake_url: str | None,
    source_max_streams: int | None,
    log_level: str | None,
    is_json: bool,
    **given: Any,  # noqa: ANN401 - the parameters of ``fan_out``
) -> int:
    from data_pipeline.job import job_context
    from etl_core.errors import DONE, UsageError

    if len(years) > 1 and run_id is not None:
        raise UsageError("--run-id names one run; leave it out with several years.")
    code = DONE.code
    for one in years:
        selection = options.selection_of(dataset, one, company_ids, max_files, slice_of)
        with job_context(
            "fan_out",
            is_json=is_json,
            run_id=run_id,
            lake_url=lake_url,
            log_level=log_level,
            source_max_streams=source_max_streams,
        ) as context:
            code = max(code, fan_out(context, selection, **given))
    return code


def fan_out(
    context: Context,
    selection: Selection,
    *,
    how: FanOutOptions,
    on_interrupt: str,
    delete: bool,
    print_only: bool,
    totals_from: Route | None,
    trust_count: bool,
    dry_run: bool,
) -> int:
    """One year."""
    from data_pipeline.fan_out.orchestrate import job_bodies, orchestrate
    from data_pipeline.open_payments.source.totals import TotalsChoice
    from etl_core.errors import DONE, StoppedError

    if delete:
        deleted = _cancel(context, selection, how.namespace)
        context.print_fact(status="cancelled", jobs_deleted=deleted, year=selection.year)
        return DONE.code
    totals = TotalsChoice(route=totals_from)
    if print_only:
        items = job_bodies(context, selection, how, run_id=context.run_id, totals=totals, trust_count=trust_count)
        if not items:
            say("nothing is left to do")
        sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1) + "\n")
        return DONE.code
    try:
        fact = orchestrate(
            context,
            selection,
            how,
            run_id=context.run_id,
            totals=totals,
            trust_count=trust_count,
            dry_run=dry_run,
            on_start=context.begin,
        )
    except StoppedError:
        _after_interrupt(context, selection, how.namespace, on_interrupt)
        raise
    _show_ways(fact)
    return options.show(context, fact)


def _after_interrupt(context: Context, selection: Selection, namespace: str, on_interrupt: str) -> None:
    context.stop.reset()  # an answer may take longer than the grace period; a second Ctrl-C ends the process
    if on_interrupt == "ask":
        on_interrupt = "cancel" if sys.stdin.isatty() and click.confirm("Delete the Jobs too?", err=True) else "detach"
    if on_interrupt == "cancel":
        _cancel(context, selection, namespace)
    else:
        say("the Jobs continue; the same command attaches to them again, from any machine")


def _cancel(context: Context, selection: Selection, namespace: str) -> int:
    from data_pipeline.fan_out.orchestrate import cancel

    deleted = cancel(context, selection.dataset, selection.year, namespace)
    say(f"{deleted} Jobs were deleted; what is proved stays, the same command continues from there")
    return deleted


def _show_ways(fact: FanOutFact) -> None:
    """What each way of running takes, as a table."""
    if not fact.ways:
        return
    say(f"{'way':14} {'pods':>6} {'at once':>8} {'minutes':>9} {'pod-hours':>10}")
    for one in fact.ways:
        mark = "   <- " if one.way == fact.choice else ""
        say(f"{one.way:14} {one.pods:>6,} {one.at_once:>8} {one.seconds / 60:>9.1f} {one.pod_hours:>10.2f}{mark}")


JOB = (frame.entrypoint_of(command, "fan_out"), "Spread a program year over Kubernetes Jobs")
# A mesh's proxy beside a worker would outlive it; both do nothing where there is no mesh.
OUTSIDE_A_MESH = ("--pod-label", "sidecar.istio.io/inject=false", "--pod-annotation", "linkerd.io/inject=disabled")
# Kubernetes replaces $(IMAGE) by the container's own image.
KUBERNETES = {
    "args": [
        "--year",
        options.NEWEST_YEAR,
        "--image",
        "$(IMAGE)",
        "--env-from",
        "configmap/data-pipeline-settings",
        *OUTSIDE_A_MESH,
    ],
    "service_account": "data-pipeline-fan-out",
}

"""The fan-out's frame: from what was asked for to Jobs, to the run's manifest, fact and status."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import click
import structlog

from data_pipeline.fan_out import specs
from data_pipeline.fan_out.decide import Limits
from data_pipeline.fan_out.plans import write_plan
from data_pipeline.fan_out.shapes import Rates, choice_of, plan_of, predict, units_of
from data_pipeline.fan_out.submit import Submitter, sweep
from data_pipeline.jobs import _running
from data_pipeline.open_payments.audits import Audits
from etl_core.errors import DONE, StoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.fan_out.facts import FanOutPlan, Shape, Unit
    from data_pipeline.fan_out.shapes import Predicted
    from data_pipeline.open_payments.facts import Selection
    from data_pipeline.open_payments.pipeline import Prepared
    from data_pipeline.open_payments.totals import Route
    from data_pipeline.wiring import Context

_log = structlog.get_logger()


@dataclass(frozen=True)
class Asked:
    """The command line, but for the selection and the settings."""

    shape: Literal["auto", "per-company", "packed"]
    pods: int | None
    image: str
    image_pull_policy: str | None
    namespace: str
    service_account: str
    max_in_flight: int | None
    max_failure_ratio: float
    queue: str
    env: Mapping[str, str]
    env_from: tuple[str, ...]
    cpu: str
    memory: str
    try_hours: float
    look_every: float
    doubt_after: float
    start_within: float
    on_interrupt: Literal["ask", "detach", "cancel"]
    cancel: bool
    print_only: bool
    totals_from: Route | None
    trust_count: bool
    dry_run: bool


def fan_out(context: Context, selection: Selection, asked: Asked) -> int:
    """Plan, submit, observe, commit; print the fact; give the exit status."""
    from data_pipeline.open_payments.pipeline import TotalsChoice

    ceiling = context.settings.source_max_streams
    prepared = context.pipeline.prepare(
        selection,
        context.run_id,
        TotalsChoice(route=asked.totals_from),
        trust_count=asked.trust_count,
        dry_run=asked.dry_run or asked.cancel,
    )
    context.run_id = prepared.plan.run_id
    units = units_of(prepared.todo)
    in_flight = asked.max_in_flight or ceiling
    predicted = predict(units, ceiling=ceiling, max_in_flight=in_flight, pods=asked.pods, rates=Rates())
    if asked.dry_run:
        return _show_ways(context, prepared, units, predicted)
    shape: Shape = asked.shape if asked.shape != "auto" else _cheaper(predicted)
    if asked.cancel:
        deleted = _cancel(context, prepared, asked)
        context.emit(status="cancelled", jobs_deleted=deleted, release=prepared.plan.release.name)
        return DONE.code
    is_open = prepared.manifest is None and bool(units)
    if asked.print_only and not is_open:
        click.echo(f"nothing is left to do for run {prepared.plan.run_id}", err=True)
        _print_list([])
        return DONE.code
    if is_open:
        plan, digest = _written(context, prepared, asked, shape, units)
        pods = _pods(context, asked)
        if asked.print_only:
            _print_list([specs.body_of(plan, digest, number, 1, pods) for number in range(len(specs.units_in(plan)))])
            return DONE.code
        submitter = _submitter(context, asked, plan, digest, pods, in_flight)
        context.begin(prepared.plan.run_id)
        _submit(context, submitter, prepared, asked)
        cost = {
            "shape": shape,
            "jobs_created": submitter.ended.created,
            "jobs_adopted": submitter.ended.adopted,
            "looks": submitter.ended.looks,
        }
    else:
        cost = {"shape": shape, "jobs_created": 0}
    manifest = prepared.manifest or context.pipeline.commit(prepared.plan, [])
    fact = _running.show_manifest(context, manifest)
    status = _running.status_of_attempts(context, manifest)
    if prepared.manifest is not None and manifest.status == "completed":
        fact["status"] = "already done"
    context.emit(**fact, **cost, release=prepared.plan.release.name)
    return status


def _print_list(items: list[dict[str, Any]]) -> None:
    sys.stdout.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1) + "\n")


def _written(
    context: Context, prepared: Prepared, asked: Asked, shape: Shape, units: Sequence[Unit]
) -> tuple[FanOutPlan, str]:
    """The plan that the lake has for this run and shape, ours or an earlier submitter's."""
    plan = prepared.plan
    ceiling = context.settings.source_max_streams
    made = plan_of(shape, plan.run_id, plan.release, units, ceiling=ceiling, pods=asked.pods)
    todo = {one.company_id for one in prepared.todo}
    closed = Audits(context.store, plan.release).closed()
    made = made.model_copy(update={"closed_before": {one: closed[one] for one in sorted(todo & closed.keys())}})
    found, digest = write_plan(context.store, made)
    if found != made:
        _log.info("going on with the plan that is there", run_id=plan.run_id, pods=len(found.bins))
    return found, digest


def _pods(context: Context, asked: Asked) -> specs.PodOptions:
    if context.store.url.startswith("file:") and "LAKE_URL" not in asked.env:
        _log.warning("the lake is a folder: workers on other machines see another one", lake=context.store.url)
    return specs.PodOptions(
        image=asked.image,
        image_pull_policy=asked.image_pull_policy or "",
        service_account=asked.service_account,
        queue=asked.queue,
        env={**specs.handed_on(context.settings, context.store.url), **asked.env},
        env_from=asked.env_from,
        cpu=asked.cpu,
        memory=asked.memory,
        try_hours=asked.try_hours,
    )


def _submitter(
    context: Context, asked: Asked, plan: FanOutPlan, digest: str, pods: specs.PodOptions, in_flight: int
) -> Submitter:
    context.board.must_not_be_blocked()
    return Submitter(
        context.cluster(asked.namespace),
        context.store,
        plan,
        digest,
        pods,
        Limits(
            max_in_flight=min(in_flight, context.settings.source_max_streams) if plan.shape == "per-company" else 1,
            max_failure_ratio=asked.max_failure_ratio,
            look_every=asked.look_every,
            doubt_after=asked.doubt_after,
            start_within=asked.start_within,
        ),
        board=context.board,
        progress=context.progress,
        now=context.now,
        sleep=context.stop.sleep,
    )


def _submit(context: Context, submitter: Submitter, prepared: Prepared, asked: Asked) -> None:
    todo = prepared.todo
    context.progress.start(
        f"fan-out {prepared.plan.release.year}", slices=len(todo), rows=sum(one.rows or 0 for one in todo)
    )
    try:
        submitter.run()
    except StoppedError:
        context.progress.stop()
        context.stop.forget()  # an answer may take longer than the grace period; a second Ctrl-C ends it all
        what = asked.on_interrupt
        if what == "ask":
            what = "cancel" if sys.stdin.isatty() and click.confirm("Delete the Jobs too?", err=True) else "detach"
        if what == "cancel":
            _cancel(context, prepared, asked)
        else:
            click.echo("the Jobs go on; the same command attaches to them again, from any machine", err=True)
        raise
    finally:
        context.progress.stop()


def _cancel(context: Context, prepared: Prepared, asked: Asked) -> int:
    """Delete what is in the cluster of this year's release, whatever run and shape it is of."""
    cluster, release = context.cluster(asked.namespace), prepared.plan.release
    deleted = sum(
        sweep(cluster, specs.selector_of(release, shape), context.stop.sleep) for shape in ("per-company", "packed")
    )
    click.echo(f"{deleted} Jobs were deleted; what is proved stays, the same command goes on from there", err=True)
    return deleted


def _cheaper(predicted: Sequence[Predicted]) -> Shape:
    ways = [one for one in predicted if one.way != "one process"]
    return "per-company" if choice_of(ways).way == "per-company" else "packed"


def _show_ways(context: Context, prepared: Prepared, units: Sequence[Unit], predicted: Sequence[Predicted]) -> int:
    best = choice_of(predicted)
    click.echo(
        f"{len(prepared.todo):,} slices in {len(units):,} windows are not proved; "
        f"{context.settings.source_max_streams} streams",
        err=True,
    )
    click.echo(f"  {'':12} {'pods':>6} {'at once':>8} {'minutes':>9} {'pod-hours':>10}", err=True)
    for one in predicted:
        mark = "   <- " if one is best else ""
        click.echo(
            f"  {one.way:12} {one.pods:>6,} {one.at_once:>8} {one.seconds / 60:>9.1f} {one.pod_hours:>10.2f}{mark}",
            err=True,
        )
    context.emit(
        status="planned",
        units=len(units),
        ways=[asdict(one) for one in predicted],
        choice=best.way,
        release=prepared.plan.release.name,
    )
    return DONE.code

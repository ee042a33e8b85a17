"""The fan-out's frame: from what was asked for to Jobs, to the run's manifest, fact and status."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import click
import structlog

from data_pipeline import lake_layout
from data_pipeline.fan_out import specs
from data_pipeline.fan_out.decide import Limits
from data_pipeline.fan_out.plans import write_plan
from data_pipeline.fan_out.shapes import Rates, choice_of, plan_of, predict, units_of
from data_pipeline.fan_out.submit import Ended, Submitter
from data_pipeline.jobs import _running
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.ledger.audits import Audits
from etl_core.errors import DONE, ConflictError, StoppedError, UsageError
from etl_core.kube.observe import phase_of_job
from etl_core.kube.sweep import sweep

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from data_pipeline.fan_out.documents import FanOutPlan, Shape, Unit
    from data_pipeline.fan_out.shapes import Predicted
    from data_pipeline.job import Context
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.run import Prepared
    from data_pipeline.open_payments.source.totals import Route
    from etl_core.kube.client import Cluster

SHAPES: tuple[Shape, ...] = ("packed", "per-company")

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
    from data_pipeline.open_payments.source.totals import TotalsChoice

    if asked.cancel:
        deleted = _cancel(context, selection, asked)
        context.print_fact(status="cancelled", jobs_deleted=deleted, year=selection.year)
        return DONE.code
    ceiling = context.settings.source_max_streams
    prepared = context.pipeline.prepare(
        selection,
        context.run_id,
        TotalsChoice(route=asked.totals_from),
        trust_count=asked.trust_count,
        dry_run=asked.dry_run,
    )
    context.run_id = prepared.plan.run_id
    dataset = dataset_named(selection.dataset)
    units = units_of(dataset, prepared.todo)
    in_flight = asked.max_in_flight or ceiling
    rates = Rates(dataset.bytes_per_row)
    predicted = predict(units, ceiling=ceiling, max_in_flight=in_flight, pods=asked.pods, rates=rates)
    if asked.dry_run:
        return _show_ways(context, prepared, units, predicted)
    shape = _shape(context, asked, predicted)
    is_open = prepared.manifest is None and bool(units)
    ended = Ended()
    if asked.print_only and not is_open:
        click.echo(f"nothing is left to do for run {prepared.plan.run_id}", err=True)
        _print_list([])
        return DONE.code
    if is_open:
        plan, digest = _written(context, prepared, asked, shape, units)
        pods = _pods(context, asked)
        if asked.print_only:
            _print_list(
                [specs.body_of(plan, digest, number, 1, pods) for number in range(len(specs.units_in(plan, digest)))]
            )
            return DONE.code
        submitter = _submitter(context, asked, plan, digest, pods, in_flight)
        context.begin(prepared.plan.run_id)
        ended = _submit(context, submitter, prepared, selection, asked)
    manifest = prepared.manifest or context.pipeline.commit(prepared.plan, [])
    fact = _running.show_manifest(context, manifest)
    status = _running.status_of_attempts(context, manifest)
    if prepared.manifest is not None:
        fact["status"] = "already done"
    cost = {"jobs_created": ended.created, "jobs_adopted": ended.adopted, "looks": ended.looks}
    context.print_fact(**fact, shape=shape, **cost, release=prepared.plan.release.name)
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
    if shape == "packed" and sum(found.streams) > ceiling:
        raise UsageError(
            f"the packed plan of run {plan.run_id} has {sum(found.streams)} streams, more than the {ceiling} of now.",
            advice=f"--streams {sum(found.streams)} goes on with it; --cancel and another --run-id make another plan.",
        )
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
    cluster = context.cluster(asked.namespace)
    _must_be_the_only_shape(context, cluster, plan)
    return Submitter(
        cluster,
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


def _must_be_the_only_shape(context: Context, cluster: Cluster, plan: FanOutPlan) -> None:
    """Two shapes of one run would ask the source for the same windows, each with all the streams."""
    for other in (shape for shape in SHAPES if shape != plan.shape):
        if context.store.head(lake_layout.fan_out.plan(plan.run_id, other)) is None:
            continue
        labels = specs.labels_of(plan.release, other) | {specs.RUN: specs.as_label(plan.run_id)}
        if any(phase_of_job(job) in ("waiting", "running") for job in cluster.jobs(specs.selector_of(labels))):
            raise ConflictError(
                f"{other} Jobs of run {plan.run_id} are at work.",
                advice=f"--shape {other} goes on with them; --cancel deletes them.",
            )


def _submit(context: Context, submitter: Submitter, prepared: Prepared, selection: Selection, asked: Asked) -> Ended:
    todo = prepared.todo
    context.progress.start(
        f"fan-out {prepared.plan.release.dataset} {prepared.plan.release.year}",
        units=len(todo),
        rows=sum(one.rows or 0 for one in todo),
    )
    try:
        return submitter.run()
    except StoppedError:
        context.progress.stop()
        context.stop.reset()  # an answer may take longer than the grace period; a second Ctrl-C ends it all
        what = asked.on_interrupt
        if what == "ask":
            what = "cancel" if sys.stdin.isatty() and click.confirm("Delete the Jobs too?", err=True) else "detach"
        if what == "cancel":
            _cancel(context, selection, asked)
        else:
            click.echo("the Jobs go on; the same command attaches to them again, from any machine", err=True)
        raise
    finally:
        context.progress.stop()


def _cancel(context: Context, selection: Selection, asked: Asked) -> int:
    """Delete what is in the cluster of this year, whatever run, shape and release it is of; the source is not asked."""
    labels = specs.labels_of_year(selection.dataset, selection.year)
    deleted = sweep(context.cluster(asked.namespace), specs.selector_of(labels), context.stop.sleep)
    click.echo(f"{deleted} Jobs were deleted; what is proved stays, the same command goes on from there", err=True)
    return deleted


def _shape(context: Context, asked: Asked, predicted: Sequence[Predicted]) -> Shape:
    """The one asked for, else that of the plan which the run has already, else the cheaper of those about as fast."""
    if asked.shape != "auto":
        return asked.shape
    for shape in SHAPES:
        if context.store.head(lake_layout.fan_out.plan(context.run_id, shape)) is not None:
            return shape
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
    context.print_fact(
        status="planned",
        units=len(units),
        ways=[asdict(one) for one in predicted],
        choice=best.way,
        release=prepared.plan.release.name,
    )
    return DONE.code

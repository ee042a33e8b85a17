"""A fan-out as a library call: plan, submit, observe, commit.

``orchestrate`` prints nothing, installs no signal handler and never ends the process. It may be killed at any instant:
the same call finds the Jobs and what is proved.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

from pydantic import Field

from data_pipeline import lake_layout
from data_pipeline.fan_out import specs
from data_pipeline.fan_out.documents import FanOutPlan, Shape
from data_pipeline.fan_out.lake_id import ensure_lake_id, read_lake_id
from data_pipeline.fan_out.observe import leftovers, observe_job
from data_pipeline.fan_out.options import FanOutOptions
from data_pipeline.fan_out.plan import Prediction, Rates, choice_of, plan_of, predict, units_of
from data_pipeline.fan_out.submit import FanOutResult, Submitter, write_plan
from data_pipeline.open_payments import run
from data_pipeline.open_payments.datasets import dataset_named
from data_pipeline.open_payments.facts import Costs, RunFact, committed_fact, fact_of, planned_fact
from data_pipeline.open_payments.ledger.audits import Audits
from etl_core import logs
from etl_core.errors import TEMPORARY, ConflictError, PipelineError, StoppedError, UsageError
from etl_core.kube.observe import phase_of_job
from etl_core.kube.sweep import sweep
from etl_core.logs import get_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from data_pipeline.fan_out.shared_backoff import SharedBackoff
    from data_pipeline.open_payments.ledger.documents import Selection
    from data_pipeline.open_payments.pipeline import PreparedRun
    from data_pipeline.settings import Settings
    from etl_core.kube.client import Cluster
    from etl_core.kube.describe import PodOptions
    from etl_core.lake import ObjectStore
    from etl_core.progress import Progress
    from etl_core.stop import Stop

SHAPES: tuple[Shape, ...] = ("packed", "per-company")
# All is done by then: an API server that is away must not hold the command.
LEFTOVERS_SECONDS = 10.0

_log = get_logger()


class FanOutFact(RunFact):
    """How a fan-out ended."""

    shape: Shape | None = Field(None, description="null if nothing was left to do, or in a dry run")
    jobs_created: int = 0
    jobs_adopted: int = Field(0, description="Jobs of an earlier submitter")
    polls: int = 0
    ways: tuple[Prediction, ...] = Field((), description="of a dry run: what each way of running takes")
    choice: Literal["one process", "packed", "per-company"] | None = Field(None, description="the way that pays")


class Services(run.Services, Protocol):
    """What a fan-out needs; ``wiring.Services`` has it."""

    @property
    def settings(self) -> Settings: ...
    @property
    def backoff(self) -> SharedBackoff: ...
    @property
    def progress(self) -> Progress: ...
    @property
    def stop(self) -> Stop: ...
    def cluster(self, namespace: str, *, patience_seconds: float = ...) -> Cluster: ...
    def now(self) -> datetime: ...


@logs.silent_unless_configured()
def orchestrate(
    services: Services,
    selection: Selection,
    options: FanOutOptions | None = None,
    *,
    run_id: str = "",
    totals: run.TotalsChoice | None = None,
    trust_count: bool = False,
    dry_run: bool = False,
    on_start: Callable[[str], None] = run.ignore,
) -> FanOutFact:
    """Run a selection on Kubernetes and commit it; what is proved already gets no Job.

    Raises:
        ConflictError: Jobs of the run's other shape are running. BlockedError: the source refuses us.
        StoppedError: asked to stop; the Jobs continue, and the same call attaches to them again.
        Else as ``open_payments.run.run``.

    """
    costs = Costs(services.telemetry)
    prepared = services.pipeline.prepare(
        selection, run_id, totals or run.TotalsChoice(), trust_count=trust_count, dry_run=dry_run
    )
    plan, manifest = prepared.plan, prepared.manifest
    work = _FanOut(services, options or FanOutOptions(), prepared)
    if dry_run:
        fact = planned_fact(services.pipeline.forecast(prepared), plan, prepared.todo)
        fact |= {"ways": work.ways, "choice": choice_of(work.ways).way}
    else:
        result = FanOutResult()
        if work.is_open:
            submitter = work.submitter()
            on_start(plan.run_id)
            result = work.submit(submitter)
        fact = committed_fact(services.store, manifest or services.pipeline.commit(plan, []))
        work.remove_leftovers()
        fact |= {"jobs_created": result.created, "jobs_adopted": result.adopted, "polls": result.polls}
        fact |= {"shape": work.shape, "retry_after_seconds": work.retry_after(fact)}
        if manifest is not None:
            fact["status"] = "already done"
    return fact_of(FanOutFact, services.store, plan, costs, job="fan_out", **fact)


@logs.silent_unless_configured()
def job_bodies(
    services: Services,
    selection: Selection,
    options: FanOutOptions,
    *,
    run_id: str = "",
    totals: run.TotalsChoice | None = None,
    trust_count: bool = False,
) -> list[dict[str, Any]]:
    """The Jobs that ``orchestrate`` would create, for ``kubectl apply``; its plan is written."""
    prepared = services.pipeline.prepare(selection, run_id, totals or run.TotalsChoice(), trust_count=trust_count)
    work = _FanOut(services, options, prepared)
    return specs.bodies_of(*work.write(), work.pod) if work.is_open else []


@logs.silent_unless_configured()
def cancel(services: Services, dataset: str, year: int, namespace: str = "") -> int:
    """Delete all Jobs and pods of a year in this lake, whatever their run, shape and release; the number of Jobs.

    What is proved stays. The source is not asked.
    """
    lake_id = read_lake_id(services.store)
    if lake_id is None:  # no fan-out has written to this lake
        return 0
    selector = specs.selector_of(specs.labels_of_year(lake_id, dataset, year))
    return sweep(services.cluster(namespace), selector, services.stop.sleep)


class _FanOut:
    """A prepared run, and how it is spread over pods."""

    def __init__(self, services: Services, options: FanOutOptions, prepared: PreparedRun) -> None:
        self._services = services
        self._options = options
        self._prepared = prepared
        self._ceiling = services.settings.source_max_streams
        self._in_flight = options.max_in_flight or self._ceiling
        dataset = dataset_named(prepared.plan.release.dataset)
        self._units = units_of(dataset, prepared.todo)
        self.ways = predict(
            self._units,
            ceiling=self._ceiling,
            max_in_flight=self._in_flight,
            pods=options.pods,
            rates=Rates(dataset.bytes_per_row),
        )

    @property
    def is_open(self) -> bool:
        """Whether anything is left for pods to do."""
        return self._prepared.manifest is None and bool(self._units)

    @cached_property
    def shape(self) -> Shape:
        """The one asked for, else that of the run's plan, else the cheaper of those that take about the same time."""
        if self._options.shape != "auto":
            return self._options.shape
        for shape in SHAPES:
            if self._services.store.head(lake_layout.fan_out.plan(self._prepared.plan.run_id, shape)) is not None:
                return shape
        best = choice_of([one for one in self.ways if one.way != "one process"])
        return "per-company" if best.way == "per-company" else "packed"

    @cached_property
    def pod(self) -> PodOptions:
        """The options of the pods, with the submitter's settings in their environment."""
        url, env = self._services.store.url, self._options.pod.env
        if url.startswith("file:") and "LAKE_URL" not in env:
            _log.warning("the lake is a folder: workers on other machines see another one", lake=url)
        return replace(self._options.pod, env={**specs.worker_env(self._services.settings, url), **env})

    def write(self) -> tuple[FanOutPlan, str]:
        """The plan in the lake of this run and shape, ours or an earlier submitter's, and its SHA-256."""
        store, run_plan, ceiling = self._services.store, self._prepared.plan, self._ceiling
        ours = plan_of(
            self.shape, run_plan.run_id, run_plan.release, self._units, ceiling=ceiling, pods=self._options.pods
        )
        todo = {one.company_id for one in self._prepared.todo}
        closed = Audits(store, run_plan.release).closed()
        before = {one: closed[one] for one in sorted(todo & closed.keys())}
        ours = ours.model_copy(update={"closed_before": before, "lake_id": ensure_lake_id(store)})
        plan, digest = write_plan(store, ours)
        streams = sum(plan.streams)
        if plan.shape == "packed" and streams > ceiling:
            raise UsageError(
                f"the packed plan of run {plan.run_id} has {streams} streams, more than the {ceiling} of now.",
                advice=f"--streams {streams} continues it; --cancel and another --run-id make another plan.",
            )
        if plan != ours:
            _log.info("continuing with the plan in the lake", run_id=plan.run_id, pods=len(plan.bins))
        return plan, digest

    def submitter(self) -> Submitter:
        """What creates and watches the Jobs."""
        services = self._services
        plan, digest = self.write()
        services.backoff.raise_if_blocked()
        cluster = services.cluster(self._options.namespace)
        _require_the_only_shape(services.store, cluster, plan)
        in_flight = min(self._in_flight, self._ceiling) if plan.shape == "per-company" else 1
        return Submitter(
            cluster,
            services.store,
            plan,
            digest,
            self.pod,
            replace(self._options.limits, max_in_flight=in_flight),
            backoff=services.backoff,
            progress=services.progress,
            now=services.now,
            sleep=services.stop.sleep,
        )

    def submit(self, submitter: Submitter) -> FanOutResult:
        """Create Jobs and poll, with progress shown."""
        todo, progress = self._prepared.todo, self._services.progress
        release = self._prepared.plan.release
        progress.start(
            f"fan-out {release.dataset} {release.year}", units=len(todo), rows=sum(one.rows or 0 for one in todo)
        )
        try:
            return submitter.run()
        finally:
            progress.stop()

    def remove_leftovers(self) -> None:
        """Remove finished Jobs of submitters that died; what is left for the next command if the cluster is away."""
        services, release = self._services, self._prepared.plan.release
        lake_id = read_lake_id(services.store)
        if lake_id is None:
            return
        selector = specs.selector_of(specs.labels_of_year(lake_id, release.dataset, release.year))
        try:
            cluster = services.cluster(self._options.namespace, patience_seconds=LEFTOVERS_SECONDS)
            jobs = [job for job in map(observe_job, cluster.jobs(selector)) if not job.is_open]
            proved = set(map(specs.unit_of_company, Audits(services.store, release).closed() if jobs else ()))
            for name in leftovers(jobs, release.name, proved, self._is_committed):
                cluster.delete_job(name)
        except StoppedError:
            raise
        except PipelineError as error:
            _log.warning("finished Jobs of earlier submitters were not removed", because=str(error))

    def _is_committed(self, run_id: str) -> bool:
        is_ours = lake_layout.ids.is_run_id(run_id)
        return is_ours and self._services.store.head(lake_layout.runs.manifest(run_id)) is not None

    def retry_after(self, fact: Mapping[str, object]) -> float | None:
        """Seconds until the shared backoff ends, if the run may be retried and a pod was told to wait."""
        left = self._services.backoff.current().not_before - self._services.now().timestamp()
        return round(left, 3) if fact["exit_code"] == TEMPORARY.code and left > 0 else None


def _require_the_only_shape(store: ObjectStore, cluster: Cluster, plan: FanOutPlan) -> None:
    """Raise ``ConflictError`` while Jobs of the run's other shape run: they would fetch the same windows again."""
    for other in (shape for shape in SHAPES if shape != plan.shape):
        if store.head(lake_layout.fan_out.plan(plan.run_id, other)) is None:
            continue
        labels = specs.labels_of(plan.lake_id, plan.release, other) | {specs.RUN: specs.as_label(plan.run_id)}
        if any(phase_of_job(job) in ("waiting", "running") for job in cluster.jobs(specs.selector_of(labels))):
            raise ConflictError(
                f"{other} Jobs of run {plan.run_id} are running.",
                advice=f"--shape {other} attaches to them; --cancel deletes them.",
            )

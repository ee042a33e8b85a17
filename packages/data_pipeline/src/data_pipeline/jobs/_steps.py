"""The steps behind a run: each does what is missing, nothing if nothing is, and returns the fact its job prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from data_pipeline.job import Context
    from data_pipeline.jobs._origins import Origin
    from data_pipeline.jobs._tables import EngineName
    from data_pipeline.lakehouse.documents import MartsInput, MartsManifest, MartsSummary
    from data_pipeline.lakehouse.facts import CuratedFact, MartsFact, ReportFact, StageFact
    from data_pipeline.lakehouse.marts import Marts
    from data_pipeline.lakehouse.reconciliation import Summary
    from data_pipeline.open_payments.summaries import Summary as CmsSummary
    from data_pipeline.reports.figures import Figures


def require_everything(context: Context) -> None:
    """Raise ``ConfigError`` if a library of any step is missing: before hours of work, not after them."""
    from data_pipeline.lakehouse.dbt import interpreter, versions_in
    from data_pipeline.settings import extras

    for library, extra in (("duckdb", "lakehouse"), ("jinja2", "report"), ("analytics", "dbt")):
        extras.require(library, extra)
    versions_in(interpreter(context.settings.dbt_python))


def stage(context: Context, origin: Origin, *, accept_drift: bool = False, engine: EngineName = "duckdb") -> StageFact:
    """Stage the parts of a run that are not staged yet; raises as ``Staging.run`` does."""
    from data_pipeline.lakehouse.facts import StageFact
    from data_pipeline.lakehouse.stage import totals_of

    staging = tables.staging_of(context, origin, accept_drift=accept_drift)
    before = staging.done()
    documents = before
    if len(before) < len(staging.parts.audits):
        context.begin(origin.run_id)
        if engine == "spark":
            with tables.spark_of(context) as spark:
                documents = replace(staging, engine=spark).run(before)
        else:
            documents = staging.run(before)
    return StageFact(
        run_id=origin.run_id,
        dataset=origin.dataset,
        year=origin.year,
        release=origin.release,
        status="already staged" if documents is before else "staged",
        closed=origin.closed,
        contract=staging.contract.hash,
        new_parts=len(documents) - len(before),
        **context.said_by_all,
        **totals_of(documents.values()),
    )


def curate(context: Context, origin: Origin, *, engine: EngineName = "duckdb") -> CuratedFact:
    """Make the build that follows from a staged run, unless readers see it already; raises as ``Curation.run`` does."""
    from data_pipeline.lake_layout import lakehouse as keys
    from data_pipeline.lakehouse.facts import CuratedFact

    curation = tables.curation_of(context, origin, engine=engine)
    before = build = curation.current()
    if build is None:
        context.begin(origin.run_id)
        if engine == "spark":
            with tables.spark_of(context) as spark:
                build = curation.run(spark)
        else:
            build = curation.run()
    return CuratedFact(
        run_id=build.run_id,
        dataset=build.dataset,
        year=build.year,
        release=build.release,
        status="built" if before is None else "already built",
        closed=build.closed,
        contract=build.contract,
        build=build.build,
        manifest=keys.build_manifest(build.scope, build.number),
        rows=build.rows,
        quarantined=build.quarantined,
        tables={name: sum(one.rows for one in files) for name, files in build.tables.items()},
        bytes=sum(one.bytes for one in build.files),
        **context.said_by_all,
    )


def marts_of(context: Context) -> Marts:
    """The marts that follow from what readers see of a lake.

    Raises:
        NotFoundError: nothing was built. ConfigError: a library or dbt is missing.

    """
    from data_pipeline.lakehouse.builds import current_builds
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.dbt import Dbt, Project, interpreter
    from data_pipeline.lakehouse.marts import Marts
    from data_pipeline.open_payments.datasets import DATASETS
    from data_pipeline.settings import extras
    from etl_core.errors import NotFoundError

    for library in ("duckdb", "analytics"):
        extras.require(library, "dbt")
    from analytics import PROFILE, PROJECT

    pinned = [one for one in current_builds(context.store) if one.dataset in DATASETS]
    if not pinned:
        raise NotFoundError(f"{context.store.url} has no tables.", advice="Run stage and build_curated first.")
    limits = Limits(context.settings.lakehouse_memory_mb, context.settings.lakehouse_workers)
    return Marts(
        context.store,
        tables.sources_of_marts(),
        pinned,
        Dbt(
            Project(PROJECT, PROFILE),
            interpreter(context.settings.dbt_python),
            limits,
            context.stop.check,
            context.parsed_projects,
            context.progress,
        ),
        limits,
        now=context.now,
        check_stop=context.stop.check,
        progress=context.progress,
        summaries=summaries_of(context, {one.year for one in pinned}),
    )


def summaries_of(context: Context, years: Collection[int]) -> list[Summary]:
    """CMS's summaries of these years, of each the one that was stored last."""
    from data_pipeline.lakehouse.documents import MartsSummary
    from data_pipeline.lakehouse.reconciliation import Summary
    from data_pipeline.open_payments.ledger.summaries import stored_summaries
    from data_pipeline.open_payments.summaries import SUMMARIES

    def newest(one: CmsSummary) -> Iterator[MartsSummary]:
        for year in sorted(years):
            for audit in stored_summaries(context.store, one, year)[-1:]:
                yield MartsSummary(
                    table=one.table,
                    year=year,
                    release=audit.release,
                    rows=audit.records,
                    key=audit.key,
                    bytes=audit.bytes,
                    sha256=audit.sha256,
                )

    return [Summary(one.table, one.names, list(newest(one))) for one in SUMMARIES]


def build_marts(context: Context) -> MartsFact:
    """Make the marts of what readers see of a lake, unless they are there; raises as ``Marts.run`` does."""
    from data_pipeline.lake_layout import lakehouse as keys
    from data_pipeline.lakehouse.facts import MartsFact
    from etl_core import logs

    marts = marts_of(context)
    before = marts.current()
    if before is None:
        context.begin()
        logs.get_logger().info("making the marts", builds=len(marts.pinned))
    made = before or marts.run()
    return MartsFact(
        run_id=context.run_id,
        status="built" if before is None else "already built",
        build=made.build,
        manifest=keys.numbered(keys.MARTS_BUILDS, made.number),
        file=made.file.key,
        closed=made.closed,
        inputs=made.inputs,
        reconciled=made.reconciled,
        rows=sum(one.rows for one in made.inputs),
        quarantined=sum(one.quarantined for one in made.inputs),
        tables=made.tables,
        tests=made.tests,
        warnings=made.warnings,
        bytes=made.file.bytes,
        **context.said_by_all,
    )


def report(context: Context, dataset: str, year: int) -> tuple[ReportFact, Figures]:
    """Write the page of a year from the newest marts, unless it is there; its fact, and the figures on it.

    Raises:
        NotFoundError: there are no marts of the year. DataError: the file of the marts is not what its manifest says.
        ConfigError: a library is missing.

    """
    from data_pipeline.lake_layout.lakehouse import report as key_of
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.facts import ReportFact
    from data_pipeline.lakehouse.marts import fetched
    from data_pipeline.open_payments.ledger.committed import open_run
    from data_pipeline.reports.checks import checks_of
    from data_pipeline.reports.fetching import fetching_of
    from data_pipeline.reports.figures import read_figures
    from data_pipeline.reports.page import render
    from etl_core.lake import content_of, put_or_agree, scratch_folder

    marts, source = _marts_with(context, dataset, year)
    run = open_run(context.store, source.run_id)
    limits = Limits(context.settings.lakehouse_memory_mb, 1)
    with scratch_folder(context.store) as folder, context.progress.showing("report: reading the marts"):
        path = fetched(context.store, marts.file, folder, advice="Delete it, and run build_marts again.")
        figures = read_figures(path, source, limits, folder / "spill")
    fetching, checks = fetching_of(context.store, run), checks_of(context.store, run, source)
    page = render(figures, fetching, checks, marts).encode()
    key = key_of(year_scope(dataset, year), marts.number, content_of(page))
    put = put_or_agree(context.store, key, page)
    fact = ReportFact(
        run_id=source.run_id,
        dataset=dataset,
        year=year,
        release=source.release,
        closed=source.closed,
        status="written" if put.created else "already there",
        page=key,
        uri=context.store.uri(key),
        marts=marts.build,
        bytes=len(page),
        **context.said_by_all,
    )
    return fact, figures


def _marts_with(context: Context, dataset: str, year: int) -> tuple[MartsManifest, MartsInput]:
    """The newest marts, and what they have of the year; raises ``NotFoundError`` if there is nothing of it."""
    from data_pipeline.lakehouse.marts import chain_of
    from etl_core.errors import NotFoundError

    marts = chain_of(context.store).current()
    inputs = marts.inputs if marts else ()
    source = next((one for one in inputs if (one.dataset, one.year) == (dataset, year)), None)
    if marts is None or source is None:
        raise NotFoundError(
            f"{context.store.url} has no marts with {dataset} {year}.",
            advice="Run stage and build_curated of the year, then build_marts.",
        )
    return marts, source

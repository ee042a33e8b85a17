"""Options of jobs that make tables of a committed run, and what they pass to the lakehouse."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Literal

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs._origins import newest_of_customers, opened, origin_of
from data_pipeline.open_payments.datasets import DATASETS, GENERAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from data_pipeline.job import Context
    from data_pipeline.jobs._origins import Origin
    from data_pipeline.lakehouse.columns import Columns
    from data_pipeline.lakehouse.curate import Curation
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.lakehouse.marts import Source
    from data_pipeline.lakehouse.spark import Spark
    from data_pipeline.lakehouse.stage import Staging
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Selection

CUSTOMERS = "customers"
EngineName = Literal["duckdb", "spark"]


def _committed(datasets: Iterable[str], more: str = "") -> Callable[[Any], Any]:
    return frame.together(
        click.option(
            "--dataset", type=click.Choice(tuple(datasets)), help=f"Dataset of --year{more}. Default: {GENERAL.name}."
        ),
        click.option("--year", type=int, help="Program year, such as 2024: its newest closed run."),
        click.option(
            "--run-id", help="This committed run, which may be a partial one or of another domain, in place of --year."
        ),
        frame.last,
        frame.lake,
    )


committed = _committed(DATASETS)
committed_of_any_domain = _committed((*DATASETS, CUSTOMERS), f", or {CUSTOMERS}: the newest closed run")


engine = click.option(
    "--engine", type=click.Choice(("duckdb", "spark")), default="duckdb", show_default=True,
    help="spark: within this process, or on the cluster that this job is submitted to. The rows are the same.",
)  # fmt: skip


def chosen_run(context: Context, dataset: str | None, year: int | None) -> Run:
    """The committed run of a command line.

    Raises:
        UsageError: neither or both of year and run were given. NotFoundError: there is no such run.
        DataError: the run is not committed.

    """
    from data_pipeline.open_payments.ledger.committed import newest_run, open_run
    from data_pipeline.open_payments.ledger.documents import Selection
    from etl_core.errors import NotFoundError, UsageError

    if year is None and context.run_id and dataset is None:
        return open_run(context.store, context.run_id)
    if year is None or context.run_id:
        raise UsageError("Give --year, with --dataset if it is another one, or --run-id alone.")
    selection = Selection(dataset=dataset or GENERAL.name, year=year)
    found = newest_run(context.store, selection)
    if found is None:
        raise NotFoundError(
            f"{context.store.url} has no closed run of {selection.dataset} {year}.",
            advice="Finish one with run_pipeline, or name a partial one with --run-id.",
        )
    return found


def newest_committed(context: Context, selection: Selection) -> Run:
    """The newest closed run of a selection, else its newest run; raises ``NotFoundError`` if nothing is committed."""
    from data_pipeline.open_payments.ledger.committed import newest_run
    from etl_core.errors import NotFoundError

    found = newest_run(context.store, selection) or newest_run(context.store, selection, closed=False)
    if found is None:
        raise NotFoundError(
            f"{context.store.url} has no committed run of {selection.dataset} {selection.year} with this selection.",
            advice="Leave out --from raw, or give the same --max-files, --slice or --company-id as the run had.",
        )
    return found


def chosen_build(context: Context, dataset: str | None, year: int | None) -> BuildManifest:
    """The build that readers see of a command line's year, or of its run; raises ``NotFoundError`` if there is none."""
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.lakehouse.builds import require_build

    if year is not None and not context.run_id:
        return require_build(context.store, year_scope(dataset or GENERAL.name, year))
    return build_of(context, chosen_run(context, dataset, year))


def build_of(context: Context, run: Run) -> BuildManifest:
    """The build that readers see of a run; raises ``NotFoundError`` if there is none."""
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.lakehouse.builds import require_build

    manifest = run.manifest
    return require_build(context.store, year_scope(manifest.dataset, manifest.year), manifest.run_id)


def sources_of_marts() -> list[Source]:
    """Every dataset as marts and warehouses know it."""
    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.marts import Source
    from data_pipeline.open_payments.tables import derived_tables

    return [
        Source(one.name, Contract.from_toml(one.contract), derived_tables(one), one.amount_column.lower())
        for one in DATASETS.values()
    ]


def columns_for(context: Context, build: BuildManifest) -> tuple[Source, dict[str, dict[str, Columns]]]:
    """The dataset of a build, and the columns of all datasets' tables.

    Raises:
        DataError: the build was made under another contract. ConfigError: DuckDB is missing.

    """
    from data_pipeline.lakehouse.columns import columns_of, require_same_contract
    from etl_core.lake import scratch_folder

    sources = {one.dataset: one for one in sources_of_marts()}
    require_same_contract(build, sources)
    with scratch_folder(context.store) as folder:
        return sources[build.dataset], columns_of(sources, folder)


def said_of(build: BuildManifest) -> dict[str, Any]:
    """What the facts of jobs on a build say of it."""
    from data_pipeline.lake_layout.lakehouse import build_manifest

    return {
        **{one: getattr(build, one) for one in ("run_id", "dataset", "year", "release", "closed", "build", "rows")},
        "manifest": build_manifest(build.scope, build.number),
        "tables": {name: sum(one.rows for one in files) for name, files in build.tables.items()},
    }


def chosen_origin(context: Context, dataset: str | None, year: int | None) -> Origin:
    """The committed run of a command line, of any domain where it is named; raises as ``chosen_run``."""
    if year is None and dataset is None and context.run_id:
        return opened(context, context.run_id)
    if dataset == CUSTOMERS and year is None and not context.run_id:
        return newest_of_customers(context)
    return origin_of(context, chosen_run(context, dataset, year))


def staging_of(context: Context, origin: Origin, *, accept_drift: bool = False) -> Staging:
    """The parts of a run under the contract of its dataset."""
    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.conversion import DuckDb
    from data_pipeline.lakehouse.parts import Parts
    from data_pipeline.lakehouse.stage import Staging

    return Staging(
        context.store,
        Parts(origin.run, Contract.from_toml(origin.contract), origin.aliases, accept_drift),
        DuckDb(_limits(context)),
        now=context.now,
        progress=context.progress,
        check_stop=context.stop.check,
    )


def _limits(context: Context) -> Limits:
    from data_pipeline.lakehouse.database import Limits

    return Limits(context.settings.lakehouse_memory_mb, context.settings.lakehouse_workers)


@contextlib.contextmanager
def spark_of(context: Context) -> Iterator[Spark]:
    """Spark over the lake.

    Raises:
        ConfigError: it is not installed, there is no Java, or no place that its executors can write to.

    """
    from data_pipeline.lakehouse.spark import Spark
    from data_pipeline.lakehouse.spark_session import open_session
    from etl_core.errors import ConfigError
    from etl_core.lake import scratch_folder

    settings, store = context.settings, context.store
    if not settings.spark_scratch_url and not store.url.startswith("file:"):
        raise ConfigError(
            f"Spark's executors and this process share no place beside {store.url}.",
            advice="Give one in SPARK_SCRATCH_URL, such as s3://bucket/scratch.",
        )
    with (
        open_session(_limits(context), submitted=settings.spark_submitted) as session,
        scratch_folder(store) as folder,
    ):
        url = settings.spark_scratch_url or folder.as_uri()
        with contextlib.closing(context.open_store(url, named="SPARK_SCRATCH_URL")) as scratch:
            yield Spark(session, store, scratch)


def curation_of(context: Context, origin: Origin, *, engine: EngineName = "duckdb") -> Curation:
    """The build that follows from a run; raises ``DataError`` if not all of its parts are staged."""
    from data_pipeline.lakehouse import curate, spark, spark_session
    from data_pipeline.lakehouse.curate import Curation, Inputs
    from etl_core.errors import DataError

    staging = staging_of(context, origin)
    staged = staging.done()
    audits = staging.parts.audits
    missing = len(audits) - len(staged)
    if missing:
        raise DataError(
            f"{missing} of {len(audits)} parts of run {origin.run_id} are not staged under contract "
            f"{staging.contract.hash}.",
            advice=f"Stage them first: data-pipeline run stage -- --run-id {origin.run_id}",
        )
    inputs = Inputs(
        contract=staging.contract,
        derived=origin.derived,
        scope=origin.scope,
        dataset=origin.dataset,
        year=origin.year,
        release=origin.release,
        run_id=origin.run_id,
        closed=origin.closed,
        parts=tuple(staged[part.key] for part in audits),
        sorted_by=f"spark {spark_session.spark_version()}" if engine == "spark" else "",
    )
    return Curation(
        context.store,
        inputs,
        _limits(context),
        now=context.now,
        progress=context.progress,
        check_stop=context.stop.check,
        rows_per_file=(spark if engine == "spark" else curate).ROWS_PER_FILE,
    )

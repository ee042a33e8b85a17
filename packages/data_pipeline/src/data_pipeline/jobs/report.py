"""Write one page about a dataset's year: whether it is complete, what was fetched, and the usual figures.

The page is one HTML file without scripts, to be read on any screen, printed or mailed. It has no names of persons.
The same marts and run give the same page, and then nothing is done.

Reads the newest marts, the manifest and audits of the run behind them, and what its stage found. Writes
metadata/reports/…, create-only. Needs the extras lakehouse and report.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.documents import MartsInput, MartsManifest
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.reports.figures import Checks, Fetching

# As wide as a page can show, and few enough that a short run has several requests in each.
INTERVALS = 60
READERS = 16


@frame.job(
    click.option("--dataset", default="general-payments", show_default=True, help="Dataset of --year."),
    click.option("--year", type=int, required=True, help="Program year, such as 2024."),
    frame.lake,
)
def command(context: Context, dataset: str, year: int) -> int:
    from data_pipeline.lake_layout.lakehouse import report
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.facts import ReportFact
    from data_pipeline.lakehouse.marts import fetched
    from data_pipeline.open_payments.ledger.committed import open_run
    from data_pipeline.reports.figures import read_figures
    from data_pipeline.reports.page import render
    from etl_core.lake import content_of, put_or_agree, scratch_folder

    marts, source = chosen(context, dataset, year)
    run = open_run(context.store, source.run_id)
    fetching = fetching_of(run)
    limits = Limits(context.settings.lakehouse_memory_mb, 1)
    with scratch_folder(context.store) as folder:
        path = fetched(context.store, marts.file, folder, advice="Delete it, and run build_marts again.")
        figures = read_figures(path, source, limits, folder / "spill")
    page = render(figures, fetching, checks_of(context, run, source), marts).encode()
    key = report(year_scope(dataset, year), marts.number, content_of(page))
    put = put_or_agree(context.store, key, page)
    context.print_document(
        ReportFact(
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
    )
    return 0


def chosen(context: Context, dataset: str, year: int) -> tuple[MartsManifest, MartsInput]:
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


def fetching_of(run: Run) -> Fetching:
    """What a run did at the source, summed over its audits."""
    from data_pipeline.reports.figures import Fetching

    manifest = run.manifest
    requests = retries = 0
    pace = [[0, 0] for _ in range(INTERVALS)]
    whole = (manifest.finished_at - manifest.created_at).total_seconds() or 1.0
    for part in run.parts():
        at = int(INTERVALS * (part.started_at - manifest.created_at).total_seconds() / whole)
        interval = pace[min(max(at, 0), INTERVALS - 1)]  # a part may be proved by an earlier run
        interval[0] += part.requests - part.retries
        interval[1] += part.retries
        requests += part.requests
        retries += part.retries
    return Fetching(
        run_id=manifest.run_id,
        status=manifest.status,
        closed=manifest.is_closed,
        note=manifest.closure.note,
        planned=manifest.files_planned,
        proved=len(manifest.proved),
        failed=manifest.files_failed,
        source_rows=manifest.closure.source_rows,
        proved_rows=manifest.closure.proved_rows,
        requests=requests,
        retries=retries,
        bytes=manifest.bytes,
        started_at=manifest.created_at,
        finished_at=manifest.finished_at,
        pace=tuple((one, again) for one, again in pace),
    )


def checks_of(context: Context, run: Run, source: MartsInput) -> Checks:
    """What the stage found in the parts of a run, under the contract of the build; nothing if ``gc`` removed that."""
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor

    from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
    from data_pipeline.lake_layout.open_payments import year_scope
    from data_pipeline.lakehouse.builds import read_manifest
    from data_pipeline.lakehouse.documents import StagedPart
    from data_pipeline.reports.figures import Checks
    from etl_core.documents import read

    build = read_manifest(context.store, build_manifest(year_scope(source.dataset, source.year), source.number))
    if build is None:
        return Checks()
    places = [StagedKeys.of_part(part.key, build.contract).document for part in run.parts()]
    quarantined: Counter[str] = Counter()
    flagged: Counter[str] = Counter()
    new_values: Counter[str] = Counter()
    drifted = 0
    with ThreadPoolExecutor(READERS) as pool:
        for part in pool.map(lambda key: read(StagedPart, context.store, key), places):
            if part is not None:
                quarantined.update(part.reasons)
                flagged.update(part.flags)
                new_values.update({one.column: one.records for one in part.new_values})
                drifted += part.drift is not None
    return Checks(tuple(quarantined.items()), tuple(flagged.items()), tuple(new_values.items()), drifted)


JOB = (
    frame.entrypoint_of(command, "report"),
    "Write one page about a dataset's year: complete or not, and the figures",
)
# The file of the marts if the lake is in S3.
KUBERNETES = {"args": ["--year", "2025"], "pod": {"memory": "2Gi", "scratch": "10Gi"}}

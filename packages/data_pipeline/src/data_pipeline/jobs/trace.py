"""Follow one record back to the request that fetched it, as in: trace 1077673952.

The record as the newest builds have it, or as it is in quarantine with the reasons; then its staged
part, its raw part with record number and line, the window and the request (address, times, status,
tries), the run and the release. --year looks in one year, which need not be built, only staged, and
--run-id in the staged parts of one run.

Reads builds, the run's manifest, audits and failed attempts, what stage wrote, and one raw part. Writes
nothing. Needs the extra lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _answers as answers
from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _tables as tables
from data_pipeline.jobs._origins import origin_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from data_pipeline.job import Context
    from data_pipeline.jobs._origins import Origin
    from data_pipeline.lakehouse.contract import Contract
    from data_pipeline.lakehouse.documents import BuildManifest
    from data_pipeline.lakehouse.facts import TracedPart, TracedRequest, TraceFact
    from data_pipeline.lakehouse.query import PinnedTable
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit


@frame.job(click.argument("record_id"), tables.committed)
def command(context: Context, record_id: str, dataset: str | None, year: int | None) -> int:
    from data_pipeline.lakehouse.trace import lines_of
    from etl_core.errors import NotFoundError

    looked_in = []
    for run, build in places_to_look(context, dataset, year):
        origin = origin_of(context, run)
        with context.progress.showing(f"looking for the record in run {run.manifest.run_id}"):
            row = found_row(context, origin, build, record_id)
        if row is not None:
            fact = chain_of(context, run, tables.staging_of(context, origin).contract, build, record_id, row)
            context.explain(*lines_of(fact))
            context.print_document(fact)
            return 0
        looked_in.append(run.manifest.run_id)
    raise NotFoundError(
        f"there is no record {record_id} in what is staged or built of {', '.join(looked_in) or 'any run'}.",
        advice="Run stage for its year, or name the run with --run-id.",
    )


def places_to_look(
    context: Context, dataset: str | None, year: int | None
) -> Iterator[tuple[Run, BuildManifest | None]]:
    """The builds that readers see, each with its run; where a run is named, or its year has no build, the run alone."""
    from data_pipeline.lakehouse.builds import current_builds
    from data_pipeline.open_payments.datasets import DATASETS
    from data_pipeline.open_payments.ledger.committed import open_run

    asked = (dataset, year)
    builds = [
        build
        for build in ([] if context.run_id else current_builds(context.store))
        if build.dataset in DATASETS
        and all(one in (None, own) for one, own in zip(asked, (build.dataset, build.year), strict=True))
    ]
    for build in builds:
        yield open_run(context.store, build.run_id), build
    if not builds and (year or context.run_id):
        yield tables.chosen_run(context, dataset, year), None


def found_row(context: Context, origin: Origin, build: BuildManifest | None, record_id: str) -> dict[str, Any] | None:
    """The record in the build, else as staged, else in quarantine; None if it is nowhere."""
    from data_pipeline.lakehouse.query import tables_of

    staging = tables.staging_of(context, origin)
    key = staging.contract.key.lower()
    if build is not None:
        (table,) = (
            one for one in tables_of(build, lambda key: answers.location(context, key)) if one.name == build.table
        )
        row = _looked_up(context, [table], key, record_id)
        if row is not None or not build.quarantined:
            return row
    documents = staging.done().values()
    files = {"staged": [one.file for one in documents], "quarantined": [one.quarantine for one in documents]}
    named = [answers.table_of_run(context, name, origin, own) for name, own in files.items()]
    return _looked_up(context, [table for table in named if table.files], key, record_id)


def _looked_up(context: Context, candidates: Sequence[PinnedTable], key: str, record_id: str) -> dict[str, Any] | None:
    import json

    from data_pipeline.lakehouse.query import record_with

    with answers.opened(context, candidates) as database:
        for table in candidates:
            for line in database.ask_for_json(record_with(table, key, record_id)):
                return {name: value for name, value in json.loads(line, parse_float=str).items() if value is not None}
    return None


def chain_of(
    context: Context,
    run: Run,
    contract: Contract,
    build: BuildManifest | None,
    record_id: str,
    row: dict[str, Any],
) -> TraceFact:
    """From the row back to the request."""
    from data_pipeline.lake_layout.lakehouse import StagedKeys, build_manifest
    from data_pipeline.lakehouse import facts

    manifest = run.manifest
    part = next(one for one in run.parts() if one.key == row["_part"])
    staged = StagedKeys.of_part(part.key, build.contract if build else contract.hash)
    quarantined = "_reasons" in row
    return facts.TraceFact(
        run_id=manifest.run_id,
        status="in quarantine" if quarantined else "traced",
        dataset=manifest.dataset,
        year=manifest.year,
        release=manifest.release.name,
        closed=manifest.is_closed,
        record_id=record_id,
        row=row,
        build=None if build is None or quarantined else facts.TracedBuild(
            build=build.build, table=build.table, manifest=build_manifest(build.scope, build.number),
            closed=build.closed, created_at=build.created_at,
        ),
        staged=facts.TracedStage(
            file=staged.quarantine if quarantined else staged.staged,
            document=staged.document,
            contract=staged.contract,
        ),
        raw=_place(run, part, contract.key, record_id),
        request=request_of(context, run, part),
        run=facts.TracedRun(
            status=manifest.status, closed=manifest.is_closed,
            created_at=manifest.created_at, finished_at=manifest.finished_at,
        ),
        source_release=manifest.release.model_dump(),
        **context.said_by_all,
    )  # fmt: skip


def _place(run: Run, part: Audit, key_column: str, record_id: str) -> TracedPart:
    """Where the record stands in its raw part, whose bytes are checked on the way."""
    from dataclasses import asdict

    from data_pipeline.lakehouse.facts import TracedPart
    from data_pipeline.lakehouse.trace import places_of

    places = places_of(b"".join(run.chunks(part)), key_column, record_id)
    if len(places) != 1:
        raise run.damaged(part, f"record {record_id} stands in it {len(places)} times")
    return TracedPart(part=part.key, sha256=part.sha256, dialect=part.dialect, **asdict(places[0]))


def request_of(context: Context, run: Run, part: Audit) -> TracedRequest:
    """The window of a part, the request that answered it, and the attempts of this run that did not."""
    from dataclasses import asdict

    from data_pipeline.lake_layout.open_payments import company
    from data_pipeline.lakehouse.facts import FailedAttempt, TracedRequest
    from data_pipeline.open_payments.ledger.documents import Attempt
    from data_pipeline.runs.attempts import read_attempts

    failed = read_attempts(Attempt, context.store, run.manifest.run_id, unit=company(part.company_id))
    return TracedRequest(
        unit=company(part.company_id),
        window=asdict(part.window),
        generation=part.generation,
        url=part.url,
        status=200,  # no other answer is ever proved
        started_at=part.started_at,
        proved_at=part.proved_at,
        seconds=part.seconds,
        requests=part.requests,
        retries=part.retries,
        count_before=part.count_before,
        count_after=part.count_after,
        failed_attempts=tuple(
            FailedAttempt(at=one.at, reason=one.reason, detail=one.detail)
            for one in failed
            if one.window == part.window
        ),
    )


JOB = (frame.entrypoint_of(command, "trace"), "Follow one record back to the request that fetched it")
# LAKEHOUSE_MEMORY_MB, and the process itself.
KUBERNETES = {"args": ["1077673952"], "pod": {"memory": "2Gi"}}

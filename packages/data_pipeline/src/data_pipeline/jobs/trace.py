"""Follow one record back to the request that fetched it, as in: trace 1077673952 --year 2024.

The record as a table has it or the reasons why it is in quarantine, its staged part, its raw part with
record number and line, the window and the request (address, times, status, tries), the run and the
release. Before stage has run it cannot be found.

Reads the run's manifest, audits and failed attempts, what stage wrote, and one raw part. Writes nothing.
Needs the extra lakehouse.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from data_pipeline.jobs import _answers as answers
from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from data_pipeline.job import Context
    from data_pipeline.lakehouse.stage import Staging
    from data_pipeline.open_payments.ledger.committed import Run
    from data_pipeline.open_payments.ledger.documents import Audit


@frame.job(click.argument("record_id"), tables.committed)
def command(context: Context, record_id: str, dataset: str | None, year: int | None) -> int:
    run = tables.chosen_run(context, dataset, year)
    staging = tables.staging_of(context, run)
    row = found_row(context, run, staging, record_id)
    part = next(one for one in run.parts() if one.key == row["_part"])
    manifest = run.manifest
    context.print_fact(
        run_id=manifest.run_id,
        status="traced",
        record_id=record_id,
        row=row,
        raw=_place(run, part, staging.contract.key, record_id),
        request=request_of(context, run, part),
        run={
            "run_id": manifest.run_id, "status": manifest.status, "closed": manifest.is_closed,
            "created_at": manifest.created_at, "finished_at": manifest.finished_at,
        },
        release=manifest.release.model_dump() | {"name": manifest.release.name},
    )  # fmt: skip
    return 0


def found_row(context: Context, run: Run, staging: Staging, record_id: str) -> dict[str, Any]:
    """The record as it is staged, or in quarantine with its reasons.

    Raises:
        NotFoundError: no staged part has it.

    """
    import json

    from data_pipeline.lakehouse import sql
    from etl_core.errors import NotFoundError

    documents = staging.done()
    views = [
        table
        for quarantine in (False, True)
        if (table := tables.staged_table(context, run, documents.values(), quarantine=quarantine)).files
    ]
    with answers.opened(context, views) as database:
        for table in views:
            where = f"{sql.name(staging.contract.key.lower())} = {sql.literal(record_id)}"
            for line in database.ask_for_json(f"SELECT * FROM {table.name} WHERE {where}"):
                row: dict[str, Any] = json.loads(line)
                return row
    missing = len(run.parts()) - len(documents)
    raise NotFoundError(
        f"no staged part of run {run.manifest.run_id} has record {record_id}; {missing} of its parts are not staged.",
        advice=f"Stage them: data-pipeline run stage -- --run-id {run.manifest.run_id}" if missing else "",
    )


def _place(run: Run, part: Audit, key_column: str, record_id: str) -> dict[str, Any]:
    """Where the record stands in its raw part, whose bytes are checked on the way."""
    from dataclasses import asdict

    from data_pipeline.lakehouse.trace import places_of

    places = places_of(b"".join(run.chunks(part)), key_column, record_id)
    if len(places) != 1:
        raise run.damaged(part, f"record {record_id} stands in it {len(places)} times")
    return {"part": part.key, "sha256": part.sha256, "dialect": part.dialect, **asdict(places[0])}


def request_of(context: Context, run: Run, part: Audit) -> dict[str, Any]:
    """The window of a part, the request that answered it, and the attempts of this run that did not."""
    from data_pipeline.open_payments.ledger.documents import Attempt
    from data_pipeline.lake_layout.open_payments import company
    from data_pipeline.runs.attempts import read_attempts

    failed = read_attempts(Attempt, context.store, run.manifest.run_id, unit=company(part.company_id))
    return {
        "company_id": part.company_id,
        "window": part.window.model_dump(),
        "generation": part.generation,
        "url": part.url,
        "status": 200,  # no other answer is ever proved
        "started_at": part.started_at,
        "proved_at": part.proved_at,
        "seconds": part.seconds,
        "requests": part.requests,
        "retries": part.retries,
        "count_before": part.count_before,
        "count_after": part.count_after,
        "failed_attempts": [
            {"at": one.at, "reason": one.reason, "detail": one.detail} for one in failed if one.window == part.window
        ],
    }


JOB = (frame.entrypoint_of(command, "trace"), "Follow one record back to the request that fetched it")
KUBERNETES = {"args": ["1077673952", "--year", options.NEWEST_YEAR]}

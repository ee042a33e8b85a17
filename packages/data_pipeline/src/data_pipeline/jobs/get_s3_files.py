"""Copy an agency's files between buckets, as a database lists them; create-only, verified, each with a status.

S3 copies them itself, below raw/agency_files/agency_id=…/files/ of the destination, under their own names. What is
there is left: a second run only lists. A file that is missing, denied, changed or of a hostile name ends no other
file's copy; --retry-failed tries those again that the newest run left open.

Reads the table agency_files of DATABASE_URL, and the objects that it lists. Writes copies and beside them a line per
file, the same as a manifest for S3 Batch Operations, and the plan and the manifest of the run. Needs the extra db.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from data_pipeline.jobs import _frame as frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from data_pipeline.agency_files.decide import Outcome
    from data_pipeline.agency_files.documents import AgencyFilesFact
    from data_pipeline.job import Context

MOST_FAILURES_SHOWN = 20


def lake_of(destination_bucket: str | None, lake_url: str | None) -> str | None:
    """The lake that the copies go to."""
    if destination_bucket and lake_url:
        raise click.UsageError("--destination-bucket and --lake name one thing: give one of them.")
    return address_of(destination_bucket) if destination_bucket else lake_url


def address_of(bucket: str) -> str:
    """A bucket by its name, or a place as --lake names one."""
    return bucket if "/" in bucket else f"s3://{bucket}"


@frame.job(
    click.option("--agency-id", type=click.IntRange(min=0), required=True, help="The agency whose files are copied."),
    click.option(
        "--source-bucket", required=True, metavar="BUCKET",
        help="The bucket that has the files; or s3://bucket/prefix, or a folder.",
    ),
    frame.as_one(
        "lake_url", lake_of,
        click.option("--destination-bucket", metavar="BUCKET", help="The bucket of the lake, as in --lake s3://BUCKET."),
        frame.lake,
    ),
    click.option("--since", type=click.DateTime(), help="Only files updated since then, in UTC."),
    click.option("--limit", type=click.IntRange(min=1), help="Only so many files, in the order of their ids."),
    click.option("--retry-failed", is_flag=True, help="Only files that the newest run left open."),
    frame.run_id,
    frame.dry_run,
)  # fmt: skip
def command(
    context: Context,
    agency_id: int,
    source_bucket: str,
    since: datetime | None,
    limit: int | None,
    retry_failed: bool,
    dry_run: bool,
) -> int:
    import contextlib

    from data_pipeline.settings import extras

    extras.require("sqlalchemy", "db")  # before what imports it
    from data_pipeline.agency_files.documents import Selection
    from data_pipeline.agency_files.run import AgencyRun, fact_of

    with contextlib.closing(context.open_store(address_of(source_bucket), named="--source-bucket")) as source:
        run = AgencyRun(context.store, source, context.database, context.now, context.progress, context.stop.check)
        when = since.replace(tzinfo=UTC) if since else None
        selection = Selection(agency_id=agency_id, source=source.url, since=when, limit=limit)
        if retry_failed:
            selection = run.retry_of(selection)
        ended = run.plan(selection) if dry_run else run.run(selection, context.run_id, context.begin)
    run_id = ended.manifest.run_id if ended.manifest else context.run_id
    fact = fact_of(ended, selection, run_id=run_id, **context.said_by_all)
    context.explain(*lines_of(fact, ended.outcomes))
    if ended.manifest:
        context.suggest("stage", "--run-id", run_id)
    context.print_document(fact)
    return fact.exit_code


def lines_of(fact: AgencyFilesFact, outcomes: Iterable[Outcome]) -> Iterator[str]:
    """What a person sees at the end."""
    yield f"files processed {fact.processed:,}, successful {fact.successful:,}, failed {fact.failed:,}"
    yield from (f"  {count:>9,}  {status}" for status, count in fact.files.items())
    failed = [one for one in outcomes if not one.is_successful]
    for one in failed[:MOST_FAILURES_SHOWN]:
        yield f"  {one.status}: file {one.file.file_id}, {one.file.key!a}: {one.detail}"
    if len(failed) > MOST_FAILURES_SHOWN:
        yield f"  and {len(failed) - MOST_FAILURES_SHOWN:,} more, in {fact.metadata or 'the metadata of a run'}"


JOB = (frame.entrypoint_of(command, "get_s3_files"), "Copy an agency's files between buckets, as a database lists them")
# The Secret has DATABASE_URL.
KUBERNETES = {
    "args": ["--agency-id", "10", "--source-bucket", "agency-documents"],
    "service_account": "data-pipeline-agency-files",
    "secret": "data-pipeline-database",
}

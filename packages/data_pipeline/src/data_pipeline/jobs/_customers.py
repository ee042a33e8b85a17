"""What jobs say of a run that fetched customers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from data_pipeline.customers.documents import CustomersManifest
    from data_pipeline.customers.run import Ended
    from data_pipeline.job import Context


def retry_newest(context: Context) -> Ended:
    """Fetch the dead letters of the newest run; raises ``NotFoundError`` in a lake without one."""
    from data_pipeline import lake_layout
    from data_pipeline.customers.documents import CustomersManifest
    from data_pipeline.customers.run import rerun
    from data_pipeline.runs.committed import newest_in
    from etl_core.errors import NotFoundError

    newest = newest_in(context.store, lake_layout.customers.COMMITS, CustomersManifest)
    if newest is None:
        raise NotFoundError(
            f"{context.store.url} has no run of customers that ended.", advice="Leave out --retry-failed."
        )
    return rerun(context.crm, newest.run_id, on_start=context.begin)


def show(context: Context, ended: Ended, local: Path | None = None) -> int:
    """Print the report of a run on stderr and its fact on stdout; the exit code of the job."""
    from data_pipeline import lake_layout
    from data_pipeline.customers.documents import CustomersAttempt, CustomersFact
    from data_pipeline.customers.report import report_of
    from data_pipeline.runs.attempts import read_attempts
    from data_pipeline.runs.status import exit_code_of

    manifest = ended.manifest
    context.run_id = manifest.run_id
    copy = None if local is None else keep_copy(context, manifest, local)
    context.explain(*report_of(manifest).splitlines())
    if manifest.is_closed:
        context.suggest("stage", "--dataset", manifest.dataset)
    fact = CustomersFact(
        run_id=manifest.run_id,
        status=manifest.status if ended.worked or not manifest.is_closed else "already done",
        exit_code=exit_code_of(manifest, read_attempts(CustomersAttempt, context.store, manifest.run_id)),
        closed=manifest.is_closed,
        note=manifest.note,
        manifest=lake_layout.runs.manifest(manifest.run_id),
        extract=manifest.extract.key,
        rows=manifest.rows,
        total=manifest.total,
        pages=manifest.files_planned,
        failed=manifest.files_failed,
        sweeps=manifest.sweeps,
        bytes=manifest.bytes,
        local="" if copy is None else str(copy),
        **{**context.said_by_all, **context.cost},
    )
    context.print_document(fact)
    return fact.exit_code


def keep_copy(context: Context, manifest: CustomersManifest, local: Path) -> Path:
    """The extract as a file outside the lake; what a former run left there is replaced."""
    from data_pipeline.runs.committed import CommittedRun
    from data_pipeline.runs.documents import CsvPartAudit
    from etl_core.csv_stream.records import fields_of
    from etl_core.files import replace_file

    path = local / manifest.extract.key.rpartition("/")[2] if local.is_dir() else local
    run = CommittedRun(context.store, manifest, CsvPartAudit, fields_of)
    replace_file(path, run.chunks(manifest.extract))
    return path

"""Write a committed run as clean CSV (RFC 4180) or Parquet: one file for the year, or one per company.

Every record of every part is written, in either dialect of the source, and nothing is changed: cells
that a spreadsheet would run as a formula are written as they are. Columns have CMS's titles; all are
text. A file appears whole or not at all. The same command again agrees with what is there; other
content under a name is left alone unless --overwrite is given. A file of a run that did not close its
year has partial in its name.

Reads the run's manifest, audits, schema and parts. Writes into the folder of --to, or with --to - CSV
to stdout, in which case the fact goes to stderr. Parquet needs the extra lakehouse.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Literal

import click

from data_pipeline.jobs import _frame as frame
from data_pipeline.jobs import _selection as options
from data_pipeline.jobs import _tables as tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from data_pipeline.job import Context
    from data_pipeline.lakehouse.export import Export, ExportedFile, FileFormat
    from data_pipeline.open_payments.ledger.documents import Audit, Manifest

Per = Literal["year", "company"]
Files = dict[str, list["Audit"]]


@frame.job(
    tables.committed,
    options.company_id,
    click.option(
        "--per", type=click.Choice(("year", "company")), default="year", show_default=True, help="What a file holds."
    ),
    click.option(
        "--format", "file_format", type=click.Choice(("csv", "parquet")), default="csv", show_default=True,
        help="Of the files.",
    ),
    click.option(
        "--to", "target", required=True, metavar="FOLDER",
        help="Where to write: a folder or s3://…; - is stdout, for one CSV file.",
    ),
    click.option("--overwrite", is_flag=True, help="Replace files of the same names."),
)  # fmt: skip
def command(
    context: Context,
    dataset: str | None,
    year: int | None,
    company_id: str | None,
    per: Per,
    file_format: FileFormat,
    target: str,
    overwrite: bool,
) -> int:
    from dataclasses import asdict

    from data_pipeline.lakehouse.export import Export
    from data_pipeline.open_payments.ledger.schemas import read_schema

    if target == "-":
        context.give_stdout_to_data()
    run = tables.chosen_run(context, dataset, year)
    manifest = run.manifest
    files = files_of(manifest, run.parts(), company_id, per, file_format)
    parts = [part for own in files.values() for part in own]
    rows = sum(part.records for part in parts)
    titles = read_schema(context.store, manifest.release).titles
    export = Export(run, titles, progress=context.progress, check_stop=context.stop.check)
    context.progress.start("exporting", units=len(parts), rows=rows)
    try:
        written = (
            _to_stdout(export, files, file_format)
            if target == "-"
            else _to_folder(context, export, files, target, file_format, overwrite=overwrite)
        )
    finally:
        context.progress.stop()
    context.print_fact(
        run_id=manifest.run_id,
        dataset=manifest.dataset,
        year=manifest.year,
        release=manifest.release.name,
        status="exported",
        closed=manifest.is_closed,
        rows=rows,
        to=target,
        files=[asdict(one) for one in written],
    )
    return 0


def files_of(
    manifest: Manifest, parts: Iterable[Audit], company_id: str | None, per: Per, file_format: FileFormat
) -> Files:
    """The parts by the name of the file that they belong in; raises ``NotFoundError`` if there is none."""
    from data_pipeline.lake_layout.ids import shown_company
    from data_pipeline.lake_layout.open_payments import company
    from etl_core.errors import NotFoundError

    chosen = [part for part in parts if company_id in (None, part.company_id)]
    if not chosen:
        whose = "any company" if company_id is None else shown_company(company_id)
        raise NotFoundError(f"run {manifest.run_id} has no part of {whose}.")
    state = "" if manifest.is_closed else "_partial"
    stem = f"{manifest.dataset}_{manifest.year}_{manifest.release.name}{state}"
    if per == "year" and company_id is None:
        return {f"{stem}.{file_format}": chosen}
    by_company = itertools.groupby(sorted(chosen, key=lambda part: part.company_id), lambda part: part.company_id)
    return {f"{stem}_{company(one)}.{file_format}": list(own) for one, own in by_company}


def _to_stdout(export: Export, files: Files, file_format: FileFormat) -> list[ExportedFile]:
    import sys

    from etl_core.errors import UsageError
    from etl_core.stdio import write_bytes

    if len(files) > 1 or file_format != "csv":
        raise UsageError("--to - writes one CSV file; for more files, or Parquet, name a folder.")
    for parts in files.values():
        write_bytes(sys.stdout, export.csv(parts))
    return []


def _to_folder(
    context: Context, export: Export, files: Files, target: str, file_format: FileFormat, *, overwrite: bool
) -> list[ExportedFile]:
    import contextlib

    from data_pipeline.lakehouse.database import Limits
    from data_pipeline.lakehouse.export import write_files

    limits = Limits(context.settings.lakehouse_memory_mb, workers=1)
    with contextlib.closing(context.open_store(target, named="--to")) as folder:
        return write_files(export, files, folder, file_format, limits, overwrite=overwrite)


JOB = (frame.entrypoint_of(command, "export"), "Write a committed run as clean CSV or Parquet, per year or company")
KUBERNETES = {"args": ["--year", options.NEWEST_YEAR, "--to", "-"]}
